"""Images of 100 million pixels in files of about the maximum upload: each costs its decoder as much memory as it can.

Most pixels are uniform, so that the files are made in a second. Bytes after the end of an image, or noise in a PNG,
fill the upload.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import tifffile
from PIL import Image

from tests.support.progressive_jpegs import progressive_jpeg

EDGE_PX = 10_000
FILE_BYTES = 61 * 2**20
_TILE_PX = 992
"""A multiple of 16, as the format requires."""


def _baseline_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (EDGE_PX, EDGE_PX), (120, 130, 110)).save(buffer, "JPEG", subsampling=0)
    return buffer.getvalue()


def _png(bits: int, colour: int, samples: int) -> bytes:
    """Return a PNG of noise, as long as the file may be, and zeros. The colour type is 2 (RGB) or 6 (RGBA)."""
    zeros = bytes(EDGE_PX * samples * bits // 8)
    noise = random.Random(0).randbytes(len(zeros))  # longer than zlib's window, so that a repetition is not compressed
    compressor = zlib.compressobj(1)
    noisy_rows = FILE_BYTES // len(zeros) - 10
    rows = [compressor.compress(b"\0" + (noise if row < noisy_rows else zeros)) for row in range(EDGE_PX)]
    return _png_file(EDGE_PX, EDGE_PX, bits, colour, b"".join(rows) + compressor.flush())


def encode_png(width: int, height: int, bits: int, colour: int, rows: Iterable[bytes]) -> bytes:
    """Return a PNG of rows, each with its filter byte."""
    return _png_file(width, height, bits, colour, zlib.compress(b"".join(rows), 1))


def _png_file(width: int, height: int, bits: int, colour: int, compressed_rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", compressed_rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _tiff(dtype: str, *, samples: int, orientation: int = 1) -> bytes:
    """Return a TIFF of compressed tiles."""
    axes = 2 + (samples > 1)

    def tiles() -> Iterator[np.ndarray]:
        tile = np.full((_TILE_PX, _TILE_PX, samples)[:axes], 100, dtype)
        for _ in range((-(-EDGE_PX // _TILE_PX)) ** 2):
            yield tile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        tiles(),
        shape=(EDGE_PX, EDGE_PX, samples)[:axes],
        dtype=dtype,
        tile=(_TILE_PX, _TILE_PX),
        photometric="rgb" if samples > 1 else "minisblack",
        compression="zlib",
        metadata=None,
        extratags=[(274, 3, 1, orientation, True)],
    )
    return buffer.getvalue()


_KINDS: Mapping[str, Callable[[], bytes]] = {
    "JPEG": _baseline_jpeg,
    "progressive JPEG": lambda: progressive_jpeg(EDGE_PX, EDGE_PX, 2, components=3),
    "PNG of 8 bits": lambda: _png(8, 6, 4),
    "PNG of 16 bits": lambda: _png(16, 2, 3),
    "grey TIFF of 16 bits": lambda: _tiff("uint16", samples=1),
    "TIFF of 16 bits": lambda: _tiff("uint16", samples=3),
    "turned TIFF": lambda: _tiff("uint8", samples=3, orientation=6),
}
KINDS = tuple(_KINDS)


def large_image(kind: str) -> bytes:
    """Return an image of one of `KINDS`."""
    image = _KINDS[kind]()
    return image if kind.startswith("PNG") else image + bytes(FILE_BYTES - len(image))
