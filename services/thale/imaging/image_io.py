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
import io
import math
import struct
import sys
import zlib
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from thale.errors import (
    DamagedImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    MultiPageImageError,
    ParameterError,
    UnsupportedImageError,
)
from thale.imaging.heif_decoder import decode_upright
from thale.imaging.heif_header import read_heic
from thale.imaging.image_headers import MAX_SAMPLES, Header, ImageFormat, read_jpeg, read_png, read_tiff
from thale.imaging.image_signatures import sniff
from thale.imaging.jpeg_scans import check_scans
from thale.schemas import ImageMetadata

MAX_PIXELS = 100_000_000
"""300 MB as RGB. A 120 mm dish scanned at 1200 dpi has 32 million pixels, a full-frame camera 61 million."""
MAX_ASPECT_RATIO = 50
"""Maximum ratio of the sides. Tiles have a minimum size: a strip of few pixels needs up to 20 times the work."""

MIN_SIDE_PX = 32
"""On smaller images, a root cannot be distinguished from noise."""

_STRIP_ROWS = 256
_USED_SHARE = 0.999
_MAX_RANKED_SAMPLES = 4_000_000

Sample = TypeVar("Sample", np.uint8, np.uint16)
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
    header = _read_valid_header(data, page)
    try:
        pixels = _decode_pixels(data, header, page or 0)
    except MemoryError as error:
        raise ImageTooLargeError(
            "the pixels need more memory than this process may use: scale the image down, or save it with 8 bits"
        ) from error
    except _DECODER_FAILURES as error:
        raise DamagedImageError(
            f"the pixels of the {header.format} cannot be decoded completely ({error}): send the whole file"
        ) from error
    height, width = pixels.shape[:2]
    _check_size(width, height, header)
    return np.ascontiguousarray(_apply_orientation(_to_rgb(pixels), header.orientation))


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


def _decode_pixels(data: bytes, header: Header, page: int) -> NDArray[np.uint8]:
    """Return the stored pixels: uint8, H x W (grayscale) or H x W x 3."""
    # The plugin classes are used directly, not through Image.open: Pillow then tries only the detected format, and its
    # process-wide size limit (a warning) does not apply.
    if header.format == "JPEG":
        return _load_pixels(JpegImageFile(io.BytesIO(data)), header)
    if header.format == "PNG":
        if header.bits == 16:
            return _decode_png_16(data, header)
        return _load_pixels(PngImageFile(io.BytesIO(data)), header)
    if header.format == "HEIC":
        return _apply_orientation(decode_upright(data, header), _INVERSE_ORIENTATION[header.orientation])
    directory_index = header.pages[page]
    if header.bits > 8:
        return _decode_tiff_16(data, header, directory_index)
    with TiffImageFile(io.BytesIO(data)) as image:
        image.seek(directory_index)
        # Pillow applies the orientation of TIFFs only. It is undone here and applied to all formats in `decode`.
        return _apply_orientation(_load_pixels(image, header), _INVERSE_ORIENTATION[header.orientation])


def _check_size(width: int, height: int, header: Header) -> None:
    """Compare the decoder's size with the header's, before the decoder allocates pixels.

    Raises:
        DamagedImageError: If the sizes differ.
    """
    if (width, height) != (header.width, header.height):
        raise DamagedImageError(
            f"the {header.format} has {width} x {height} px, but its header declares {header.width} x {header.height}: "
            "save it again"
        )


def _check_decoder(image: Image.Image, header: Header) -> None:
    """Compare the size that Pillow will decode. A repeated tag or chunk can differ from the header's."""
    width, height = image.size
    is_turned = header.format == "TIFF" and header.orientation >= 5  # Pillow has applied the orientation
    _check_size(*((height, width) if is_turned else (width, height)), header)


def _load_pixels(image: Image.Image, header: Header) -> NDArray[np.uint8]:
    _check_decoder(image, header)
    return _read_pixels(image, "L" if image.mode in ("L", "LA", "1") else "RGB")


def _read_pixels(image: Image.Image, mode: str | None = None) -> NDArray[np.uint8]:
    """Return the pixels, converted to a mode if given, in strips.

    `np.asarray` of a whole image needs three times its memory: 1.3 GB instead of 0.7 GB for 100 million pixels.
    """
    image.load()
    width, height = image.size
    pixels: NDArray[np.uint8] | None = None
    for top in range(0, height, _STRIP_ROWS):
        strip = image.crop((0, top, width, min(top + _STRIP_ROWS, height)))
        rows = np.asarray(strip if mode is None or strip.mode == mode else strip.convert(mode))
        if pixels is None:
            pixels = np.empty((height, *rows.shape[1:]), rows.dtype)
        pixels[top : top + len(rows)] = rows
    assert pixels is not None  # noqa: S101 (every image has rows)
    return pixels


def _decode_png_16(data: bytes, header: Header) -> NDArray[np.uint8]:
    with PngImageFile(io.BytesIO(data)) as image:
        _check_decoder(image, header)
        if header.mode == "L":
            return _scale_to_8_bits(np.asarray(image))
    if header.mode == "LA":  # the four bytes of grey and alpha are read as RGBA
        bytes_HW4 = _read_sample_bytes(PngImageFile(io.BytesIO(data)), "RGBA")
        return _scale_to_8_bits(_combine_bytes(bytes_HW4[..., 0], bytes_HW4[..., 1]))
    high, low = (_read_sample_bytes(PngImageFile(io.BytesIO(data)), f"{header.mode};16{half}") for half in "BL")
    samples = _combine_bytes(high[..., :3], low[..., :3])
    del high, low
    return _scale_to_8_bits(samples)


def _decode_tiff_16(data: bytes, header: Header, directory_index: int) -> NDArray[np.uint8]:
    samples = (
        _read_uncompressed_samples(data, header, directory_index)
        if header.compression == 1
        else _read_compressed_samples(data, header, directory_index)
    )
    scaled = _scale_to_8_bits(samples)
    return 255 - scaled if header.white_is_zero else scaled


def _read_uncompressed_samples(data: bytes, header: Header, directory_index: int) -> NDArray[np.uint16]:
    """Read an uncompressed page with tifffile, which supports every sample layout."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[directory_index]
        _check_size(page.imagewidth, page.imagelength, header)
        if page.nbytes > 2 * MAX_SAMPLES * header.width * header.height:  # a depth of several planes
            raise DamagedImageError("the TIFF has more samples than its header declares: save it again")
        samples = cast(NDArray[np.uint16], page.asarray())
    if header.planar and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    if samples.ndim == 3:
        samples = samples[..., :3] if header.mode.startswith("RGB") else samples[..., 0]
    return samples


def _read_compressed_samples(data: bytes, header: Header, directory_index: int) -> NDArray[np.uint16]:
    """Read a compressed page with libtiff, which supports every compression.

    libtiff never decompresses more data than the header declares.
    """
    if header.planar or header.mode == "LA":
        layout = "separate planes" if header.planar else "grayscale with alpha"
        raise UnsupportedImageError(
            f"compressed {header.bits}-bit TIFFs with {layout} are not supported: save it uncompressed, for example "
            "with `tiffcp -c none in.tif out.tif`"
        )

    def open_page() -> TiffImageFile:
        image = TiffImageFile(io.BytesIO(data))
        image.seek(directory_index)
        _check_decoder(image, header)
        return image

    if header.mode == "L":
        with open_page() as image:
            return _apply_orientation(np.asarray(image), _INVERSE_ORIENTATION[header.orientation]).astype(np.uint16)
    with open_page() as image:
        layout = str(image.tile[0].args[0]).split(";")[0] if isinstance(image.tile[0].args, tuple) else header.mode
    halves = "LB" if sys.byteorder == "little" else "BL"  # libtiff returns native byte order
    high, low = (_read_sample_bytes(open_page(), f"{layout};16{half}")[..., :3] for half in halves)
    return _apply_orientation(_combine_bytes(high, low), _INVERSE_ORIENTATION[header.orientation])


def _read_sample_bytes(image: ImageFile.ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    """Return one byte of each 16-bit sample: Pillow has no 16-bit colour and would return only the high bytes."""
    with image:
        image.tile = [
            tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
            for tile in image.tile
        ]
        return _read_pixels(image)


def _combine_bytes(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    samples = high.astype(np.uint16)
    samples <<= np.uint16(8)
    samples |= low
    return samples


def _scale_to_8_bits(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    shift = _used_bits(samples) - 8
    scaled = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), _STRIP_ROWS):
        strip = samples[top : top + _STRIP_ROWS] >> shift
        np.minimum(strip, 255, out=scaled[top : top + _STRIP_ROWS], casting="unsafe")
    return scaled


def _used_bits(samples: NDArray[np.uint16]) -> int:
    """Return the smallest bit depth of at least 8 that fits 99.9 % of the samples. Large images are subsampled."""
    step = max(1, math.isqrt(samples.size // _MAX_RANKED_SAMPLES))
    ranked = samples[::step, ::step].ravel()
    index = math.ceil(_USED_SHARE * len(ranked)) - 1
    return max(8, int(np.partition(ranked, index)[index]).bit_length())


def _to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


_INVERSE_ORIENTATION = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""Inverse of each EXIF orientation."""


def _apply_orientation(pixels: NDArray[Sample], orientation: int) -> NDArray[Sample]:
    """Rotate and mirror stored pixels by EXIF orientation 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
