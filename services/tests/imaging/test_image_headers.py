"""Hostile image headers: the total work is bounded, and the decoder agrees with the header."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from thale.errors import DamagedImageError, ImageError
from thale.imaging import image_headers, tiff_directories
from thale.imaging.image_io import decode, read_header

MAX_CPU_S = 2.0
"""Far above the 60 ms of the slowest header, and far below the 7 s or more of each file here before the bounds. The
decoder took the time of the valid JPEGs."""


def directory(tags: bytes, next_offset: int, count: int | None = None) -> bytes:
    return struct.pack("<H", len(tags) // 12 if count is None else count) + tags + struct.pack("<I", next_offset)


def tag(number: int, value: int, kind: int = 4, count: int = 1) -> bytes:
    return struct.pack("<HHII", number, kind, count, value)


def tiff(*directories: bytes) -> bytes:
    return b"II*\0" + struct.pack("<I", 8) + b"".join(directories)


SIZE = tag(256, 100) + tag(257, 100) + tag(277, 1)


def exif_block() -> bytes:
    return tiff(directory(b"".join(tag(1000 + number, 1, 3) for number in range(4096)), 0))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, width: int = 100) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 100, 8, 2, 0, 0, 0)) + b"".join(chunks)


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def overlapping_directories() -> bytes:
    """9,990 directories of 4,096 tags in 366 kB: each starts 32 bytes after the previous one."""
    size, step, count = 370_000, 32, 9_990
    data = bytearray(b"II*\0" + struct.pack("<I", 8) + bytes(size - 8))
    for index in range(count):
        start = 8 + index * step
        data[start : start + 2] = struct.pack("<H", 4096)
        end = start + 2 + 4096 * 12
        if end + 4 <= size:
            data[end : end + 4] = struct.pack("<I", start + step)
    return bytes(data)


def jpeg_with(content: bytes, marker: int) -> bytes:
    """Return a valid JPEG with content before the first segment of a marker."""
    buffer = io.BytesIO()
    Image.new("L", (100, 100)).save(buffer, "JPEG")
    start = buffer.getvalue().index(b"\xff" + bytes([marker]))
    return buffer.getvalue()[:start] + content + buffer.getvalue()[start:]


FRAME, SCAN = 0xC0, 0xDA
HOSTILE_FILES = {
    "valid JPEG with 900 EXIF segments": jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 900, FRAME),
    "valid JPEG with EXIF segments before the scan": jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 17, SCAN),
    "valid JPEG with restart markers before the frame": jpeg_with(b"\xff\xd0" * 5_000_000, FRAME),
    "valid JPEG with restart markers before the scan": jpeg_with(b"\xff\xd0" * 5_000_000, SCAN),
    "valid JPEG with fill bytes before the scan": jpeg_with(b"\xff" * 5_000_000, SCAN),
    "JPEG with 900 EXIF segments": b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif_block()) * 900,
    "JPEG of fill bytes": b"\xff\xd8\xff" + (b"\xe0\0\2" + b"\xff" * 65_000) * 900,
    "PNG with 800 eXIf chunks": png(chunk(b"eXIf", exif_block()) * 800, width=2_000_000_000),
    "PNG of empty chunks": png(chunk(b"teSt", b"") * 2_000_000),
    "TIFF with overlapping directories": overlapping_directories(),
    "TIFF with many directories": tiff(
        *(directory(SIZE * 100, 8 + (index + 1) * (2 + 3600 + 4)) for index in range(9_000))
    ),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_read_header_refuses_hostile_file_at_bounded_cost(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ImageError):
        read_header(HOSTILE_FILES[name])
    assert time.process_time() - started < MAX_CPU_S


def test_tiff_is_limited_by_its_tags_in_total() -> None:
    pages = tiff_directories.MAX_TAGS // 12
    pixels = np.zeros((pages + 1, 40, 40), np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in pixels:
            writer.write(page, metadata=None, software=None, contiguous=False)
    with pytest.raises(DamagedImageError, match="10000 tags in total"):
        read_header(buffer.getvalue(), page=0)


def test_tiff_with_overlapping_directories_is_refused() -> None:
    inner = directory(SIZE, 0)
    outer = directory(SIZE + tag(1000, 0) * 8, 8 + 2 + len(SIZE))
    data = bytearray(tiff(outer))
    data[8 + 2 + len(SIZE) : 8 + 2 + len(SIZE) + len(inner)] = inner
    with pytest.raises(DamagedImageError, match="overlap"):
        read_header(bytes(data), page=0)


def test_tiff_values_are_limited_by_the_file_size() -> None:
    values = b"".join(tag(1000 + number, 0, kind=7, count=4000) for number in range(500))
    with pytest.raises(DamagedImageError, match="larger than the file"):
        read_header(tiff(directory(SIZE + values, 0)))


def test_first_of_repeated_tags_counts() -> None:
    header = image_headers.read_tiff(tiff(directory(SIZE + tag(256, 60_000), 0)), None)
    assert (header.width, header.height) == (100, 100)


def test_tiff_tiles_larger_than_the_image_are_refused() -> None:
    with pytest.raises(DamagedImageError, match="tiles"):
        read_header(tiff(directory(SIZE + tag(322, 60_000) + tag(323, 60_000), 0)))


def test_decode_refuses_second_png_header_before_allocating() -> None:
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    with pytest.raises(DamagedImageError, match="its header declares 100 x 100"):
        decode(png(huge, chunk(b"IDAT", zlib.compress(bytes(100_000)))))


def test_decode_refuses_tiff_size_of_another_type() -> None:
    signed_width = struct.pack("<HHIi", 256, 9, 1, 50_000)
    data = tiff(directory(signed_width + SIZE + tag(258, 8, 3) + tag(262, 1, 3) + tag(273, 8) + tag(279, 64), 0))
    assert read_header(data).width == 100
    with pytest.raises(DamagedImageError, match="its header declares 100 x 100"):
        decode(data)


def test_first_exif_block_sets_the_orientation() -> None:
    exif = [Image.Exif(), Image.Exif()]
    exif[0][274], exif[1][274] = 6, 3
    buffer = io.BytesIO()
    Image.new("L", (40, 80)).save(buffer, "JPEG")
    blocks = b"".join(segment(0xE1, block.tobytes()) for block in exif)
    data = buffer.getvalue()[:2] + blocks + buffer.getvalue()[2:]
    metadata = read_header(data)
    assert (metadata.exif_orientation, metadata.width, metadata.height) == (6, 80, 40)
