"""Schemas of an image and its calibration: positions, flags, metadata, plates and scale."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

from thale.schemas.fields import FrozenModel, NullableFloat, ScaleSource


class Point(FrozenModel):
    """A position in the source image, in pixels."""

    x: float
    """Pixels to the right of the centre of the first pixel."""
    y: float
    """Pixels below the centre of the first pixel."""


class Flag(FrozenModel):
    """A remark about a value: a stable code, a message, and a position if it has one."""

    code: str
    """Stable code, such as crossing."""
    message: str
    """The remark as text, with its numbers and the remedy."""
    at: Point | None = None
    """Position in the image. None if the remark has none."""


class ImageMetadata(FrozenModel):
    """Metadata from the image header. Width and height apply after the EXIF orientation."""

    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    format: Annotated[str, WithJsonSchema({"type": "string", "x-extensible-enum": ["JPEG", "PNG", "TIFF", "HEIC"]})]
    """Format, detected from the content: JPEG, PNG, TIFF or HEIC. A later version may read further formats."""
    mode: str
    """Channels as stored, such as L, RGB or CMYK."""
    bits: int
    """Bits per channel."""
    pages: int = 1
    """Number of pages of a TIFF, 1 for other formats."""
    exif_orientation: int = 1
    """EXIF orientation, from 1 (upright) to 8. It is applied."""
    size_bytes: int
    """Size of the file."""
    sha256: str
    """SHA-256 digest of the file, in hexadecimal digits."""
    name: str | None = None
    """File name of the upload, or the parameter `name`. None if neither was sent."""
    jpeg_quality: int | None = Field(None, ge=1, le=100)
    """Quality of a JPEG in the scale of libjpeg, estimated from its quantisation tables."""


class Scale(FrozenModel):
    """Millimetres per source pixel, and the source of the scale. NaN with the sources 'per_plate' and 'none'."""

    mm_per_px: NullableFloat
    """Millimetres per pixel. NaN if it is unknown, or if each plate has its own."""
    source: ScaleSource
    """Source of the scale."""
    plate_width_mm: float | None = None
    """Outer width of the plate in millimetres, given or assumed. None if no plate edge was used."""

    @property
    def is_known(self) -> bool:
        """True if lengths can be converted to millimetres."""
        return self.source not in ("per_plate", "none")


class Plate(FrozenModel):
    """The detected plate: its four outer corners (top left, top right, bottom right, bottom left)."""

    corners: tuple[Point, Point, Point, Point]
    """Outer corners: top left, top right, bottom right, bottom left."""
    tilt_deg: float
    """Clockwise tilt of the upper edge in degrees."""
    confidence: float = Field(ge=0, le=1)
    """Confidence of the detection, from 0 to 1."""


class Calibration(FrozenModel):
    """The scale of an image, the plate that it was derived from, all plates of the image, and flags about them."""

    scale: Scale
    """Scale of the image."""
    plate: Plate | None = None
    """The plate from which the scale was derived. None without a plate, or with several."""
    plates: tuple[Plate, ...] = ()
    """All plates in reading order. Empty in the response of an older model server."""
    flags: tuple[Flag, ...] = ()
    """Remarks about the scale and the plate."""
