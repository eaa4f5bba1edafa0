"""Invalid archives for tests, made from a valid one by a single change."""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thale.models.model_card import CARD, WEIGHTS

DIRECTORY_ENTRY = b"PK\1\2"
HEADER = b"PK\3\4"

Entries = dict[str, bytes]
INVISIBLE = {
    "NUL": "\0",
    "escape sequence": "\x1b[2J",
    "carriage return": "\r",
    "C1 control": "\x85",
    "bidirectional override": "\u202e",
    "bidirectional isolate": "\u2066",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "line separator": "\u2028",
    "tag": "\U000e0041",
    "variation selector": "\ufe0f",
    "Hangul filler": "\u3164",
    "private use": "\ue000",
    "unassigned": "\U0003fffe",
}
"""Characters that a reader does not see, by name."""
OTHER_SPELLINGS_OF_A_VERSION = (
    *("01.1.0", "1.01.0", "1.1.00", "1.1.\u0661", "\uff11.1.0", "1.1.0\n", " 1.1.0", "v1.1.0", "1.1", "1.1.0.0"),
    *("1.1.0-rc1", "1.1.0+build", "1..0", "+1.1.0", "-1.1.0", "1_0.1.0", "1.1." + "9" * 10, ""),
)
"""Texts that are not a version, although `int` and `\\d` accept parts of them."""
NOT_FINITE = {
    "F16": (np.array([np.nan, np.inf, -np.inf], "<f2"), "<f2"),
    "F32": (np.array([np.nan, np.inf, -np.inf], "<f4"), "<f4"),
    "F64": (np.array([np.nan, np.inf, -np.inf], "<f8"), "<f8"),
    "BF16": (np.array([0x7FC1, 0x7F80, 0xFF80], "<u2"), "<u2"),
}
"""NaN and both infinities in each format of floats."""


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


def safetensors_bytes(tensors: dict[str, object], data: bytes = bytes(4)) -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


def one_tensor(dtype: str, values: np.ndarray, *, odd_offset: bool = False) -> bytes:
    """Return a safetensors file with one tensor, on request after one byte, so that its numbers are not aligned."""
    padding = {"padding": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}} if odd_offset else {}
    start = int(odd_offset)
    tensor = {"dtype": dtype, "shape": [values.size], "data_offsets": [start, start + values.nbytes]}
    return safetensors_bytes({**padding, "layer.weight": tensor}, bytes(start) + values.tobytes())


def replace_weights(content: bytes) -> Callable[[Entries], None]:
    """Replace the weights, and their digest in the card."""

    def change(entries: Entries) -> None:
        change_card(weights_sha256=hashlib.sha256(content).hexdigest())(entries)
        entries[WEIGHTS] = content

    return change


def change_card(**fields: object) -> Callable[[Entries], None]:
    """Change fields of the card."""

    def change(entries: Entries) -> None:
        entries[CARD] = json.dumps(json.loads(entries[CARD]) | fields).encode()

    return change
