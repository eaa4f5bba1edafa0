"""Parsers for the headers of JPEG, PNG and TIFF files, without decoding pixels.

Hostile files are expected (ADR 0005). The sum of all loops over markers, chunks, pages and tags is bounded (ADR 0086).
Offsets outside the file and offsets that form a cycle are rejected. No allocation depends on a size that the file
claims.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from thale.errors import DamagedImageError, UnsupportedImageError
from thale.imaging.jpeg_quality import estimate_quality
from thale.imaging.tiff_directories import TiffDirectories

ImageFormat = Literal["JPEG", "PNG", "TIFF", "HEIC"]

MAX_SEGMENTS = 10_000
MAX_EXIF_SEGMENTS = 16
"""1 MiB of EXIF. Cameras write one segment. Pillow joins them in quadratic time: 900 segments in 58 MB take 7 s."""
MAX_CHUNKS = 20_000
"""64 MiB in chunks of 4 KiB are 16,384. libpng writes chunks of 8 KiB."""
MAX_SAMPLES = 8
MAX_STRAY_BYTES = 1 << 16
"""Maximum number of bytes between the segments of a JPEG, in total. Cameras write a few. Millions occur only in attacks
on decoders."""
MAX_TILE_SIDE_PX = 1 << 14
"""Maximum side of a TIFF tile that is larger than the image. Decoders allocate whole tiles."""

_ORIENTATION = 274
_QUANTISATION_TABLES = 0xDB
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_TIFF_MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr"}


@dataclass(frozen=True)
class Header:
    """Header of one page. Sizes are in stored pixels, before the orientation (EXIF 1 to 8) is applied.

    The size of a HEIC is that after its crop.
    """

    format: ImageFormat
    width: int
    height: int
    mode: str
    bits: int
    orientation: int = 1
    pages: tuple[int, ...] = (0,)
    """Indices of the pages in the file's chain of directories, without thumbnails and masks."""
    white_is_zero: bool = False
    compression: int = 1
    """Compression code of TIFF; 1 is uncompressed."""
    planar: bool = False
    jpeg_quality: int | None = None
    """Quality in the scale of libjpeg, estimated from the first quantisation table."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after orientation."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_jpeg(data: bytes) -> Header:
    """Read the size and the EXIF orientation of a JPEG. All segments before the pixels count, as in the decoder.

    Raises:
        DamagedImageError: If the frame header is missing or truncated, or if there are more than `MAX_SEGMENTS`
            segments or `MAX_EXIF_SEGMENTS` with EXIF before the pixels.
        UnsupportedImageError: If the image is not 8-bit grayscale, RGB or CMYK.
    """
    orientation = quality = header = None
    exif_segments = 0
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            exif_segments += 1
            if exif_segments > MAX_EXIF_SEGMENTS:
                raise DamagedImageError(
                    f"the JPEG has more than {MAX_EXIF_SEGMENTS} segments with EXIF: save it again without metadata"
                )
            # The EXIF segment precedes the frame header: the EXIF standard requires it to be the first segment.
            if orientation is None:
                orientation = _exif_orientation(data[start + 6 : end])
        elif marker == _QUANTISATION_TABLES and quality is None:
            quality = estimate_quality(data[start:end])
        elif marker in _START_OF_FRAME and header is None:
            if end - start < 6:
                raise DamagedImageError("the JPEG's frame header is truncated: send the whole file")
            bits, height, width, components = struct.unpack_from(">BHHB", data, start)
            if bits != 8 or components not in _JPEG_MODES:
                raise UnsupportedImageError(
                    f"this JPEG has {components} components of {bits} bits: save it as 8-bit grayscale or RGB"
                )
            mode = _JPEG_MODES[components]
            header = Header("JPEG", width, height, mode, bits, orientation or 1, jpeg_quality=quality)
    if header is None:
        raise DamagedImageError("the JPEG is truncated before its frame header: send the whole file")
    return header


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, payload start and payload end of each segment, up to the first scan."""
    position, stray_bytes = 2, 0
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.search(data, position, position + MAX_STRAY_BYTES - stray_bytes)
        if match is None and position + MAX_STRAY_BYTES - stray_bytes < len(data):
            raise DamagedImageError("the JPEG has too many bytes between its segments: save it again")
        if match is None or match[1] in (b"\xd9", b"\xda"):
            return
        stray_bytes += match.start() - position
        marker, position = match[1][0], match.end()
        if marker in _WITHOUT_LENGTH:
            continue
        if position + 2 > len(data):
            return
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            raise DamagedImageError("a segment of the JPEG extends beyond the file: send the whole file")
        yield marker, position + 2, position + length
        position += length
    raise DamagedImageError(f"the JPEG has more than {MAX_SEGMENTS} segments before its pixels: save it again")


def read_png(data: bytes) -> Header:
    """Read the size, the pixel format, and the orientation in an eXIf chunk of a PNG.

    Raises:
        DamagedImageError: If the first chunk is not a valid header, or if the file has more than `MAX_CHUNKS` chunks.
    """
    if len(data) < 33 or data[8:16] != b"\0\0\0\rIHDR":
        raise DamagedImageError("the PNG has no header chunk: it is truncated or damaged, send the whole file")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if bits not in _PNG_DEPTHS.get(colour, ()) or not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise DamagedImageError(
            f"the PNG's header is invalid ({width} x {height} px, colour type {colour}, {bits} bits): save it again"
        )
    orientation = None
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf" and orientation is None:
            orientation = _exif_orientation(data[start:end])
    return Header("PNG", width, height, _PNG_MODES[colour], bits, orientation or 1)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, payload start and payload end of each chunk that is complete in the file."""
    position = 8
    for _ in range(MAX_CHUNKS):
        start = position + 8
        end = start + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            return
        yield data[position + 4 : start], start, end
        position = end + 4
    raise DamagedImageError(f"the PNG has more than {MAX_CHUNKS} chunks: save it again")


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation; 1 if it is missing or if the EXIF block is damaged, because the pixels remain usable."""
    try:
        value = TiffDirectories(exif).first().get(_ORIENTATION, 1)
    except (DamagedImageError, UnsupportedImageError):
        return 1
    return value if 1 <= value <= 8 else 1


def read_tiff(data: bytes, page: int | None) -> Header:
    """Read the header of one page of a TIFF; of the first page by default.

    Raises:
        DamagedImageError: If a directory is outside the file, invalid or too long, if the directories form a cycle or
            overlap, or if a tile is larger than the image.
        UnsupportedImageError: If the file is a camera's raw file, has only thumbnails or masks, or has a pixel format
            that is not supported.
    """
    if data[8:10] == b"CR" or data[:4] == b"IIU\0":
        raise UnsupportedImageError("this is a camera's raw file: export it as JPEG, PNG or TIFF")
    directories = list(TiffDirectories(data).pages())
    if any(50706 in tags for tags in directories):
        raise UnsupportedImageError("this is a DNG raw file: export it as JPEG, PNG or TIFF")
    # Bit 0 of NewSubfileType marks a thumbnail, bit 2 a mask. Neither counts as a page.
    pages = tuple(index for index, tags in enumerate(directories) if not tags.get(254, 0) & 0b101)
    if not pages:
        raise UnsupportedImageError("this TIFF has only thumbnails or masks: export the image as JPEG, PNG or TIFF")
    tags = directories[pages[page if page is not None and 0 <= page < len(pages) else 0]]
    if not (tags.get(256) and tags.get(257)):
        raise DamagedImageError("the TIFF has no width and height: save it again")
    if max(tags.get(322, 0) - tags[256], tags.get(323, 0) - tags[257]) > MAX_TILE_SIDE_PX:
        raise DamagedImageError("the tiles of the TIFF are larger than the image: save it again")
    orientation = tags.get(_ORIENTATION, 1)
    return Header(
        "TIFF",
        width=tags[256],
        height=tags[257],
        mode=_tiff_mode(tags),
        bits=tags.get(258, 1),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        pages=pages,
        white_is_zero=tags.get(262) == 0,
        compression=tags.get(259, 1),
        planar=tags.get(284, 1) == 2 and tags.get(277, 1) > 1,
    )


def _tiff_mode(tags: dict[int, int]) -> str:
    bits, samples, kind = tags.get(258, 1), tags.get(277, 1), tags.get(339, 1)
    if kind != 1 and kind != 4:
        name = {2: "signed", 3: "float"}.get(kind, "complex")
        raise UnsupportedImageError(
            f"this TIFF has {bits}-bit {name} samples, not intensities: save it with 8 or 16 bits"
        )
    if bits > 16:
        raise UnsupportedImageError(f"this TIFF has {bits} bits per sample: save it with 8 or 16 bits")
    mode = _TIFF_MODES.get(tags.get(262, 1))
    if mode is None:
        raise UnsupportedImageError(
            f"this TIFF's colour space (code {tags[262]}) is not supported: save it as grayscale or RGB"
        )
    if bits > 8 and mode not in ("L", "RGB"):
        raise UnsupportedImageError(
            f"this TIFF is {mode} with {bits} bits, which is not supported: save it as 16-bit RGB or with 8 bits"
        )
    color_samples = {"L": 1, "P": 1, "RGB": 3, "YCbCr": 3, "CMYK": 4}[mode]
    if not color_samples <= samples <= MAX_SAMPLES:
        raise DamagedImageError(f"the TIFF is {mode} with {samples} samples per pixel, which is invalid: save it again")
    return mode if samples == color_samples else mode + "A"
