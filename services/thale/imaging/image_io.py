"""Image files: metadata from their headers, and their pixels as 8-bit RGB.

The format is detected from the content, never from the file name. Header values are checked against the limits before
any allocation, so a header of 100,000 x 100,000 pixels costs nothing. Every defect of a file raises an `ImageError`
with a remedy.

Alpha is dropped and the stored colours are unchanged: blending would add a background that was not photographed.

Samples of 16 bits are shifted to 8 bits by the bit depth that the image uses. The depth is the smallest of 8 to 16 that
fits 99.9 % of the samples, because cameras with 10, 12 or 14 bits use only a part of a 16-bit file. Brighter samples,
such as hot pixels, become 255. The contrast is never stretched between the darkest and the brightest pixel: a speck of
dust must not change the contrast of a root.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from thale.errors import (
    DamagedImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    MultiPageImageError,
    ParameterError,
)
from thale.imaging.heif_header import read_heic
from thale.imaging.image_headers import Header, ImageFormat, read_jpeg, read_png, read_tiff
from thale.imaging.image_signatures import sniff
from thale.imaging.jpeg_scans import check_scans
from thale.imaging.stored_pixels import apply_orientation, decode_stored_pixels
from thale.schemas import ImageMetadata

MAX_PIXELS = 100_000_000
"""300 MB as RGB. A 120 mm dish scanned at 1200 dpi has 32 million pixels, a full-frame camera 61 million."""
MAX_ASPECT_RATIO = 50
"""Maximum ratio of the sides. Tiles have a minimum size: a strip of few pixels needs up to 20 times the work."""

MIN_SIDE_PX = 32
"""On smaller images, a root cannot be distinguished from noise."""

_READERS: dict[ImageFormat, Callable[[bytes], Header]] = {"JPEG": read_jpeg, "PNG": read_png, "HEIC": read_heic}

# Exception types that Pillow, tifffile and pi-heif raised for damaged files under fuzzing.
_DECODER_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_header(data: bytes, name: str | None = None, page: int | None = None) -> ImageMetadata:
    """Return the metadata of an image without decoding pixels. Most of the time is spent on hashing (about 1 GB/s).

    Args:
        data: The whole file.
        name: File name, copied to the metadata and not interpreted.
        page: Page of a TIFF, from 0; the metadata describe that page.

    Raises:
        ImageError: EmptyImageError, UnsupportedImageError, DamagedImageError, ImageTooSmallError, ImageTooLargeError or
            MultiPageImageError, each with a remedy.
        ParameterError: If the file does not have this page.
    """
    header = _read_valid_header(data, page)
    width, height = header.upright_size
    return ImageMetadata(
        width=width,
        height=height,
        format=header.format,
        mode=header.mode,
        bits=header.bits,
        pages=len(header.pages),
        exif_orientation=header.orientation,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        name=name,
        jpeg_quality=header.jpeg_quality,
    )


def decode(data: bytes, page: int | None = None) -> NDArray[np.uint8]:
    """Return the image as uint8 H x W x 3, RGB, upright by its EXIF orientation.

    Args:
        data: The whole file.
        page: Page of a TIFF, from 0. It is optional for files of one page.

    Raises:
        ImageError: As in `read_header`, DamagedImageError if the pixel data are incomplete, and ImageTooLargeError if
            the pixels need more memory than this process may use.
        ParameterError: If the file does not have this page.
    """
    return _decode(data, _read_valid_header(data, page), page or 0, 1)


def decode_reduced(data: bytes, page: int | None, min_long_side: int) -> NDArray[np.uint8]:
    """Return the image as `decode` does, for display: reduced by an integer factor before the whole of it is in memory.

    Args:
        data: The whole file.
        page: Page of a TIFF, from 0. It is optional for files of one page.
        min_long_side: The longer side in pixels has at least this length, and up to twice of it unless the image is
            smaller. The longer side of a JPEG is up to four times as long.

    Raises:
        ImageError: As in `decode`.
        ParameterError: If the file does not have this page.
    """
    header = _read_valid_header(data, page)
    return _decode(data, header, page or 0, max(1, max(header.width, header.height) // min_long_side))


def _decode(data: bytes, header: Header, page: int, factor: int) -> NDArray[np.uint8]:
    try:
        pixels = decode_stored_pixels(data, header, page, factor)
    except MemoryError as error:
        raise ImageTooLargeError(
            "the pixels need more memory than this process may use: scale the image down, or save it with 8 bits"
        ) from error
    except _DECODER_FAILURES as error:
        raise DamagedImageError(
            f"the pixels of the {header.format} cannot be decoded completely ({error}): send the whole file"
        ) from error
    upright = apply_orientation(pixels, header.orientation)
    return np.ascontiguousarray(upright if upright.ndim == 3 else np.repeat(upright[..., None], 3, axis=2))


def _read_valid_header(data: bytes, page: int | None) -> Header:
    kind = sniff(data[:64])
    header = read_tiff(data, page) if kind == "TIFF" else _READERS[kind](data)
    pages = len(header.pages)
    if page is None and pages > 1:
        raise MultiPageImageError(pages)
    if page is not None and not 0 <= page < pages:
        raise ParameterError(f"page={page}: the {kind} has {pages} page{'s' * (pages > 1)}, counted from 0")
    width, height = header.upright_size
    if min(width, height) < MIN_SIDE_PX:
        raise ImageTooSmallError(width, height, MIN_SIDE_PX)
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"the image is {width} x {height} px; the maximum is {MAX_PIXELS // 1_000_000} million pixels: "
            "scale it down, or crop it to one plate per image"
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageTooLargeError(
            f"the image is {width} x {height} px; the longer side may be up to {MAX_ASPECT_RATIO} times the shorter "
            "one: crop it to one plate per image"
        )
    if header.format == "JPEG":
        check_scans(data, width, height)
    return header
