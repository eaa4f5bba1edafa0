"""Types of a series that cross a process or file boundary.

Positions are millimetres from the top left corner of the plate, x along its upper edge, y perpendicular to it,
downwards. Times are ISO 8601. A time without an offset is the clock of the camera, in an unknown time zone.
"""

from typing import Literal

from pydantic import Field

from thale.schemas import Flag, FrozenModel, NullableFloat, Phenotype, ScaleSource

TimeSource = Literal["given", "exif", "file_name"]
Origin = Literal["plate_corner", "image_corner"]
Quality = Literal["ok", "uncertain", "unknown"]
Scope = Literal["interval", "series"]


class PlatePosition(FrozenModel):
    """A position on the plate in millimetres."""

    x_mm: float
    """Millimetres from the left edge of the plate."""
    y_mm: float
    """Millimetres from the upper edge of the plate."""


class SeriesItem(FrozenModel):
    """A phenotype that was measured before, with its time and its plate if its file name does not have them."""

    phenotype: Phenotype
    """Phenotype as returned by /v1/phenotype."""
    name: str | None = Field(None, max_length=1000, description="File name. Default: `image.name` of the phenotype.")
    time: str | None = Field(None, max_length=64, description="Time in ISO 8601. Default: from the file name.")
    plate: str | None = Field(None, max_length=200, description="Plate. Default: the file name without its time.")
    exif_time: str | None = Field(
        None,
        max_length=64,
        description="DateTimeOriginal of the file in ISO 8601. It precedes the time of the file name.",
    )


class SeriesRequest(FrozenModel):
    """Body of /v1/series: photographs of one or several plates, in any order."""

    photographs: tuple[SeriesItem, ...] = Field(min_length=1, max_length=1000)
    """Photographs of one or several plates, in any order."""
    time_zone: str | None = Field(
        None, max_length=64, description="Time zone of times without an offset, such as Europe/Amsterdam."
    )
    time_of_day: str | None = Field(
        None, max_length=16, description="Time of photographs that have only a date, such as 10:30."
    )


class SeriesPhotograph(FrozenModel):
    """One photograph of a series. `index` counts from 0 in the order of time."""

    index: int = Field(ge=0)
    """Position in the order of time, from 0."""
    image: str
    """File name of the photograph."""
    sha256: str
    """SHA-256 digest of the photograph."""
    time: str
    """Time of the photograph in ISO 8601."""
    time_source: TimeSource
    """Source of the time."""
    is_time_of_day_known: bool
    """False if only the date is known."""
    days: float
    """Days since the first photograph of the plate."""
    mm_per_px: NullableFloat
    """Millimetres per pixel. NaN if it is unknown."""
    scale_source: ScaleSource
    """Source of the scale."""
    origin: Origin
    """Origin of the positions. Without a plate edge, it is the corner of the image."""
    plants: int
    """Number of plants on the photograph."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the photograph."""


class Observation(FrozenModel):
    """A plant on one photograph. `plant` is its number in the phenotype of that photograph."""

    photograph: int = Field(ge=0)
    """Index of the photograph."""
    plant: int = Field(ge=1)
    """Number of the plant on the photograph."""
    base: PlatePosition | None = None
    """Position of the root base. None if it is unknown."""
    tip: PlatePosition | None = None
    """Position of the primary tip. None if it is unknown."""
    displacement_mm: NullableFloat
    """Distance of the root base from its previous position. NaN for the first one."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the observation."""


class GrowthRate(FrozenModel):
    """Growth rate of one trait, between two photographs or over the whole series."""

    trait: str
    """Name of the trait."""
    scope: Scope
    """`interval` between two photographs, or the whole `series`."""
    first_photograph: int = Field(ge=0)
    """Index of the first photograph."""
    last_photograph: int = Field(ge=0)
    """Index of the last photograph."""
    days: float
    """Days from the first photograph to the last."""
    values: int = Field(ge=0)
    """Number of known values of the trait from which the rate is computed."""
    rate: NullableFloat
    """Growth rate in `unit`. NaN if it is unknown."""
    interval: tuple[float, float] | None = None
    """90 % interval of the rate. None if the values of the trait have no interval."""
    unit: str
    """Unit, such as mm/day."""
    quality: Quality
    """Quality of the rate."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the rate."""


class Track(FrozenModel):
    """One plant through the series. Tracks are numbered from 1, from left to right."""

    id: int = Field(ge=1)
    """Number of the plant on the plate, from 1."""
    observations: tuple[Observation, ...]
    """Observations in the order of time."""
    growth: tuple[GrowthRate, ...]
    """Growth rates of the plant."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the track."""


class PlateSeries(FrozenModel):
    """The photographs of one plate in the order of time, and the tracks of its plants."""

    plate: str
    """Name of the plate."""
    photographs: tuple[SeriesPhotograph, ...]
    """Photographs in the order of time."""
    tracks: tuple[Track, ...]
    """Tracks of the plants."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the plate."""


class SeriesResult(FrozenModel):
    """All plates of a folder or of a request."""

    plates: tuple[PlateSeries, ...]
    """Plates of the request."""
    package_version: str
    """Version of thale."""
