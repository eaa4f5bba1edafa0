"""Boxes of HEIF files (ISO/IEC 23008-12): items, their properties, references and data, read with limited work.

Hostile files are expected, as in `tiff_directories`. The limits apply to the sum over all boxes, so that neither
nesting nor repetition multiplies the work. Offsets outside the file are rejected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from thale.errors import DamagedImageError, UnsupportedImageError

MAX_BOXES = 20_000
"""Maximum number of boxes. A photograph of 48 million pixels has about 250: one for each tile."""
MAX_ENTRIES = 100_000
"""Maximum number of references, associations and locations in total. 48 million pixels have about 1,000."""
_MAX_ITEM_BYTES = 1 << 20
"""Maximum size of an item that is read here: the layout of tiles, or EXIF."""
_HIDDEN = 1
_IN_FILE, _IN_ITEM_DATA = 0, 1


@dataclass(frozen=True)
class ItemProperty:
    """One property of an item, such as its size (ispe) or a rotation (irot)."""

    kind: bytes
    payload: bytes


@dataclass(frozen=True)
class Item:
    """One item of the file: an image, a tile, a thumbnail, or metadata."""

    kind: bytes
    is_hidden: bool


@dataclass
class HeifItems:
    """Items of a HEIF file, by their identifiers."""

    primary_id: int = -1
    items: dict[int, Item] = field(default_factory=dict)
    references: dict[tuple[bytes, int], tuple[int, ...]] = field(default_factory=dict)
    """Targets of the references of a kind from an item, such as the tiles (dimg) of a grid."""
    _properties: list[ItemProperty] = field(default_factory=list)
    _associations: dict[int, list[int]] = field(default_factory=dict)
    _locations: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Construction method, offset and length of each item that has one extent."""
    _ends: dict[int, int] = field(default_factory=dict)
    """Last offset of each item that is a part of the file."""
    _item_data: tuple[int, int] = (0, 0)

    def properties(self, item_id: int) -> list[ItemProperty]:
        """Return the properties of an item in the order of their association."""
        indices = self._associations.get(item_id, ())
        return [self._properties[index - 1] for index in indices if 1 <= index <= len(self._properties)]

    def check_complete(self, data: bytes, item_ids: Iterable[int]) -> None:
        """Check that pictures are complete in the file. The decoder replaces missing tiles by grey ones.

        Raises:
            DamagedImageError: If a picture has no place in the file, or extends beyond it.
        """
        if any(not 0 < self._ends.get(item_id, 0) <= len(data) for item_id in item_ids):
            raise DamagedImageError("the HEIC is truncated, a picture is missing: send the whole file")

    def read_item(self, data: bytes, item_id: int) -> bytes:
        """Return the bytes of a small item.

        Raises:
            DamagedImageError: If they are outside the file, or in several parts.
        """
        method, offset, length = self._locations.get(item_id, (-1, 0, 0))
        start, end = (0, len(data)) if method == _IN_FILE else self._item_data
        if method not in (_IN_FILE, _IN_ITEM_DATA) or length > _MAX_ITEM_BYTES or start + offset + length > end:
            raise DamagedImageError("an item of the HEIC is outside the file: send the whole file")
        return data[start + offset : start + offset + length]


def read_items(data: bytes) -> HeifItems:
    """Read the items of a HEIF file.

    Raises:
        DamagedImageError: If a box is truncated, or if the file has more boxes or entries than the limits.
        UnsupportedImageError: If the file has no still images.
    """
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._boxes = self._entries = 0
        self._found = HeifItems()

    def read(self) -> HeifItems:
        for kind, start, end in self._children(0, len(self._data)):
            if kind == b"meta":
                self._read_meta(start + 4, end)
                return self._found
        raise UnsupportedImageError(
            "this HEIC has no still image, or is truncated: export the picture as JPEG, PNG or TIFF"
        )

    def _read_meta(self, start: int, end: int) -> None:
        readers = {
            b"pitm": self._read_primary_item,
            b"iinf": self._read_item_kinds,
            b"iref": self._read_references,
            b"iprp": self._read_properties,
            b"iloc": self._read_locations,
        }
        for kind, child_start, child_end in self._children(start, end):
            if kind == b"idat":
                self._found._item_data = (child_start, child_end)
            elif kind in readers:
                readers[kind](child_start, child_end)

    def _children(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield kind, payload start and end of each box between two offsets."""
        position = start
        while position + 8 <= end:
            self._boxes += 1
            if self._boxes > MAX_BOXES:
                raise DamagedImageError(f"the HEIC has more than {MAX_BOXES} boxes: save it again")
            size, header = self._integer(position, 4, end), 8
            if size == 1:
                size, header = self._integer(position + 8, 8, end), 16
            elif size == 0:
                size = end - position
            if size < header or position + size > end:
                raise DamagedImageError("a box of the HEIC extends beyond the file: send the whole file")
            yield self._data[position + 4 : position + 8], position + header, position + size
            position += size

    def _integer(self, offset: int, size: int, end: int) -> int:
        if offset + size > end:
            raise DamagedImageError("a box of the HEIC is truncated: send the whole file")
        return int.from_bytes(self._data[offset : offset + size], "big")

    def _count(self, entries: int) -> int:
        self._entries += entries
        if self._entries > MAX_ENTRIES:
            raise DamagedImageError(f"the boxes of the HEIC have more than {MAX_ENTRIES} entries: save it again")
        return entries

    def _read_primary_item(self, start: int, end: int) -> None:
        size = 4 if self._integer(start, 1, end) else 2
        self._found.primary_id = self._integer(start + 4, size, end)

    def _read_item_kinds(self, start: int, end: int) -> None:
        count_size = 4 if self._integer(start, 1, end) else 2
        for kind, child, child_end in self._children(start + 4 + count_size, end):
            version = self._integer(child, 1, child_end)
            if kind != b"infe" or version < 2:
                continue
            id_size = 2 if version == 2 else 4
            item_id = self._integer(child + 4, id_size, child_end)
            kind_start = child + 6 + id_size
            self._integer(kind_start, 4, child_end)
            is_hidden = bool(self._data[child + 3] & _HIDDEN)
            self._found.items.setdefault(item_id, Item(self._data[kind_start : kind_start + 4], is_hidden))

    def _read_references(self, start: int, end: int) -> None:
        size = 4 if self._integer(start, 1, end) else 2
        for kind, child, child_end in self._children(start + 4, end):
            source = self._integer(child, size, child_end)
            count = self._count(self._integer(child + size, 2, child_end))
            first = child + size + 2
            targets = tuple(self._integer(first + size * index, size, child_end) for index in range(count))
            self._found.references.setdefault((kind, source), targets)

    def _read_properties(self, start: int, end: int) -> None:
        for kind, child, child_end in self._children(start, end):
            if kind == b"ipco":
                self._found._properties += [
                    ItemProperty(name, self._data[first:last]) for name, first, last in self._children(child, child_end)
                ]
            elif kind == b"ipma":
                self._read_associations(child, child_end)

    def _read_associations(self, start: int, end: int) -> None:
        id_size = 4 if self._integer(start, 1, end) else 2
        index_size = 2 if self._integer(start + 3, 1, end) & 1 else 1
        essential = 1 << (8 * index_size - 1)  # the highest bit marks an essential property
        position = start + 8
        for _ in range(self._count(self._integer(start + 4, 4, end))):
            item_id = self._integer(position, id_size, end)
            count = self._count(self._integer(position + id_size, 1, end))
            position += id_size + 1
            indices = [self._integer(position + index_size * n, index_size, end) & ~essential for n in range(count)]
            self._found._associations.setdefault(item_id, []).extend(indices)
            position += index_size * count

    def _read_locations(self, start: int, end: int) -> None:
        version = self._integer(start, 1, end)
        sizes = self._integer(start + 4, 2, end)
        offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        id_size = 4 if version == 2 else 2
        count = self._count(self._integer(start + 6, id_size, end))
        position = start + 6 + id_size
        method_size = 2 if version else 0
        # item, method, data reference, base offset, number of extents
        widths = (id_size, method_size, 2, base_size, 2)
        extent_widths = (index_size if version else 0, offset_size, length_size)
        for _ in range(count):
            item_id, method, _, base, extents = self._fields(position, widths, end)
            position += sum(widths)
            for _ in range(self._count(extents)):
                _, offset, length = self._fields(position, extent_widths, end)
                position += sum(extent_widths)
                if extents == 1:
                    self._found._locations.setdefault(item_id, (method & 15, base + offset, length))
                if method & 15 == _IN_FILE:
                    known = self._found._ends.get(item_id, 0)
                    self._found._ends[item_id] = max(known, base + offset + length)

    def _fields(self, position: int, widths: tuple[int, ...], end: int) -> list[int]:
        starts = [position]
        for width in widths:
            starts.append(starts[-1] + width)
        return [self._integer(start, stop - start, end) for start, stop in pairwise(starts)]
