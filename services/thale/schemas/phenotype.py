"""Schemas of a phenotype: plants with organs, landmarks, roots and traits, and the provenance of the values."""

import math
from typing import Literal

from pydantic import Field

from thale.schemas.fields import FrozenModel, LandmarkKind, NullableFloat, OntologyRelation, OrganKind, Rotation
from thale.schemas.image import Flag, ImageMetadata, Plate, Scale


class ModelRef(FrozenModel):
    """The model version that returned a prediction, identified by the digest of its bytes."""

    name: str
    version: str
    digest: str
    """Digest of the archive, equal to the one in the release state and in /v1/models.

    If the archive is unknown, it is the digest of the weights, `weights_sha256` of the card. That is the case in a
    worker's own response, and in `evaluate`, which runs folders of weights."""
    engine: str = ""


class Landmark(FrozenModel):
    """One landmark with the score of the model, from 0 to 1."""

    kind: LandmarkKind
    x: float
    y: float
    score: float = Field(ge=0, le=1)


class Organ(FrozenModel):
    """One organ of one plant. Polygons have COCO's form: flat lists of x, y in source pixels."""

    kind: OrganKind
    ontology_id: str
    area_px: float
    area_mm2: NullableFloat
    confidence: float = Field(ge=0, le=1)
    polygons: tuple[tuple[float, ...], ...] = ()


class Root(FrozenModel):
    """One root as a polyline from origin to tip. Order 1 is the primary root, order 2 a lateral of it, and so on.

    Mean diameter and insertion angle (of a lateral to its parent) are NaN if they cannot be measured.
    """

    id: str
    order: int = Field(ge=1)
    parent: str | None = None
    points: tuple[tuple[float, float], ...]
    length_px: float
    confidence: float = Field(ge=0, le=1)
    diameter_px: NullableFloat = math.nan
    insertion_angle_deg: NullableFloat = math.nan
    flags: tuple[Flag, ...] = ()


class TraitValue(FrozenModel):
    """One measured trait, defined in docs/traits.md, with the nearest ontology term and its relation to the trait.

    The qualifier distinguishes traits that have the same term.
    """

    trait: str
    value: NullableFloat
    interval: tuple[float, float] | None = None
    """90 % interval of the true value, in the unit of the value (ADR 0120). None if no error model applies."""
    unit: str
    ontology_id: str | None
    ontology_relation: OntologyRelation | None = None
    ontology_qualifier: str | None = None
    quality: Literal["ok", "uncertain", "unknown"] = "ok"
    flags: tuple[Flag, ...] = ()


class Plant(FrozenModel):
    """One plant. Plants are numbered from 1, from left to right, and plate by plate if there are several."""

    id: int = Field(ge=1)
    plate: int | None = None
    """Number of the plant's plate in the image. None if no plate was found."""
    organs: tuple[Organ, ...]
    landmarks: tuple[Landmark, ...]
    roots: tuple[Root, ...]
    traits: tuple[TraitValue, ...] = ()
    flags: tuple[Flag, ...] = ()


class PlateMeasurement(FrozenModel):
    """One plate of an image, with its totals. Plates are numbered from 1 in reading order."""

    id: int = Field(ge=1)
    plate: Plate
    scale: Scale
    traits: tuple[TraitValue, ...]
    flags: tuple[Flag, ...] = ()


class Provenance(FrozenModel):
    """The models, configuration and package version of a measurement, for its reproduction."""

    models: tuple[ModelRef, ...]
    config_digest: str
    package_version: str
    created: str


class Timings(FrozenModel):
    """Durations of the stages in seconds, measured in the facade."""

    segment_s: float
    landmarks_s: float
    plants_s: float
    total_s: float


class Phenotype(FrozenModel):
    """The response of /v1/phenotype.

    With several plates, `plate` is None and `traits` is empty: each entry of `plates` has its scale and its totals.
    """

    image: ImageMetadata
    rotate: Rotation = 0
    """Clockwise turn of the image before its measurement, as requested. Positions are in the original image."""
    scale: Scale
    plate: Plate | None
    plates: tuple[PlateMeasurement, ...] = ()
    """All plates of the image in reading order."""
    plants: tuple[Plant, ...]
    traits: tuple[TraitValue, ...]
    flags: tuple[Flag, ...]
    provenance: Provenance
    timings: Timings
