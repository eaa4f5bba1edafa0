"""Schemas of an image and its calibration: positions, flags, metadata, plates and scale."""

from typing import Literal

from pydantic import Field

from thale.schemas.fields import FrozenModel, NullableFloat, ScaleSource


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
