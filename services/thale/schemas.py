"""Types that cross a process or file boundary, each declared once.

Coordinates are pixels of the source image with its EXIF orientation applied: x to the right, y down, the centre of the
first pixel at (0, 0). Every length has an explicit unit: in a field name such as `mm_per_px`, or in the `unit` of a
trait. An unknown number is NaN in Python and null in JSON.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from thale.visible_text import Label, Line, Text

NullableFloat = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float that is serialized as null if it is NaN, and parsed from null as NaN."""

MODEL_NAME_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
VERSION_PATTERN = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$"
"""MAJOR.MINOR.PATCH of Semantic Versioning in ASCII digits without leading zeros. A version has one spelling.

With `re`, use fullmatch: its `$` also matches before a final newline.
"""

ModelName = Annotated[str, Field(pattern=MODEL_NAME_PATTERN)]
Version = Annotated[str, Field(pattern=VERSION_PATTERN)]

Task = Literal["segmentation", "landmarks"]
ScaleSource = Literal["given", "plate_edge", "assumed", "per_plate", "none"]
"""`given`: the scale. `plate_edge`: the plate's edge and its given width. `assumed`: the plate's edge and the assumed
width of 120 mm. `per_plate`: each of several plates has its own. `none`: no scale."""
Rotation = Literal[0, 90, 180, 270]
Region = Literal["plate", "image"]
"""Clockwise turn in degrees."""
OrganKind = Literal["root", "shoot", "seed"]
LandmarkKind = Literal["root_base", "primary_tip", "lateral_tip", "leaf_tip"]
TraitLevel = Literal["plant", "plate"]
OntologyRelation = Literal["exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch"]
"""Mapping properties of SKOS. The ontology term is the object: a broadMatch is broader than the trait."""


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, which are its sort key: 1.10.0 follows 1.9.0."""
    return tuple(int(number) for number in version.split("."))


class FrozenModel(BaseModel):
    """Base class of the schemas: immutable, rejects unknown fields, serializes NaN as null."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", protected_namespaces=())


class Point(FrozenModel):
    """A position in the source image, in pixels."""

    x: float
    y: float


class Flag(FrozenModel):
    """A remark about a value: a stable code, a message, and a position if it has one."""

    code: str
    message: str
    at: Point | None = None


class ImageMetadata(FrozenModel):
    """Metadata from the image header. Width and height apply after the EXIF orientation."""

    width: int
    height: int
    format: Literal["JPEG", "PNG", "TIFF"]
    mode: str
    bits: int
    pages: int = 1
    exif_orientation: int = 1
    size_bytes: int
    sha256: str
    name: str | None = None
    jpeg_quality: int | None = Field(None, ge=1, le=100)
    """Quality of a JPEG in the scale of libjpeg, estimated from its quantisation tables."""


class Scale(FrozenModel):
    """Millimetres per source pixel, and the source of the scale. NaN with the sources 'per_plate' and 'none'."""

    mm_per_px: NullableFloat
    source: ScaleSource
    plate_width_mm: float | None = None

    @property
    def is_known(self) -> bool:
        """True if lengths can be converted to millimetres."""
        return self.source not in ("per_plate", "none")


class Plate(FrozenModel):
    """The detected plate: its four outer corners (top left, top right, bottom right, bottom left)."""

    corners: tuple[Point, Point, Point, Point]
    tilt_deg: float
    confidence: float = Field(ge=0, le=1)


class Calibration(FrozenModel):
    """The scale of an image, the plate that it was derived from, all plates of the image, and flags about them."""

    scale: Scale
    plate: Plate | None = None
    plates: tuple[Plate, ...] = ()
    """All plates in reading order. Empty in the response of an older model server."""
    flags: tuple[Flag, ...] = ()


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


class Normalisation(FrozenModel):
    """Conversion of pixels to the network's input: (grey level - local background) / contrast, clipped.

    The local background is a Gaussian mean with a standard deviation of `background_mm` millimetres.
    """

    background_mm: float = Field(gt=0, allow_inf_nan=False)
    contrast: float = Field(gt=0, allow_inf_nan=False)
    clip: float = Field(gt=0, allow_inf_nan=False)


_OptionNumber = Annotated[int, Field(ge=0, le=4096)] | Annotated[float, Field(ge=0, le=4096)]


class ModelCard(FrozenModel):
    """Description of a model: its task and outputs, its training, and its quality.

    Each text and each collection has a maximum length. `thale.models.model_card.MAX_CARD_BYTES` bounds the total.
    """

    name: ModelName
    version: Version
    task: Task
    classes: tuple[Label, ...] = Field(max_length=64)
    """Segmentation: the organ classes, background first. Landmarks: the kind of each heatmap."""
    mm_per_px: float = Field(gt=0, allow_inf_nan=False)
    """Training scale. Images are resampled to this scale before inference."""
    normalisation: Normalisation
    net: Label
    net_options: dict[Label, _OptionNumber | Label] = Field({}, max_length=64)
    tile_px: int
    overlap_px: int
    data: Text
    licence: Line
    recipe: Label
    seed: int = Field(ge=-(2**63), lt=2**64)
    parameters: int = Field(ge=0, lt=2**40)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    metrics: dict[Label, NullableFloat] = Field({}, max_length=256)
    references: dict[Label, Annotated[tuple[float, ...], Field(max_length=256)]] = Field({}, max_length=64)
    """Reference distributions: quantiles 0, 5, … 100 % of each plate statistic on the validation data."""
    limits: Text = ""
    """Known limitations, as text."""


class VersionManifest(FrozenModel):
    """One model version in a registry or on a model server."""

    digest: str
    """Digest of the archive, which identifies the version."""
    card: ModelCard
    url: str = ""
    """Address of the version's own model server. Empty if one server holds all versions."""


class ReleaseEvent(FrozenModel):
    """One change in the history of a release: what, who, why, when, and the resulting state."""

    at: str
    who: str
    what: Literal["canary", "step", "promote", "roll back", "abort", "shadow"]
    why: str
    version: str
    """The version that was the subject of the change."""
    stable: str
    weight_percent: float


class Release(FrozenModel):
    """The release of one model: its stable version, canary, shadow and history.

    The canary serves `weight_percent` of the requests. The shadow receives copies of requests, and its responses are
    not returned to clients.
    """

    task: Task
    stable: str
    versions: dict[str, VersionManifest]
    """The loaded versions: stable, canary, shadow, and others that clients can pin."""
    canary: str | None = None
    weight_percent: float = Field(0.0, ge=0, le=100)
    shadow: str | None = None
    steps: tuple[float, ...] = (5.0, 25.0, 50.0, 100.0)
    """The weights of the canary during a rollout, in percent."""
    history: tuple[ReleaseEvent, ...] = ()
    """The latest changes, oldest first."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.versions[self.stable].card.name

    @model_validator(mode="after")
    def _check_roles_loaded(self) -> "Release":
        for role, version in (("stable", self.stable), ("canary", self.canary), ("shadow", self.shadow)):
            if version is not None and version not in self.versions:
                raise ValueError(
                    f"the {role} version {version} is not in versions ({', '.join(self.versions) or 'empty'})"
                )
            if version == self.stable and role != "stable":
                raise ValueError(f"the {role} version {version} is also the stable version")
        if self.weight_percent and self.canary is None:
            raise ValueError(f"weight_percent is {self.weight_percent:g}, but there is no canary")
        if not self.steps or list(self.steps) != sorted({*self.steps}) or self.steps[0] <= 0 or self.steps[-1] != 100:
            raise ValueError(f"steps must increase from above 0 to 100: {self.steps}")
        return self


class ReleaseState(FrozenModel):
    """The releases of all models: the file or resource that every facade watches."""

    models: dict[str, Release]

    @model_validator(mode="after")
    def _check_cards_match_keys(self) -> "ReleaseState":
        for name, model in self.models.items():
            for version, released in model.versions.items():
                card = released.card
                if (card.name, card.version, card.task) != (name, version, model.task):
                    raise ValueError(
                        f"{name} {version} ({model.task}) has the card of {card.name} {card.version} ({card.task})"
                    )
        return self


class ModelVersion(FrozenModel):
    """One served version of a model, as listed by /v1/models."""

    version: str
    state: Literal["ready", "loading", "unavailable"]
    default: bool
    canary: bool = False
    """True if the version is the canary of a rollout."""
    traffic_percent: float
    digest: str
    card: ModelCard


class ModelInfo(FrozenModel):
    """One model with its versions."""

    name: str
    task: Task
    versions: tuple[ModelVersion, ...]


class CheckResult(FrozenModel):
    """One check of the judge, and its evidence since the rollout started."""

    check: str
    """Stable name of the check: failures, latency_slo, no_plants …"""
    summary: str
    """The result as text, with the numbers."""
    regression_evidence: NullableFloat
    """Evidence of regression. At 1 or more the canary is rolled back; 0 or less is no evidence."""
    noninferiority_evidence: NullableFloat
    """Evidence of non-inferiority within the margin. 1 or more is sufficient; NaN if the check requires none."""


class Verdict(FrozenModel):
    """Decision of the judge about a canary. `promote` means the next step, and after the last step the stable role."""

    model: str
    canary: str
    stable: str
    weight_percent: float
    decision: Literal["promote", "hold", "roll back", "inconclusive"]
    reasons: tuple[str, ...]
    """Reasons as text with the numbers, the most important first."""
    check_results: tuple[CheckResult, ...] = ()


class Problem(BaseModel):
    """An error response by RFC 9457. `type` is stable, so that clients can branch on it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
