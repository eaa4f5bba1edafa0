"""Stored pixels of an image as 8 bits, at full size or reduced, decoded without a second array of their size.

Pillow decodes the whole image, at up to four bytes per pixel. Everything after that reads bands of rows, because
`np.asarray` of a whole image needs three times its memory: 1.3 GB instead of 0.7 GB for 100 million pixels.
"""

import io
import math
import sys
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from thale.errors import DamagedImageError, UnsupportedImageError
from thale.imaging.heif_decoder import decode_upright
from thale.imaging.image_headers import MAX_SAMPLES, Header

_BAND_ROWS = 256
_USED_SHARE = 0.999
_MAX_RANKED_SAMPLES = 4_000_000
_INVERSE_ORIENTATION = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""Inverse of each EXIF orientation."""

Sample = TypeVar("Sample", np.uint8, np.uint16)
_ReadRows = Callable[[int, int], NDArray[Sample]]
"""Function that returns the rows between two numbers; the last one is exclusive. H x W (grayscale) or H x W x 3."""


def decode_stored_pixels(data: bytes, header: Header, page: int, factor: int) -> NDArray[np.uint8]:
    """Return the stored pixels, before their orientation is applied: uint8, H x W (grayscale) or H x W x 3.

    Args:
        data: The whole file.
        header: Its header, checked against the limits.
        page: Page of a TIFF, from 0.
        factor: One pixel is the mean of `factor` x `factor` stored pixels. A JPEG is reduced by the largest of 1, 2, 4
            and 8 that is not larger, because its decoder can do that.

    Raises:
        DamagedImageError: If the decoder's size differs from the header's.
        UnsupportedImageError: If no decoder supports this sample layout.
    """
    # The plugin classes are used directly, not through Image.open: Pillow then tries only the detected format, and its
    # process-wide size limit (a warning) does not apply.
    if header.format == "JPEG":
        with JpegImageFile(io.BytesIO(data)) as image:
            _check_decoder(image, header)
            image.draft(None, (max(1, image.width // factor), max(1, image.height // factor)))
            return _collect(_rows_of_8_bits(image), image.height, 1)
    if header.format == "PNG":
        if header.bits == 16:
            return _decode_png_16(data, header, factor)
        with PngImageFile(io.BytesIO(data)) as image:
            _check_decoder(image, header)
            return _collect(_rows_of_8_bits(image), header.height, factor)
    if header.format == "HEIC":
        upright = decode_upright(data, header)
        return _undo_orientation(_collect(lambda top, bottom: upright[top:bottom], len(upright), factor), header)
    directory_index = header.pages[page]
    if header.bits > 8:
        pixels = _decode_tiff_16(data, header, directory_index, factor)
        return 255 - pixels if header.white_is_zero else pixels
    with TiffImageFile(io.BytesIO(data)) as image:
        image.seek(directory_index)
        _check_decoder(image, header)
        # Pillow applies the orientation of TIFFs only. It is undone here, because the caller applies it to all formats.
        return _undo_orientation(_collect(_rows_of_8_bits(image), _loaded_height(image), factor), header)


def apply_orientation(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate and mirror stored pixels by EXIF orientation 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _undo_orientation(pixels: NDArray[np.uint8], header: Header) -> NDArray[np.uint8]:
    return apply_orientation(pixels, _INVERSE_ORIENTATION[header.orientation])


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
    is_turned = header.format == "TIFF" and header.orientation >= 5  # Pillow reports the size after the orientation
    _check_size(*((height, width) if is_turned else (width, height)), header)


def _loaded_height(image: Image.Image) -> int:
    image.load()
    return image.height


def _rows_of_8_bits(image: Image.Image) -> _ReadRows[np.uint8]:
    """Return the reader of an image's rows, converted to grey or to RGB. Alpha is dropped."""
    mode = "L" if image.mode in ("L", "LA", "1") else "RGB"

    def read(top: int, bottom: int) -> NDArray[np.uint8]:
        band = image.crop((0, top, image.width, bottom))
        return np.asarray(band if band.mode == mode else band.convert(mode))

    return read


def _stored_rows(image: Image.Image) -> Callable[[int, int], NDArray[np.generic]]:
    return lambda top, bottom: np.asarray(image.crop((0, top, image.width, bottom)))


def _collect(read_rows: _ReadRows[np.uint8], height: int, factor: int) -> NDArray[np.uint8]:
    """Return all rows, reduced by a factor."""
    band_rows = factor * max(1, _BAND_ROWS // factor)
    pixels: NDArray[np.uint8] | None = None
    for top in range(0, height, band_rows):
        rows = read_rows(top, min(top + band_rows, height))
        if factor > 1:
            rows = np.asarray(Image.fromarray(rows).reduce(factor))
        if pixels is None:
            pixels = np.empty((-(-height // factor), *rows.shape[1:]), np.uint8)
        start = top // factor
        pixels[start : start + len(rows)] = rows
    assert pixels is not None  # noqa: S101 (every image has rows)
    return pixels


def _scale_to_8_bits(read_rows: _ReadRows[np.uint16], height: int, factor: int) -> NDArray[np.uint8]:
    """Return all rows, shifted to 8 bits by the bit depth that the image uses, and reduced by a factor."""
    shift = _used_bits(read_rows, height) - 8

    def read_scaled_rows(top: int, bottom: int) -> NDArray[np.uint8]:
        scaled: NDArray[np.uint8] = np.minimum(read_rows(top, bottom) >> shift, 255).astype(np.uint8)
        return scaled

    return _collect(read_scaled_rows, height, factor)


def _used_bits(read_rows: _ReadRows[np.uint16], height: int) -> int:
    """Return the smallest bit depth of at least 8 that fits 99.9 % of the samples. Large images are subsampled."""
    step = max(1, math.isqrt(read_rows(0, 1).size * height // _MAX_RANKED_SAMPLES))
    ranked = np.concatenate([read_rows(row, row + 1)[0, ::step].ravel() for row in range(0, height, step)])
    index = math.ceil(_USED_SHARE * len(ranked)) - 1
    return max(8, int(np.partition(ranked, index)[index]).bit_length())


def _combine_rows(high: NDArray[np.uint8], read_low: _ReadRows[np.uint8]) -> _ReadRows[np.uint16]:
    """Return the reader of 16-bit samples from their high bytes, H x W x 3, and a reader of their low bytes."""

    def read(top: int, bottom: int) -> NDArray[np.uint16]:
        samples = high[top:bottom].astype(np.uint16)
        samples <<= np.uint16(8)
        samples |= read_low(top, bottom)
        return samples

    return read


def _read_bytes_of_samples(image: ImageFile.ImageFile, raw_mode: str) -> _ReadRows[np.uint8]:
    """Return the reader of one byte of each sample: Pillow has no 16-bit colour and would return the high bytes only.

    A fourth byte, such as alpha, is dropped.
    """
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    read = _stored_rows(image)
    return lambda top, bottom: cast(NDArray[np.uint8], read(top, bottom))[..., :3]


def _decode_png_16(data: bytes, header: Header, factor: int) -> NDArray[np.uint8]:
    def open_image() -> PngImageFile:
        image = PngImageFile(io.BytesIO(data))
        _check_decoder(image, header)
        return image

    if header.mode == "L":
        with open_image() as image:
            read = _stored_rows(image)
            return _scale_to_8_bits(lambda *rows: read(*rows).astype(np.uint16), header.height, factor)
    if header.mode == "LA":  # the four bytes of grey and alpha are read as RGBA
        with open_image() as image:
            read_pairs = _read_bytes_of_samples(image, "RGBA")

            def read_grey(top: int, bottom: int) -> NDArray[np.uint16]:
                pairs = read_pairs(top, bottom)
                return _combine_rows(pairs[..., 0], lambda *_: pairs[..., 1])(0, bottom - top)

            return _scale_to_8_bits(read_grey, header.height, factor)
    return _decode_colour_16(open_image, f"{header.mode};16B", f"{header.mode};16L", factor)


def _decode_tiff_16(data: bytes, header: Header, directory_index: int, factor: int) -> NDArray[np.uint8]:
    if header.compression != 1:
        return _undo_orientation(_decode_compressed_tiff_16(data, header, directory_index, factor), header)
    samples = _read_uncompressed_samples(data, header, directory_index)
    return _scale_to_8_bits(lambda top, bottom: samples[top:bottom], len(samples), factor)


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
    _check_size(samples.shape[1], samples.shape[0], header)
    return samples


def _decode_compressed_tiff_16(data: bytes, header: Header, directory_index: int, factor: int) -> NDArray[np.uint8]:
    """Decode a compressed page with libtiff, which supports every compression. Pillow has applied its orientation.

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
            height, read = _loaded_height(image), _stored_rows(image)
            return _scale_to_8_bits(lambda *rows: read(*rows).astype(np.uint16), height, factor)
    with open_page() as image:
        layout = str(image.tile[0].args[0]).split(";")[0] if isinstance(image.tile[0].args, tuple) else header.mode
    high, low = "LB" if sys.byteorder == "little" else "BL"  # libtiff returns native byte order
    return _decode_colour_16(open_page, f"{layout};16{high}", f"{layout};16{low}", factor)


def _decode_colour_16(
    open_image: Callable[[], ImageFile.ImageFile], high_bytes: str, low_bytes: str, factor: int
) -> NDArray[np.uint8]:
    """Decode an image twice, by the raw mode of the high and of the low bytes, and combine both band by band."""
    high = _load_bytes(open_image(), high_bytes)
    with open_image() as image:
        read_low = _read_bytes_of_samples(image, low_bytes)
        return _scale_to_8_bits(_combine_rows(high, read_low), len(high), factor)


def _load_bytes(image: ImageFile.ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    with image:
        read = _read_bytes_of_samples(image, raw_mode)
        return _collect(read, image.height, 1)
