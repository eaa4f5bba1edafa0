"""Generated images for tests, valid and invalid."""

import io
import struct
import zlib

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image


def seedlings(height: int = 200, width: int = 240) -> NDArray[np.uint8]:
    """Return an image with uneven light, dark lines and noise, uint8 HW3."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:height, :width]
    light = 150 + 30 * np.sin(rows / 90) + 20 * columns / width
    roots = 40 * (np.abs((columns + 6 * np.sin(rows / 20)) % 70 - 35) < 2)
    image = (light - roots)[..., None] + rng.normal(0, 2, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg() -> bytes:
    return encode(Image.fromarray(seedlings()), "JPEG", quality=90)


def png() -> bytes:
    return encode(Image.fromarray(seedlings()), "PNG")


def tiff(array: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header declares a size and whose data is one byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
