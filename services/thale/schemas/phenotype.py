"""Schemas of a phenotype: plants with organs, landmarks, roots and traits, and the provenance of the values."""

import math
from typing import Literal

from pydantic import Field

from thale.schemas.fields import FrozenModel, LandmarkKind, NullableFloat, OntologyRelation, OrganKind, Rotation
from thale.schemas.image import Flag, ImageMetadata, Plate, Scale


class ModelRef(FrozenModel):
    """The model version that returned a prediction, identified by the digest of its bytes."""

    name: str
    """Name of the model."""
    version: str
    """Version of the model."""
    digest: str
    """Digest of the archive, equal to the one in the release state and in /v1/models.

    If the archive is unknown, it is the digest of the weights, `weights_sha256` of the card. That is the case in a
    worker's own response, and in `evaluate`, which runs folders of weights."""
    engine: str = ""
    """Inference engine and its version."""


class Landmark(FrozenModel):
    """One landmark with the score of the model, from 0 to 1."""

    kind: LandmarkKind
    """Kind of the landmark."""
    x: float
    """Pixels to the right of the centre of the first pixel."""
    y: float
    """Pixels below the centre of the first pixel."""
    score: float = Field(ge=0, le=1)
    """Score of the model, from 0 to 1."""


class Organ(FrozenModel):
    """One organ of one plant. Polygons have COCO's form: flat lists of x, y in source pixels."""

    kind: OrganKind
    """Kind of the organ."""
    ontology_id: str
    """Term of the Plant Ontology."""
    area_px: float
    """Area in square pixels."""
    area_mm2: NullableFloat
    """Area in square millimetres. NaN without a scale."""
    confidence: float = Field(ge=0, le=1)
    """Mean probability of the organ's pixels, from 0 to 1."""
    polygons: tuple[tuple[float, ...], ...] = ()
    """Outlines as flat lists of x, y in pixels."""


class Root(FrozenModel):
    """One root as a polyline from origin to tip. Order 1 is the primary root, order 2 a lateral of it, and so on.

    Mean diameter and insertion angle (of a lateral to its parent) are NaN if they cannot be measured.
    """

    id: str
    """Identifier within the plant, such as 1 or 1.2."""
    order: int = Field(ge=1)
    """1 is the primary root, 2 a lateral of it, and so on."""
    parent: str | None = None
    """Identifier of the parent root. None for a primary root."""
    points: tuple[tuple[float, float], ...]
    """Polyline as x, y in pixels, from the origin to the tip."""
    length_px: float
    """Length of the polyline in pixels."""
    confidence: float = Field(ge=0, le=1)
    """Mean probability along the root, from 0 to 1."""
    diameter_px: NullableFloat = math.nan
    """Mean diameter in pixels. NaN if it cannot be measured."""
    insertion_angle_deg: NullableFloat = math.nan
    """Angle to the parent in degrees. NaN if it cannot be measured, or for a primary root."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the root."""


class TraitValue(FrozenModel):
    """One measured trait, defined in docs/traits.md, with the nearest ontology term and its relation to the trait.

    The qualifier distinguishes traits that have the same term.
    """

    trait: str
    """Name of the trait, as in docs/traits.md."""
    value: NullableFloat
    """Measured value in `unit`. NaN if it is unknown."""
    interval: tuple[float, float] | None = None
    """90 % interval of the true value, in the unit of the value (ADR 0120). None if no error model applies."""
    unit: str
    """Unit, such as mm or px."""
    ontology_id: str | None
    """Nearest ontology term. None without a fitting term."""
    ontology_relation: OntologyRelation | None = None
    """Relation of the term to the trait."""
    ontology_qualifier: str | None = None
    """Distinguishes traits that have the same term."""
    quality: Literal["ok", "uncertain", "unknown"] = "ok"
    """`ok`, `uncertain` (see `flags`), or `unknown` (no value)."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the value."""


class Plant(FrozenModel):
    """One plant. Plants are numbered from 1, from left to right, and plate by plate if there are several."""

    id: int = Field(ge=1)
    """Number of the plant in the image, from 1."""
    plate: int | None = None
    """Number of the plant's plate in the image. None if no plate was found."""
    organs: tuple[Organ, ...]
    """Organs of the plant."""
    landmarks: tuple[Landmark, ...]
    """Landmarks of the plant."""
    roots: tuple[Root, ...]
    """Roots of the plant, each primary root before its laterals."""
    traits: tuple[TraitValue, ...] = ()
    """Traits of the plant."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the plant."""


class PlateMeasurement(FrozenModel):
    """One plate of an image, with its totals. Plates are numbered from 1 in reading order."""

    id: int = Field(ge=1)
    """Number of the plate in the image, from 1."""
    plate: Plate
    """The detected plate."""
    scale: Scale
    """Scale of the plate."""
    traits: tuple[TraitValue, ...]
    """Totals of the plate."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the plate."""


class Provenance(FrozenModel):
    """The models, configuration and package version of a measurement, for its reproduction."""

    models: tuple[ModelRef, ...]
    """The models that returned the predictions."""
    config_digest: str
    """Digest of the parameters that affect the traits."""
    package_version: str
    """Version of thale."""
    created: str
    """Time of the measurement in UTC, in ISO 8601."""


class Timings(FrozenModel):
    """Durations of the stages in seconds, measured in the facade."""

    segment_s: float
    """Duration of the segmentation."""
    landmarks_s: float
    """Duration of the landmark detection."""
    plants_s: float
    """Duration of the post-processing."""
    total_s: float
    """Duration of the request in the facade."""


class Phenotype(FrozenModel):
    """The response of /v1/phenotype.

    With several plates, `plate` is None and `traits` is empty: each entry of `plates` has its scale and its totals.
    """

    image: ImageMetadata
    """Metadata of the image."""
    rotate: Rotation = 0
    """Clockwise turn of the image before its measurement, as requested. Positions are in the original image."""
    scale: Scale
    """Scale of the image."""
    plate: Plate | None
    """The plate. None if none was found, or if there are several."""
    plates: tuple[PlateMeasurement, ...] = ()
    """All plates of the image in reading order."""
    plants: tuple[Plant, ...]
    """Plants of the image."""
    traits: tuple[TraitValue, ...]
    """Totals of the plate. Empty with several plates."""
    flags: tuple[Flag, ...]
    """Remarks about the image."""
    provenance: Provenance
    """Models, configuration and version of the measurement."""
    timings: Timings
    """Durations of the stages."""
