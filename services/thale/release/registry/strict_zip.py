"""Strict ZIP reader: it accepts only files in which every ZIP reader sees the same members (ADR 0021).

TorchServe unpacks by the local header before each member and ignores the central directory at the end of the file.
Python's zipfile does the reverse. A member must not be visible to only one of them. Therefore members follow each other
without a gap from the first byte to the directory, each header equals its directory entry, and the data has the
declared size. The reader writes nothing to disk and never inflates more than the declared size.
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
"""Maximum size of the archive, and of all its members together."""
MAX_RATIO = 100

_HEADER = struct.Struct("<4s5H3I2H")
"""Signature, version, flags, method, time, date, CRC, compressed and full size, lengths of name and extra field."""
_END = struct.Struct("<4s4H2IH")
"""Signature, four counts, size and offset of the directory, length of the comment."""
_END64 = struct.Struct("<4sIQI")
"""The ZIP64 locator, which precedes the end record if a ZIP64 record applies instead."""
_MAX_DIRECTORY_BYTES = 2**16
_HARMLESS_FLAGS = 0x0806
"""Deflate level, and UTF-8 in the name."""
_ENCRYPTED, _STREAMED = 0x0001, 0x0008
_LINK, _KIND = 0o120000, 0o170000
_CHUNK_BYTES = 2**16
_REMEDY = "pack it again with `thale-models archive`"


@dataclass(frozen=True)
class Member:
    """One file in an archive. `start` is the offset of its data."""

    name: str
    size: int
    compressed_size: int
    is_deflated: bool
    crc: int
    start: int

    def chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the content in chunks.

        Raises:
            ArchiveError: As soon as it exceeds the declared size, or at its end if size or CRC do not match.
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
                raise ArchiveError(f"{self.name!r} exceeds its declared size of {self.size} bytes: {_REMEDY}")
            crc = zlib.crc32(chunk, crc)
            yield chunk
        is_complete = inflater is None or (inflater.eof and not inflater.unused_data)
        if remaining or produced != self.size or crc != self.crc or not is_complete:
            raise ArchiveError(f"{self.name!r} is damaged: {_REMEDY}")

    def content(self, file: BinaryIO, max_bytes: int) -> bytes:
        """Return the whole content of a small member.

        Raises:
            ArchiveError: If it is larger than `max_bytes`, or damaged.
        """
        if self.size > max_bytes:
            raise ArchiveError(f"{self.name!r} is larger than {max_bytes} bytes")
        return b"".join(self.chunks(file))


def read_members(file: BinaryIO) -> dict[str, Member]:
    """Return the members of an archive by name, in file order.

    Raises:
        ArchiveError: If readers could interpret the file differently, or its members are too many, too large, links,
            encrypted, or outside the target folder.
    """
    count, start = _read_end(file)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise ArchiveError(f"not a model archive, or damaged ({error}): {_REMEDY}") from error
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
        raise ArchiveError(f"unexpected data between or after the members: {_REMEDY}")
    return members


def _read_end(file: BinaryIO) -> tuple[int, int]:
    """Return the number of members and the offset of the directory, from the record at the end of the file.

    A directory with too many entries, or one in a ZIP64 record, is rejected before it is read.
    """
    length = file.seek(0, SEEK_END)
    file.seek(max(0, length - _END.size - _END64.size))
    before, raw = (tail := file.read())[: -_END.size], tail[-_END.size :]
    if len(raw) == _END.size and not before.startswith(b"PK\6\7"):
        signature, _, _, disk_total, total, size, start, comment = _END.unpack(raw)
        if total > MAX_MEMBERS:
            raise ArchiveError(f"{total} entries exceed the limit of {MAX_MEMBERS}")
        is_contiguous = start + size + _END.size == length and size <= _MAX_DIRECTORY_BYTES
        if (signature, disk_total, comment) == (b"PK\5\6", total, 0) and is_contiguous:
            return total, start
    raise ArchiveError(f"not a model archive, or followed by other data: {_REMEDY}")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ArchiveError(f"the unpacked members exceed {MAX_BYTES} bytes")
    for entry in entries:
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
            raise ArchiveError(f"{entry.filename!r} unpacks from {entry.compress_size} to {entry.file_size} bytes")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name:
        raise ArchiveError(f"{name!r} would be unpacked outside its folder")
    if not (name.isascii() and name.isprintable()):
        raise ArchiveError(f"the name {name!r} is not portable: {_REMEDY}")
    if (entry.external_attr >> 16) & _KIND == _LINK:
        raise ArchiveError(f"{name!r} is a link: pack the file that it points to")
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{name!r} is encrypted: {_REMEDY}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{name!r} is compressed with a method that not every reader supports: {_REMEDY}")
    if entry.flag_bits & ~_HARMLESS_FLAGS or entry.extra or entry.comment:
        cause = "it was packed as a stream" if entry.flag_bits & _STREAMED else "it has extra fields"
        raise ArchiveError(f"readers may disagree about {name!r}, because {cause}: {_REMEDY}")


def _read_header(file: BinaryIO, entry: zipfile.ZipInfo, offset: int) -> Member:
    """Read the local header of a member, which must be at `offset` and equal its directory entry."""
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
