"""Invalid archives for tests, made from a valid one by a single change."""

import struct
import zipfile
from pathlib import Path

DIRECTORY_ENTRY = b"PK\1\2"
HEADER = b"PK\3\4"


def unpack(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def overwrite_bytes(path: Path, marker: bytes, offset: int, value: bytes) -> Path:
    """Overwrite bytes of the first record that starts with the marker."""
    data = bytearray(path.read_bytes())
    start = data.index(marker) + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


def with_declared_size(path: Path, name: str, size: int) -> Path:
    """Declare another size of a member in its header and in the directory than its data has."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        header = archive.getinfo(name).header_offset
    data[header + 22 : header + 26] = struct.pack("<I", size)
    directory = data.index(DIRECTORY_ENTRY)
    while data[directory + 46 : directory + 46 + len(name)] != name.encode():
        directory = data.index(DIRECTORY_ENTRY, directory + 1)
    data[directory + 24 : directory + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


def with_hidden_member(path: Path, name: str, content: bytes, index: int) -> Path:
    """Add a member that the directory does not list. Python's zipfile skips it, and Java unpacks it."""
    entries = [*unpack(path).items()]
    entries.insert(index, (name, content))
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            archive.writestr(*entry)
        del archive.filelist[index]
    return path
