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
    y_mm: float


class SeriesItem(FrozenModel):
    """A phenotype that was measured before, with its time and its plate if its file name does not have them."""

    phenotype: Phenotype
    name: str | None = Field(None, max_length=1000, description="File name. Default: `image.name` of the phenotype.")
    time: str | None = Field(None, max_length=64, description="Time in ISO 8601. Default: from the file name.")
    plate: str | None = Field(None, max_length=200, description="Plate. Default: the file name without its time.")


class SeriesRequest(FrozenModel):
    """Body of /v1/series: photographs of one or several plates, in any order."""

    photographs: tuple[SeriesItem, ...] = Field(min_length=1, max_length=1000)
    time_zone: str | None = Field(
        None, max_length=64, description="Time zone of times without an offset, such as Europe/Amsterdam."
    )
    time_of_day: str | None = Field(
        None, max_length=16, description="Time of photographs that have only a date, such as 10:30."
    )


class SeriesPhotograph(FrozenModel):
    """One photograph of a series. `index` counts from 0 in the order of time."""

    index: int = Field(ge=0)
    image: str
    sha256: str
    time: str
    time_source: TimeSource
    is_time_of_day_known: bool
    days: float
    """Days since the first photograph of the plate."""
    mm_per_px: NullableFloat
    scale_source: ScaleSource
    origin: Origin
    """Origin of the positions. Without a plate edge, it is the corner of the image."""
    plants: int
    flags: tuple[Flag, ...] = ()


class Observation(FrozenModel):
    """A plant on one photograph. `plant` is its number in the phenotype of that photograph."""

    photograph: int = Field(ge=0)
    plant: int = Field(ge=1)
    base: PlatePosition | None = None
    tip: PlatePosition | None = None
    displacement_mm: NullableFloat
    """Distance of the root base from its previous position. NaN for the first one."""
    flags: tuple[Flag, ...] = ()


class GrowthRate(FrozenModel):
    """Growth rate of one trait, between two photographs or over the whole series."""

    trait: str
    scope: Scope
    first_photograph: int = Field(ge=0)
    last_photograph: int = Field(ge=0)
    days: float
    values: int = Field(ge=0)
    """Number of known values of the trait from which the rate is computed."""
    rate: NullableFloat
    interval: tuple[float, float] | None = None
    """90 % interval of the rate. None if the values of the trait have no interval."""
    unit: str
    quality: Quality
    flags: tuple[Flag, ...] = ()


class Track(FrozenModel):
    """One plant through the series. Tracks are numbered from 1, from left to right."""

    id: int = Field(ge=1)
    observations: tuple[Observation, ...]
    growth: tuple[GrowthRate, ...]
    flags: tuple[Flag, ...] = ()


class PlateSeries(FrozenModel):
    """The photographs of one plate in the order of time, and the tracks of its plants."""

    plate: str
    photographs: tuple[SeriesPhotograph, ...]
    tracks: tuple[Track, ...]
    flags: tuple[Flag, ...] = ()


class SeriesResult(FrozenModel):
    """All plates of a folder or of a request."""

    plates: tuple[PlateSeries, ...]
    package_version: str
