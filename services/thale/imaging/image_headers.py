"""Parsers for the headers of JPEG, PNG and TIFF files, without decoding pixels.

Hostile files are expected (ADR 0005). Every loop over markers, chunks or pages is bounded. Offsets outside the file and
offsets that form a cycle are rejected. No allocation depends on a size that the file claims.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from thale.errors import DamagedImageError, UnsupportedImageError

ImageFormat = Literal["JPEG", "PNG", "TIFF"]

MAX_SEGMENTS = 10_000
MAX_CHUNKS = 200_000
MAX_PAGES = 10_000
MAX_SAMPLES = 8
MAX_STRAY_BYTES = 1 << 16
"""Maximum number of bytes between two JPEG markers. Cameras write a few. Millions occur only in attacks on decoders."""

_MAX_TAGS = 4096
_ORIENTATION = 274
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_TIFF_MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr"}


@dataclass(frozen=True)
class Header:
    """Header of one page. Sizes are in stored pixels, before the orientation (EXIF 1 to 8) is applied."""

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

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after orientation."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_jpeg(data: bytes) -> Header:
    """Read the size and the EXIF orientation of a JPEG.

    Raises:
        DamagedImageError: If the frame header is missing or truncated, or if more than `MAX_SEGMENTS` segments
            precede it.
        UnsupportedImageError: If the image is not 8-bit grayscale, RGB or CMYK.
    """
    orientation = 1
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data[start + 6 : end])
        elif marker in _START_OF_FRAME:
            if end - start < 6:
                raise DamagedImageError("the JPEG's frame header is truncated: send the whole file")
            bits, height, width, components = struct.unpack_from(">BHHB", data, start)
            if bits != 8 or components not in _JPEG_MODES:
                raise UnsupportedImageError(
                    f"this JPEG has {components} components of {bits} bits: save it as 8-bit grayscale or RGB"
                )
            # The EXIF segment precedes the frame header: the EXIF standard requires it to be the first segment.
            return Header("JPEG", width, height, _JPEG_MODES[components], bits, orientation)
    raise DamagedImageError("the JPEG is truncated before its frame header: send the whole file")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, payload start and payload end of each segment, up to the first scan."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.search(data, position, position + MAX_STRAY_BYTES)
        if match is None or match[1] in (b"\xd9", b"\xda"):
            return
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
    orientation = 1
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf":
            orientation = _exif_orientation(data[start:end])
    return Header("PNG", width, height, _PNG_MODES[colour], bits, orientation)


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
        directory = _Tiff(exif)
        tags, _ = directory.page(directory.first_offset)
        value = tags.get(_ORIENTATION, 1)
    except (DamagedImageError, UnsupportedImageError):
        return 1
    return value if 1 <= value <= 8 else 1


def read_tiff(data: bytes, page: int | None) -> Header:
    """Read the header of one page of a TIFF; of the first page by default.

    Raises:
        DamagedImageError: If a directory is outside the file, invalid or too long, or if the directories form a cycle.
        UnsupportedImageError: If the file is a camera's raw file, has only thumbnails or masks, or has a pixel format
            that is not supported.
    """
    if data[8:10] == b"CR" or data[:4] == b"IIU\0":
        raise UnsupportedImageError("this is a camera's raw file: export it as JPEG, PNG or TIFF")
    tiff = _Tiff(data)
    directories = list(tiff.pages())
    if any(50706 in tags for tags in directories):
        raise UnsupportedImageError("this is a DNG raw file: export it as JPEG, PNG or TIFF")
    # Bit 0 of NewSubfileType marks a thumbnail, bit 2 a mask. Neither counts as a page.
    pages = tuple(index for index, tags in enumerate(directories) if not tags.get(254, 0) & 0b101)
    if not pages:
        raise UnsupportedImageError("this TIFF has only thumbnails or masks: export the image as JPEG, PNG or TIFF")
    tags = directories[pages[page if page is not None and 0 <= page < len(pages) else 0]]
    if not (tags.get(256) and tags.get(257)):
        raise DamagedImageError("the TIFF has no width and height: save it again")
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


class _Tiff:
    """The chain of directories of a TIFF or BigTIFF, with the first value of each integer tag."""

    _SIZES = {1: 1, 3: 2, 4: 4, 16: 8}

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.byte_order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        magic = self._read_integer(2, 2)
        if data[:2] not in (b"II", b"MM") or magic not in (42, 43):
            raise DamagedImageError("the TIFF's header is damaged: send the whole file")
        self.is_bigtiff = magic == 43
        self.first_offset = self._read_integer(8, 8) if self.is_bigtiff else self._read_integer(4, 4)

    def pages(self) -> Iterator[dict[int, int]]:
        """Yield the tags of each directory."""
        offset, seen = self.first_offset, set[int]()
        while offset:
            if offset in seen or len(seen) >= MAX_PAGES:
                raise DamagedImageError(f"the TIFF's pages form a cycle or are more than {MAX_PAGES}: save it again")
            seen.add(offset)
            tags, offset = self.page(offset)
            yield tags

    def page(self, offset: int) -> tuple[dict[int, int], int]:
        """Return the tags of the directory at an offset, and the offset of the next directory (0 after the last)."""
        count_size, entry_size, offset_size = (8, 20, 8) if self.is_bigtiff else (2, 12, 4)
        count = self._read_integer(offset, count_size)
        if count > _MAX_TAGS:
            raise DamagedImageError(
                f"a page of the TIFF claims {count} tags, the maximum is {_MAX_TAGS}: save it again"
            )
        tags: dict[int, int] = {}
        for entry in range(count):
            start = offset + count_size + entry * entry_size
            size = self._SIZES.get(self._read_integer(start + 2, 2), 0)
            values = self._read_integer(start + 4, offset_size)
            value_offset = start + 4 + offset_size
            if size and values:
                is_inline = size * values <= offset_size
                tags[self._read_integer(start, 2)] = self._read_integer(
                    value_offset if is_inline else self._read_integer(value_offset, offset_size), size
                )
        return tags, self._read_integer(offset + count_size + count * entry_size, offset_size)

    def _read_integer(self, offset: int, size: int) -> int:
        if offset + size > len(self.data):
            raise DamagedImageError("an offset of the TIFF is beyond the end of the file: send the whole file")
        return int.from_bytes(self.data[offset : offset + size], self.byte_order)
