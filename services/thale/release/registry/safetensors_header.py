"""Validation of a safetensors file without loading a tensor: its header, and that its numbers are finite.

The format is a length (8 bytes, little-endian), JSON of that length, and the bytes of the tensors without gaps:
https://huggingface.co/docs/safetensors. It cannot contain code, so it is the only format for weights.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from thale.errors import ArchiveError

MAX_HEADER_BYTES = 2**20
"""A network of a thousand layers needs 100 kB."""
LENGTH_BYTES = 8

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_EXPONENT_BITS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
"""Unsigned integer of the same size, and the bits of the exponent. All of them are set in NaN and infinity alone."""
_Natural = Annotated[int, Field(ge=0, strict=True)]


class _Tensor(BaseModel):
    model_config = ConfigDict(extra="forbid")

    dtype: str
    shape: tuple[_Natural, ...]
    data_offsets: tuple[_Natural, _Natural]


_TENSORS = TypeAdapter(dict[str, _Tensor])


@dataclass(frozen=True)
class TensorSpan:
    """The bytes of one tensor in a safetensors file, from `begin` to before `end`."""

    name: str
    dtype: str
    begin: int
    end: int


def check_header(start: bytes, size: int) -> Sequence[TensorSpan]:
    """Check that a file's header describes the file, and return its tensors in file order.

    Args:
        start: The first bytes of the file, up to `LENGTH_BYTES + MAX_HEADER_BYTES` of them.
        size: The size of the file in bytes.

    Raises:
        ArchiveError: If it is not a safetensors file, or its tensors do not fill it.
    """
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
        raise ArchiveError("the weights are not a safetensors file: save them with safetensors.torch.save_file")
    try:
        header = json.loads(start[LENGTH_BYTES : LENGTH_BYTES + length].decode())
        if isinstance(header, dict):
            header.pop("__metadata__", None)
        tensors = _TENSORS.validate_python(header)
    except (ValueError, ValidationError, RecursionError) as error:
        raise ArchiveError(f"the header of the weights is not valid: {error}") from error
    _check_offsets(tensors, size - LENGTH_BYTES - length)
    data = LENGTH_BYTES + length
    spans = (
        TensorSpan(name, tensor.dtype, *(data + edge for edge in tensor.data_offsets))
        for name, tensor in tensors.items()
    )
    return sorted(spans, key=lambda span: (span.begin, span.end))


def check_finite(chunks: Iterable[bytes], tensors: Sequence[TensorSpan]) -> None:
    """Check that no tensor contains NaN or infinity. Memory is bounded by the size of a chunk.

    Args:
        chunks: The bytes of the whole file, in order.
        tensors: Its tensors in file order, from `check_header`.

    Raises:
        ArchiveError: If a number is not finite. The message contains the name of the tensor.
    """
    for tensor, data in _split_by_tensor(chunks, tensors):
        integer, exponent = _EXPONENT_BITS[tensor.dtype]
        if np.any((np.frombuffer(data, integer) & exponent) == exponent):
            raise ArchiveError(
                f"the weights' tensor {tensor.name!r} contains NaN or infinity, so the model cannot predict: "
                "train it again with a lower learning rate, or take an earlier checkpoint"
            )


def _split_by_tensor(chunks: Iterable[bytes], tensors: Sequence[TensorSpan]) -> Iterator[tuple[TensorSpan, bytes]]:
    """Yield pieces of whole numbers of each tensor of floats."""
    pending = [tensor for tensor in reversed(tensors) if tensor.dtype in _EXPONENT_BITS and tensor.begin < tensor.end]
    position, incomplete = 0, b""
    for chunk in chunks:
        data, start = incomplete + chunk, position - len(incomplete)
        position += len(chunk)
        incomplete = b""
        while pending and pending[-1].begin < position:
            tensor = pending[-1]
            piece = data[max(tensor.begin - start, 0) : tensor.end - start]
            whole = len(piece) // _BYTES[tensor.dtype] * _BYTES[tensor.dtype]
            yield tensor, piece[:whole]
            if tensor.end > position:
                incomplete = piece[whole:]
                break
            pending.pop()


def _check_offsets(tensors: dict[str, _Tensor], size: int) -> None:
    for name, tensor in tensors.items():
        begin, end = tensor.data_offsets
        if tensor.dtype not in _BYTES or end - begin != math.prod(tensor.shape) * _BYTES[tensor.dtype]:
            raise ArchiveError(f"the weights' tensor {name!r} does not have the size of its shape: save them again")
    edges = sorted(tensor.data_offsets for tensor in tensors.values())
    gapless = all(left[1] == right[0] for left, right in pairwise(edges))
    if not edges or edges[0][0] != 0 or edges[-1][1] != size or not gapless:
        raise ArchiveError("the weights' tensors do not fill their file: it is damaged, save them again")
