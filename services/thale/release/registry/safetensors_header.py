"""Validation of the header of a safetensors file, without loading a tensor.

The format is a length (8 bytes, little-endian), JSON of that length, and the bytes of the tensors without gaps:
https://huggingface.co/docs/safetensors. It cannot contain code, so it is the only format for weights.
"""

import json
import math
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from thale.errors import ArchiveError

MAX_HEADER_BYTES = 2**20
"""A network of a thousand layers needs 100 kB."""
LENGTH_BYTES = 8

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_Natural = Annotated[int, Field(ge=0, strict=True)]


class _Tensor(BaseModel):
    model_config = ConfigDict(extra="forbid")

    dtype: str
    shape: tuple[_Natural, ...]
    data_offsets: tuple[_Natural, _Natural]


_TENSORS = TypeAdapter(dict[str, _Tensor])


def check_header(start: bytes, size: int) -> None:
    """Check that a file's header describes the file.

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


def _check_offsets(tensors: dict[str, _Tensor], size: int) -> None:
    for name, tensor in tensors.items():
        begin, end = tensor.data_offsets
        if tensor.dtype not in _BYTES or end - begin != math.prod(tensor.shape) * _BYTES[tensor.dtype]:
            raise ArchiveError(f"the weights' tensor {name!r} does not have the size of its shape: save them again")
    edges = sorted(tensor.data_offsets for tensor in tensors.values())
    gapless = all(left[1] == right[0] for left, right in pairwise(edges))
    if not edges or edges[0][0] != 0 or edges[-1][1] != size or not gapless:
        raise ArchiveError("the weights' tensors do not fill their file: it is damaged, save them again")
