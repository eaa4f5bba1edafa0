"""Reduced decoding: the mean of the pixels that a full decoding returns, for every kind of samples."""

import io

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.support.large_images import encode_png
from thale.errors import DamagedImageError
from thale.imaging.image_io import decode, decode_reduced

HEIGHT, WIDTH, FACTOR = 48, 96, 4


def samples(channels: int, dtype: str, high: int) -> NDArray[np.generic]:
    """Return a smooth image whose corners and channels differ."""
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    planes = np.stack([(x + (1 + number) * y) / (3 + number) for number in range(channels)], axis=-1)
    return ((planes[..., 0] if channels == 1 else planes) * high).astype(dtype)


def pillow(pixels: NDArray[np.generic], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def png_16(pixels: NDArray[np.generic], colour: int) -> bytes:
    rows = [b"\0" + row.astype(">u2").tobytes() for row in pixels]
    return encode_png(WIDTH, HEIGHT, 16, colour, rows)


TURNED = {"extratags": [(274, 3, 1, 6, True)]}
FILES = {
    "grey PNG": pillow(samples(1, "uint8", 255), "PNG"),
    "PNG": pillow(samples(3, "uint8", 255), "PNG"),
    "PNG with alpha": pillow(samples(4, "uint8", 255), "PNG"),
    "grey PNG of 16 bits": png_16(samples(1, "uint16", 65535), 0),
    "grey PNG of 16 bits with alpha": png_16(samples(2, "uint16", 4095), 4),
    "PNG of 16 bits": png_16(samples(3, "uint16", 4095), 2),
    "PNG of 16 bits with alpha": png_16(samples(4, "uint16", 65535), 6),
    "turned TIFF": tiff(samples(3, "uint8", 255), compression="zlib", **TURNED),
    "uncompressed TIFF of 16 bits": tiff(samples(3, "uint16", 4095), photometric="rgb", **TURNED),
    "grey TIFF of 16 bits": tiff(samples(1, "uint16", 4095), compression="zlib", **TURNED),
    "inverted TIFF of 16 bits": tiff(samples(1, "uint16", 65535), compression="zlib", photometric="miniswhite"),
    "TIFF of 16 bits": tiff(samples(3, "uint16", 65535), compression="zlib", photometric="rgb", **TURNED),
}


@pytest.mark.parametrize("name", FILES)
def test_reduced_image_is_the_mean_of_its_pixels(name: str) -> None:
    full = decode(FILES[name])
    reduced = decode_reduced(FILES[name], None, WIDTH // FACTOR)
    assert reduced.shape == (full.shape[0] // FACTOR, full.shape[1] // FACTOR, 3)
    difference = np.abs(np.asarray(Image.fromarray(full).reduce(FACTOR)).astype(int) - reduced).max()
    assert difference <= (1 if "inverted" in name else 0)  # the mean is rounded before the inversion


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_reduced_jpeg_resembles_the_mean_of_its_pixels(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = pillow(samples(3, "uint8", 255), "JPEG", quality=95, exif=exif)
    full, reduced = decode(data), decode_reduced(data, None, WIDTH // FACTOR)
    assert reduced.shape == (full.shape[0] // FACTOR, full.shape[1] // FACTOR, 3)
    expected = np.asarray(Image.fromarray(full).reduce(FACTOR)).astype(int)
    assert np.abs(expected - reduced).max() < 6


@pytest.mark.parametrize(("min_long_side", "width"), [(WIDTH, 96), (WIDTH + 1, 96), (49, 96), (48, 48), (1, 1)])
def test_reduced_image_keeps_the_minimum_length(min_long_side: int, width: int) -> None:
    assert decode_reduced(FILES["PNG"], None, min_long_side).shape[1] == width


def test_reduced_image_with_partial_blocks_is_complete() -> None:
    data = pillow(samples(3, "uint8", 255)[:-3, :-1], "PNG")
    assert decode_reduced(data, None, WIDTH // FACTOR).shape == (HEIGHT // FACTOR + 3, 32, 3)


@pytest.mark.parametrize("name", ["PNG", "TIFF of 16 bits"])
def test_truncated_file_has_no_reduced_image(name: str) -> None:
    with pytest.raises(DamagedImageError):
        decode_reduced(FILES[name][: len(FILES[name]) * 3 // 4], None, WIDTH // FACTOR)
