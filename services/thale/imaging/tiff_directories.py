"""Directories of TIFF and BigTIFF files and of EXIF blocks, read within a fixed total of work.

A directory may start anywhere, so directories can overlap: 366 kB hold 10,000 directories of 4,096 tags. The limits
therefore apply to the sum over all directories. The decoders read the same directories afterwards, so these limits
bound their work as well.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from thale.errors import DamagedImageError

MAX_PAGES = 10_000
MAX_TAGS = 10_000
"""Maximum number of tags in all directories of a file. A page of a scan has about 15."""
MAX_DIRECTORY_TAGS = 4096

_INTEGER_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}
_VALUE_SIZES = _INTEGER_SIZES | {2: 1, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 17: 8, 18: 8}
"""Bytes of one value of each type."""


@dataclass(frozen=True)
class _Layout:
    """Sizes of the fields of a directory in bytes, and the format of one entry: tag, type, number of values, value."""

    count_size: int
    entry_size: int
    offset_size: int
    entry_format: str


_TIFF = _Layout(2, 12, 4, "HHL4s")
_BIGTIFF = _Layout(8, 20, 8, "HHQ8s")


class TiffDirectories:
    """The chain of directories of a TIFF, with the first value of each integer tag."""

    def __init__(self, data: bytes) -> None:
        """Read the file header.

        Raises:
            DamagedImageError: If the file header is invalid.
        """
        self._data = data
        self._byte_order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        magic = self._read_integer(2, 2)
        if data[:2] not in (b"II", b"MM") or magic not in (42, 43):
            raise DamagedImageError("the TIFF's header is damaged: send the whole file")
        self._layout = _BIGTIFF if magic == 43 else _TIFF
        self._entry = struct.Struct(("<" if self._byte_order == "little" else ">") + self._layout.entry_format)
        self._first_offset = self._read_integer(8, 8) if magic == 43 else self._read_integer(4, 4)
        self._tag_count = 0
        self._value_bytes = 0

    def first(self) -> dict[int, int]:
        """Return the tags of the first directory.

        Raises:
            DamagedImageError: If the directory is outside the file or too long.
        """
        return self._read_directory(self._first_offset)[0]

    def pages(self) -> Iterator[dict[int, int]]:
        """Yield the tags of each directory.

        Raises:
            DamagedImageError: If a directory is outside the file, if directories form a cycle or overlap, or if all
                directories together have more than `MAX_TAGS` tags or more bytes of values than the file.
        """
        offset, ends = self._first_offset, dict[int, int]()
        while offset:
            if offset in ends or len(ends) >= MAX_PAGES:
                raise DamagedImageError(f"the TIFF's pages form a cycle or are more than {MAX_PAGES}: save it again")
            tags, next_offset, ends[offset] = self._read_directory(offset)
            if self._value_bytes > len(self._data):
                raise DamagedImageError("the values of the TIFF's tags are larger than the file: save it again")
            yield tags
            offset = next_offset
        if any(end > start for (_, end), (start, _) in pairwise(sorted(ends.items()))):
            raise DamagedImageError("the directories of the TIFF overlap: save it again")

    def _read_directory(self, offset: int) -> tuple[dict[int, int], int, int]:
        """Return the tags of a directory, the offset of the next one (0 after the last), and the directory's end."""
        layout = self._layout
        count = self._read_integer(offset, layout.count_size)
        if count > MAX_DIRECTORY_TAGS:
            raise DamagedImageError(
                f"a page of the TIFF claims {count} tags, the maximum is {MAX_DIRECTORY_TAGS}: save it again"
            )
        self._tag_count += count
        if self._tag_count > MAX_TAGS:
            raise DamagedImageError(
                f"the pages of the TIFF have more than {MAX_TAGS} tags in total: send each page as a separate file"
            )
        start = offset + layout.count_size
        end = start + count * layout.entry_size
        next_offset = self._read_integer(end, layout.offset_size)
        tags: dict[int, int] = {}
        for tag, kind, values, value in self._entry.iter_unpack(self._data[start:end]):
            self._read_value(tags, tag, kind, values, value)
        return tags, next_offset, end + layout.offset_size

    def _read_value(self, tags: dict[int, int], tag: int, kind: int, values: int, value: bytes) -> None:
        """Add the first value of an integer tag. The first of repeated tags counts, as in Pillow and tifffile."""
        size_bytes = _VALUE_SIZES.get(kind, 0) * values
        if not size_bytes:
            return
        integer_size = _INTEGER_SIZES.get(kind)
        if size_bytes <= self._layout.offset_size:
            if integer_size:
                tags.setdefault(tag, int.from_bytes(value[:integer_size], self._byte_order))
            return
        value_offset = int.from_bytes(value, self._byte_order)
        if value_offset + size_bytes <= len(self._data):  # decoders skip values outside the file
            self._value_bytes += size_bytes
        if integer_size:
            tags.setdefault(tag, self._read_integer(value_offset, integer_size))

    def _read_integer(self, offset: int, size: int) -> int:
        if offset + size > len(self._data):
            raise DamagedImageError("an offset of the TIFF is beyond the end of the file: send the whole file")
        return int.from_bytes(self._data[offset : offset + size], self._byte_order)
