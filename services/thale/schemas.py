"""Every type that crosses a process or file boundary, once.

Coordinates are pixels of the source image after its EXIF orientation is applied: x to the right, y down, the centre
of the first pixel at (0, 0). Lengths carry their unit in the name of the trait's row, never by convention alone.
A number that cannot be known is NaN in Python and null in JSON.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

NullableFloat = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float whose NaN is written as null and read back as NaN."""

Task = Literal["segmentation", "landmarks"]
ScaleSource = Literal["given", "plate_edge", "none"]
OrganKind = Literal["root", "shoot", "seed"]
LandmarkKind = Literal["root_base", "primary_tip", "lateral_tip", "leaf_tip"]
TraitLevel = Literal["plant", "plate"]


class FrozenModel(BaseModel):
    """Immutable, strict about unknown fields, NaN as null in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", protected_namespaces=())


class Point(FrozenModel):
    """A place in the source image, in pixels."""

    x: float
    y: float


class Flag(FrozenModel):
    """Something the reader must know about a number: a stable code, a sentence, and the place if it has one."""

    code: str
    message: str
    at: Point | None = None


class ImageMetadata(FrozenModel):
    """What the image's header says, before any pixel is decoded. Width and height are after EXIF orientation."""

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


class Scale(FrozenModel):
    """Millimetres per source pixel, and where that came from. NaN with source 'none'."""

    mm_per_px: NullableFloat
    source: ScaleSource
    plate_width_mm: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether lengths can be given in millimetres."""
        return self.source != "none"


class Plate(FrozenModel):
    """The plate found in the image: its four outer corners (top left, top right, bottom right, bottom left)."""

    corners: tuple[Point, Point, Point, Point]
    tilt_deg: float
    confidence: float = Field(ge=0, le=1)


class Calibration(FrozenModel):
    """The scale of an image, the plate it was read from, and what to know about both."""

    scale: Scale
    plate: Plate | None = None
    flags: tuple[Flag, ...] = ()


class ModelRef(FrozenModel):
    """Which model answered: enough to find the very bytes again."""

    name: str
    version: str
    digest: str
    """Of the archive, as the release record and /v1/models tell it. Where no archive is known (in a worker's own
    answer, and in `evaluate`, which runs folders of weights), of the weights: the card's `weights_sha256`."""
    engine: str = ""


class Landmark(FrozenModel):
    """One landmark with the model's score, 0 to 1."""

    kind: LandmarkKind
    x: float
    y: float
    score: float = Field(ge=0, le=1)


class Organ(FrozenModel):
    """One organ of one plant. Polygons are COCO's: flat x, y lists in source pixels."""

    kind: OrganKind
    ontology_id: str
    area_px: float
    area_mm2: NullableFloat
    confidence: float = Field(ge=0, le=1)
    polygons: tuple[tuple[float, ...], ...] = ()


class Root(FrozenModel):
    """One root as a polyline from its origin to its tip. Order 1 is the primary root, 2 a lateral of it, and so on."""

    id: str
    order: int = Field(ge=1)
    parent: str | None = None
    points: tuple[tuple[float, float], ...]
    length_px: float
    confidence: float = Field(ge=0, le=1)
    flags: tuple[Flag, ...] = ()


class TraitValue(FrozenModel):
    """One measured trait. `ontology_id` is the nearest term; what exactly was measured stands in the TRAITS table."""

    trait: str
    value: NullableFloat
    unit: str
    ontology_id: str | None
    quality: Literal["ok", "uncertain", "unknown"] = "ok"
    flags: tuple[Flag, ...] = ()


class Plant(FrozenModel):
    """One plant, numbered from 1 by its place from left to right."""

    id: int = Field(ge=1)
    organs: tuple[Organ, ...]
    landmarks: tuple[Landmark, ...]
    roots: tuple[Root, ...]
    traits: tuple[TraitValue, ...] = ()
    flags: tuple[Flag, ...] = ()


class Provenance(FrozenModel):
    """What made these numbers, so that they can be made again."""

    models: tuple[ModelRef, ...]
    config_digest: str
    package_version: str
    created: str


class Timings(FrozenModel):
    """Seconds spent, as the facade saw them."""

    segment_s: float
    landmarks_s: float
    plants_s: float
    total_s: float


class Phenotype(FrozenModel):
    """The answer of /v1/phenotype."""

    image: ImageMetadata
    scale: Scale
    plate: Plate | None
    plants: tuple[Plant, ...]
    traits: tuple[TraitValue, ...]
    flags: tuple[Flag, ...]
    provenance: Provenance
    timings: Timings


class Normalisation(FrozenModel):
    """How pixels become the net's input: (grey level - local background) / contrast, clipped.

    The local background is a Gaussian mean with a standard deviation of `background_mm` millimetres.
    """

    background_mm: float = Field(gt=0)
    contrast: float = Field(gt=0)
    clip: float = Field(gt=0)


class ModelCard(FrozenModel):
    """The model card: what a model answers, how it was made, and how good it is. A model is data; this describes it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    task: Task
    classes: tuple[str, ...]
    """Segmentation: background first. Landmarks: one kind for each heatmap."""
    mm_per_px: float = Field(gt=0)
    """Training scale: an image is resampled to this before the net sees it."""
    normalisation: Normalisation
    net: str
    net_options: dict[str, int | float | str] = {}
    tile_px: int
    overlap_px: int
    data: str
    licence: str
    recipe: str
    seed: int
    parameters: int
    weights_sha256: str
    metrics: dict[str, NullableFloat] = {}
    references: dict[str, tuple[float, ...]] = {}
    """Reference distributions of what the model says on its validation data: quantiles 0, 5, … 100 % by signal."""
    limits: str = ""
    """What the model is not good at, in words."""


class VersionManifest(FrozenModel):
    """One version of a model that a model server holds."""

    digest: str
    """Of the archive: a version's identity."""
    card: ModelCard
    url: str = ""
    """Where the model server that holds it listens; empty where one server holds all versions."""


class ReleaseEvent(FrozenModel):
    """One line of a release's history: what was done, by whom, when and why, and what was so from then on."""

    at: str
    who: str
    what: Literal["canary", "step", "promote", "roll back", "abort", "shadow"]
    why: str
    version: str
    """The version that it was about."""
    stable: str
    weight_percent: float


class Release(FrozenModel):
    """The release of one model: the version that answers, the one on trial, and how they came to be so.

    The canary answers `weight_percent` of the requests. The shadow sees copies of requests, and nobody its answers.
    """

    task: Task
    stable: str
    versions: dict[str, VersionManifest]
    """The versions that are held: these three, and others that can be pinned."""
    canary: str | None = None
    weight_percent: float = Field(0.0, ge=0, le=100)
    shadow: str | None = None
    steps: tuple[float, ...] = (5.0, 25.0, 50.0, 100.0)
    """The canary's shares on its way to being stable, in percent."""
    history: tuple[ReleaseEvent, ...] = ()
    """The last changes, the oldest first."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.versions[self.stable].card.name

    @model_validator(mode="after")
    def _check_roles_loaded(self) -> "Release":
        for role, version in (("stable", self.stable), ("canary", self.canary), ("shadow", self.shadow)):
            if version is not None and version not in self.versions:
                raise ValueError(f"the {role} version {version} is none of {', '.join(self.versions) or 'none'}")
            if version == self.stable and role != "stable":
                raise ValueError(f"the {role} version {version} is the stable one")
        if self.weight_percent and self.canary is None:
            raise ValueError(f"there is no canary to answer {self.weight_percent:g} %")
        if not self.steps or list(self.steps) != sorted({*self.steps}) or self.steps[0] <= 0 or self.steps[-1] != 100:
            raise ValueError(f"steps grow and end at 100: {self.steps} do not")
        return self


class ReleaseState(FrozenModel):
    """Which models are served and which version answers: the file (or resource) that every facade follows."""

    models: dict[str, Release]

    @model_validator(mode="after")
    def _check_cards_match_keys(self) -> "ReleaseState":
        for name, model in self.models.items():
            for version, released in model.versions.items():
                card = released.card
                if (card.name, card.version, card.task) != (name, version, model.task):
                    raise ValueError(
                        f"{name} {version} ({model.task}) holds the card of {card.name} {card.version} ({card.task})"
                    )
        return self


class ModelVersion(FrozenModel):
    """One served version of a model, as /v1/models tells it."""

    version: str
    state: Literal["ready", "loading", "unavailable"]
    default: bool
    canary: bool = False
    """Whether the version is on trial."""
    traffic_percent: float
    digest: str
    card: ModelCard


class ModelInfo(FrozenModel):
    """One model with its versions."""

    name: str
    task: Task
    versions: tuple[ModelVersion, ...]


class CheckResult(FrozenModel):
    """One question that the judge asks of a canary, and what has been found since the rollout began."""

    check: str
    """A stable name: failures, latency_slo, no_plants …"""
    summary: str
    """The same for a person, with the numbers."""
    regression_evidence: NullableFloat
    """Evidence that the canary is worse: 1 and more rolls it back, 0 and less is none."""
    noninferiority_evidence: NullableFloat
    """Evidence that it is not worse by more than the margin: 1 and more is enough; NaN where none is asked for."""


class Verdict(FrozenModel):
    """What should become of a canary now. `promote` means the next step, and after the last one the stable place."""

    model: str
    canary: str
    stable: str
    weight_percent: float
    decision: Literal["promote", "hold", "roll back", "inconclusive"]
    reasons: tuple[str, ...]
    """In words, with the numbers, the weightiest first."""
    check_results: tuple[CheckResult, ...] = ()


class Problem(BaseModel):
    """An error by RFC 9457. `type` is stable; clients may switch on it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
