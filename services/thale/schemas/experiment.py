"""Schemas of experiments: design tables, images, measurements, corrections and jobs."""

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from thale.schemas.corrections import CorrectedPlant
from thale.schemas.fields import FrozenModel, NullableFloat
from thale.schemas.phenotype import ModelRef, Phenotype

JobState = Literal["running", "finished", "cancelled"]
JobImageState = Literal["queued", "running", "measured", "failed", "quarantined", "cancelled"]
ExperimentName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$")]


class ExperimentRequest(BaseModel):
    """A new experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ExperimentName
    """Unique name of the experiment, without slashes."""
    description: str = Field("", max_length=10_000)
    """Free text."""
    retain_until: datetime.date | None = None
    """Last day (UTC) on which the experiment is kept. The server then deletes it. None: until it is deleted."""


class ExperimentUpdate(BaseModel):
    """Changes of an experiment. A field that is not sent stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field("", max_length=10_000)
    """Free text."""
    retain_until: datetime.date | None = None
    """Last day (UTC) on which the experiment is kept. None: until it is deleted."""


class Experiment(FrozenModel):
    """An experiment with the number of its images."""

    id: str
    """Permanent identifier."""
    name: str
    """Unique name."""
    description: str
    """Free text."""
    created_at: str
    """Time of the creation in UTC, in ISO 8601."""
    created_by: str
    """Caller that created the experiment. This caller, and callers with the scope `admin`, may delete it."""
    design_columns: tuple[str, ...]
    """Columns of the design table. Empty without one."""
    images: int
    """Number of images."""
    measured: int
    """Number of images with a measurement."""
    retain_until: datetime.date | None = None
    """Last day (UTC) on which the experiment is kept. None: until it is deleted."""


class ExperimentPage(FrozenModel):
    """A page of experiments, the newest first."""

    items: tuple[Experiment, ...]
    """Experiments of the page."""
    next_cursor: str | None
    """Parameter `cursor` of the next page. None on the last page."""


class DeletedExperiment(FrozenModel):
    """Result of a deletion. Images that another experiment contains stay stored."""

    id: str
    """Identifier of the deleted experiment."""
    images: int
    """Number of images whose bytes and measurements were deleted."""


class DesignTable(FrozenModel):
    """Design table of an experiment: what is known about each plate, image or plant before the measurement."""

    columns: tuple[str, ...]
    """Names of the columns. One or more of `image`, `plate` and `plant` identify the row."""
    rows: tuple[tuple[str, ...], ...]
    """Rows with a text for each column. An empty text is unknown."""
    unmatched_rows: int = 0
    """Number of rows that no image of the experiment has yet."""
    images_without_row: int = 0
    """Number of images for which the table has no row."""


class ExperimentImage(FrozenModel):
    """An image of an experiment."""

    sha256: str
    """SHA-256 digest of its bytes, in hexadecimal digits."""
    name: str
    """File name, as first added to the experiment."""
    plate: str
    """Name of the plate: given, or the file name without the time."""
    added_at: str
    """Time of the addition in UTC, in ISO 8601."""
    measurement_id: str | None
    """Current measurement. None if the image is not measured yet."""


class AddedImage(ExperimentImage):
    """An image after its addition to an experiment, with its measurement."""

    is_new: bool
    """False if the experiment contained the image before."""
    from_cache: bool
    """True if the measurement was stored before, so that no model ran."""
    phenotype: Phenotype | None = None
    """The measurement. None if none was requested."""


class ExperimentImagePage(FrozenModel):
    """A page of images in the order of their addition."""

    items: tuple[ExperimentImage, ...]
    """Images of the page."""
    next_cursor: str | None
    """Parameter `cursor` of the next page. None on the last page."""


class MeasurementParameters(FrozenModel):
    """Parameters of a measurement that affect its values."""

    mm_per_px: float | None = None
    """Scale in millimetres per pixel. None if it was not given."""
    plate_width_mm: float | None = None
    """Outer width of the plate in millimetres. None if it was not given."""
    page: int | None = None
    """Page of a TIFF with several pages, from 0. None if it was not given."""
    expected_plants: int | None = None
    """Number of plants on each plate. None if it was not given."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Clockwise turn in degrees."""


class MeasurementSummary(FrozenModel):
    """A measurement of an image without its plants. It is never changed."""

    id: str
    """Permanent identifier, derived from the image, the models, the parameters and the version of thale."""
    sha256: str
    """SHA-256 digest of the image, in hexadecimal digits."""
    models: tuple[ModelRef, ...]
    """The models that returned the predictions."""
    parameters: MeasurementParameters
    """Parameters of the measurement."""
    package_version: str
    """Version of thale."""
    created_at: str
    """Time of the measurement in UTC, in ISO 8601."""


class ExperimentMeasurement(MeasurementSummary):
    """A measurement that an experiment requested."""

    image: str
    """File name of the image in the experiment."""
    plate: str
    """Name of the plate in the experiment."""
    is_current: bool
    """True if the tables of the experiment contain it. An image has one current measurement."""


class MeasurementPage(FrozenModel):
    """A page of the measurements of an experiment in the order of their addition."""

    items: tuple[ExperimentMeasurement, ...]
    """Measurements of the page."""
    next_cursor: str | None
    """Parameter `cursor` of the next page. None on the last page."""


class Measurement(MeasurementSummary):
    """A measurement with the whole phenotype."""

    phenotype: Phenotype
    """The phenotype. Its image has no name, because names belong to experiments."""


class TraitDifference(FrozenModel):
    """A value that differs between a measurement and its reproduction."""

    plant: int | None
    """Number of the plant. None for a total of a plate."""
    trait: str
    """Name of the trait."""
    unit: str
    """Unit of both values."""
    stored: NullableFloat
    """Stored value. NaN if it is unknown or missing."""
    reproduced: NullableFloat
    """Value of the reproduction. NaN if it is unknown or missing."""


class Reproduction(FrozenModel):
    """Comparison of a measurement with a new one of the same image, versions and parameters."""

    measurement_id: str
    """The stored measurement."""
    is_identical: bool
    """True if all values of all plants and plates are equal."""
    same_models: bool
    """True if the model archives and their engines are those of the stored measurement."""
    same_package_version: bool
    """True if the version of thale is that of the stored measurement."""
    values: int
    """Number of compared values."""
    max_relative_difference: NullableFloat
    """Largest difference between two known values, relative to the stored one. NaN if no pair is known."""
    differences: tuple[TraitDifference, ...]
    """The first 50 values that differ."""


class CorrectionRequest(BaseModel):
    """A correction of a measurement by a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1, max_length=2_000)
    """Reason for the correction."""
    plants: tuple[CorrectedPlant, ...] = Field(max_length=500)
    """All plants of the image, as in the body of /v1/traits. A measured plant that is missing is removed."""


class Correction(FrozenModel):
    """A stored correction. The measurement stays as it is."""

    id: int
    """Number of the correction."""
    measurement_id: str
    """The measurement."""
    created_at: str
    """Time of the correction in UTC, in ISO 8601."""
    created_by: str
    """Caller that sent the correction."""
    reason: str
    """Reason for the correction."""
    plants: tuple[CorrectedPlant, ...]
    """All plants of the image after the correction."""


class CorrectionList(FrozenModel):
    """Corrections of a measurement, the oldest first."""

    items: tuple[Correction, ...]
    """The corrections."""


class JobRequest(BaseModel):
    """A new job: the measurement of images of an experiment in the background."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str = Field(min_length=1, max_length=200)
    """Id or name of the experiment."""
    remeasure: bool = False
    """True: all images. False: images without a measurement."""
    mm_per_px: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Scale in millimetres per pixel."""
    plate_width_mm: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Outer width of the plate in millimetres; 120 by default."""
    expected_plants: int | None = Field(None, ge=1, le=1000)
    """Number of sown plants on each plate."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Clockwise turn in degrees that brings the shoots to the top."""
    priority: int = Field(0, ge=-10, le=10)
    """Jobs with a higher priority run first."""

    @property
    def parameters(self) -> MeasurementParameters:
        """Parameters of the measurements."""
        return MeasurementParameters(
            mm_per_px=self.mm_per_px,
            plate_width_mm=self.plate_width_mm,
            expected_plants=self.expected_plants,
            rotate=self.rotate,
        )


class JobProgress(FrozenModel):
    """Numbers of images of a job by their state."""

    total: int
    """All images of the job."""
    queued: int
    """Images that wait, also for a further attempt."""
    running: int
    """Images that are being measured."""
    measured: int
    """Images with a measurement."""
    failed: int
    """Images that cannot be measured, for example because they are damaged."""
    quarantined: int
    """Images that failed three times. A retry measures them again."""
    cancelled: int
    """Images that were not measured before the job was cancelled."""


class Job(FrozenModel):
    """A job with its progress."""

    id: str
    """Permanent identifier."""
    experiment_id: str
    """The experiment."""
    state: JobState
    """`running` until no image waits or runs, then `finished` or `cancelled`."""
    priority: int
    """Jobs with a higher priority run first."""
    parameters: MeasurementParameters
    """Parameters of the measurements."""
    created_at: str
    """Time of the submission in UTC, in ISO 8601."""
    created_by: str
    """Caller that submitted the job."""
    finished_at: str | None
    """Time of the end in UTC, in ISO 8601. None while the job runs."""
    progress: JobProgress
    """Numbers of images by state."""


class JobPage(FrozenModel):
    """A page of jobs, the newest first."""

    items: tuple[Job, ...]
    """Jobs of the page."""
    next_cursor: str | None
    """Parameter `cursor` of the next page. None on the last page."""


class JobImage(FrozenModel):
    """An image of a job."""

    sha256: str
    """SHA-256 digest of the image, in hexadecimal digits."""
    name: str
    """File name of the image in the experiment."""
    state: JobImageState
    """State of the image in the job."""
    attempts: int
    """Number of attempts that have ended."""
    reason: str | None
    """Reason of the last failure. None without a failure."""
    measurement_id: str | None
    """The measurement. None before it exists."""


class JobImagePage(FrozenModel):
    """A page of the images of a job, in the order of the experiment."""

    items: tuple[JobImage, ...]
    """Images of the page."""
    next_cursor: str | None
    """Parameter `cursor` of the next page. None on the last page."""


class JobEvent(FrozenModel):
    """An event of a job."""

    id: int
    """Number of the event, which increases."""
    job_id: str
    """The job."""
    created_at: str
    """Time of the event in UTC, in ISO 8601."""
    type: str
    """`submitted`, `measured`, `failed`, `quarantined`, `cancelled`, `retried` or `finished`."""
    data: dict[str, JsonValue]
    """Details, such as the image and the reason."""
