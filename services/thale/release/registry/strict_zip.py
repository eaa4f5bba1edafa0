"""A ZIP file read so strictly that every other reader sees the same members in it.

TorchServe unpacks by the header before each member and never looks at the directory at the file's end; Python's
zipfile does the reverse. So that nothing can show itself to the one and hide from the other, the members must follow
each other from the first byte to the directory without a gap, each header must say what the directory says, and the
data must be as long as both. Nothing is unpacked to disk here, and never more than was announced.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from typing import BinaryIO

from thale.errors import ArchiveError

MAX_MEMBERS = 16
MAX_BYTES = 512 * 2**20
"""Of the archive, and of everything in it together."""
MAX_RATIO = 100

_HEADER = struct.Struct("<4s5H3I2H")
"""Signature, version, flags, method, time, date, CRC, compressed and whole size, lengths of name and extra field."""
_END = struct.Struct("<4s4H2IH")
"""Signature, four counts, size and place of the directory, length of the comment."""
_END64 = struct.Struct("<4sIQI")
"""What stands before it where a ZIP64 record is meant instead."""
_MAX_DIRECTORY_BYTES = 2**16
_HARMLESS_FLAGS = 0x0806
"""How well it was deflated, and that the name is UTF-8."""
_ENCRYPTED, _STREAMED = 0x0001, 0x0008
_LINK, _KIND = 0o120000, 0o170000
_CHUNK_BYTES = 2**16
_REMEDY = "pack it again with `thale-models archive`"


@dataclass(frozen=True)
class Member:
    """One file in an archive. `start` is where its data begin."""

    name: str
    size: int
    compressed_size: int
    is_deflated: bool
    crc: int
    start: int

    def chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """Give the content piece by piece.

        Raises:
            ArchiveError: As soon as it is longer than announced, or at its end if it is not what was packed.
        """
        file.seek(self.start)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS) if self.is_deflated else None
        remaining, produced, crc = self.compressed_size, 0, 0
        while remaining and (packed := file.read(min(_CHUNK_BYTES, remaining))):
            remaining -= len(packed)
            try:
                chunk = inflater.decompress(packed, self.size - produced + 1) if inflater else packed
            except zlib.error as error:
                raise ArchiveError(f"{self.name!r} is damaged ({error}): {_REMEDY}") from error
            produced += len(chunk)
            if produced > self.size:
                raise ArchiveError(f"{self.name!r} is longer than the {self.size} bytes that it announces: {_REMEDY}")
            crc = zlib.crc32(chunk, crc)
            yield chunk
        is_complete = inflater is None or (inflater.eof and not inflater.unused_data)
        if remaining or produced != self.size or crc != self.crc or not is_complete:
            raise ArchiveError(f"{self.name!r} is damaged: {_REMEDY}")

    def content(self, file: BinaryIO, max_bytes: int) -> bytes:
        """Return the whole content of a small member.

        Raises:
            ArchiveError: If it is larger than `limit` bytes, or damaged.
        """
        if self.size > max_bytes:
            raise ArchiveError(f"{self.name!r} is larger than {max_bytes} bytes")
        return b"".join(self.chunks(file))


def read_members(file: BinaryIO) -> dict[str, Member]:
    """Return the members of an archive by name, in their order.

    Raises:
        ArchiveError: If the file is no ZIP that all readers agree on, or its members are too many, too large, links,
            encrypted, or would be unpacked elsewhere.
    """
    count, start = _read_end(file)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise ArchiveError(f"this is no model archive, or a damaged one ({error}): {_REMEDY}") from error
    _check_sizes(entries)
    members: dict[str, Member] = {}
    offset = 0
    for entry in entries:
        _check_entry(entry)
        if entry.filename in members:
            raise ArchiveError(f"{entry.filename!r} occurs twice: {_REMEDY}")
        member = members[entry.filename] = _read_header(file, entry, offset)
        offset = member.start + member.compressed_size
    if (len(entries), offset) != (count, start):
        raise ArchiveError(f"there is something between or behind the archive's members: {_REMEDY}")
    return members


def _read_end(file: BinaryIO) -> tuple[int, int]:
    """Return how many members there are and where the directory begins, from the record at the file's very end.

    A directory of millions of entries, or another one announced by a ZIP64 record, is refused before it is read.
    """
    length = file.seek(0, SEEK_END)
    file.seek(max(0, length - _END.size - _END64.size))
    before, raw = (tail := file.read())[: -_END.size], tail[-_END.size :]
    if len(raw) == _END.size and not before.startswith(b"PK\6\7"):
        signature, _, _, disk_total, total, size, start, comment = _END.unpack(raw)
        if total > MAX_MEMBERS:
            raise ArchiveError(f"{total} entries; at most {MAX_MEMBERS} are allowed")
        is_contiguous = start + size + _END.size == length and size <= _MAX_DIRECTORY_BYTES
        if (signature, disk_total, comment) == (b"PK\5\6", total, 0) and is_contiguous:
            return total, start
    raise ArchiveError(f"this is no model archive, or one with something behind it: {_REMEDY}")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ArchiveError(f"more than {MAX_BYTES} bytes when unpacked")
    for entry in entries:
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
            raise ArchiveError(f"{entry.filename!r} unpacks to {entry.file_size} bytes from {entry.compress_size}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name:
        raise ArchiveError(f"{name!r} would be unpacked outside its folder")
    if not (name.isascii() and name.isprintable()):
        raise ArchiveError(f"{name!r} is no name that every system takes: {_REMEDY}")
    if (entry.external_attr >> 16) & _KIND == _LINK:
        raise ArchiveError(f"{name!r} is a link: pack the file that it points to")
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{name!r} is encrypted: {_REMEDY}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{name!r} is compressed in a way that not every reader knows: {_REMEDY}")
    if entry.flag_bits & ~_HARMLESS_FLAGS or entry.extra or entry.comment:
        streamed = "it was packed as a stream" if entry.flag_bits & _STREAMED else "it has extra fields"
        raise ArchiveError(f"readers may disagree about {name!r}, {streamed}: {_REMEDY}")


def _read_header(file: BinaryIO, entry: zipfile.ZipInfo, offset: int) -> Member:
    """Read the header before a member's data, which must stand at `place` and say what the directory says."""
    deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    expected = (entry.flag_bits, entry.compress_type, entry.CRC, entry.compress_size, entry.file_size)
    file.seek(offset)
    raw = file.read(_HEADER.size)
    name = entry.orig_filename.encode()
    if len(raw) == _HEADER.size and entry.header_offset == offset:
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _HEADER.unpack(raw)
        is_consistent = signature == b"PK\3\4" and (flags, method, crc, packed, size) == expected
        if is_consistent and name_length == len(name) and not extra_length and file.read(len(name)) == name:
            return Member(entry.filename, size, packed, deflated, crc, offset + _HEADER.size + len(name))
    raise ArchiveError(f"the header of {entry.filename!r} and the archive's directory disagree: {_REMEDY}")
