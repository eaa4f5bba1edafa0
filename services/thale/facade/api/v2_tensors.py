"""Images and answers as the tensors of the Open Inference Protocol v2, in JSON and in its binary extension.

Batches come first in every shape. The maps of a batch may differ in size, so `probabilities` is padded with zeros to
the right and below: each image's own size stands in its `meta`. Landmarks differ in number, so they are one list, and
the tensor `image` says which image of the batch each belongs to.
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thale.errors import ParameterError
from thale.facade.upstream.model_response import Answer
from thale.schemas import Task

IMAGE = "image"
Shape = list[int]

INPUTS = [{"name": IMAGE, "datatype": "BYTES", "shape": [-1]}]
OUTPUTS: dict[Task, list[dict[str, Any]]] = {
    "segmentation": [
        {"name": "probabilities", "datatype": "UINT8", "shape": [-1, -1, -1, -1]},
        {"name": "meta", "datatype": "BYTES", "shape": [-1]},
    ],
    "landmarks": [
        {"name": "image", "datatype": "INT32", "shape": [-1]},
        {"name": "kinds", "datatype": "BYTES", "shape": [-1]},
        {"name": "points", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "scores", "datatype": "FP32", "shape": [-1]},
        {"name": "meta", "datatype": "BYTES", "shape": [-1]},
    ],
}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Tensor:
    """A named tensor: numbers, or texts where the datatype is BYTES."""

    datatype: str
    shape: tuple[int, ...]
    values: NDArray[np.generic] | Sequence[str]

    @classmethod
    def numbers(cls, datatype: str, array: NDArray[np.generic]) -> "Tensor":
        """Return an array as a tensor."""
        return cls(datatype, array.shape, array)

    @classmethod
    def texts(cls, texts: Sequence[str]) -> "Tensor":
        """Return texts as a tensor of BYTES."""
        return cls("BYTES", (len(texts),), texts)

    def listed(self) -> list[Any]:
        """Return the values in row-major order, for JSON."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def packed(self) -> bytes:
        """Return the values in row-major order, little-endian; texts with their length before them."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype(self.values.dtype.newbyteorder("<"), copy=False).tobytes()
        encoded = [text.encode() for text in self.values]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in encoded))


@dataclass(frozen=True)
class Head:
    """What an inference answer says beside its tensors, and which of them go out, in binary form or in JSON."""

    id: str
    outputs: Mapping[str, bool]
    """Name of each output to send, True for the binary form."""


def render(answers: Sequence[Answer], head: Head) -> tuple[bytes, int]:
    """Return the answer's body and the length of the JSON at its beginning. All answers are one version's.

    Raises:
        ModelNonsenseError: If a model's answer cannot be one.
    """
    model = answers[0].choice
    tensors = _segmentation(answers) if model.task == "segmentation" else _landmarks(answers)
    told, binaries = [], []
    for name, binary in head.outputs.items():
        tensor = tensors[name]
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            binaries.append(tensor.packed())
            output["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            output["data"] = tensor.listed()
        told.append(output)
    response = {"id": head.id, "model_name": model.name, "model_version": model.version, "outputs": told}
    text = json.dumps(response, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([text, *binaries]), len(text)


def _segmentation(answers: Sequence[Answer]) -> dict[str, Tensor]:
    read = [answer.segmentation() for answer in answers]
    shapes = np.array([answer.probabilities_CHW.shape for answer in read])
    padded_NCHW = np.zeros((len(read), *shapes.max(axis=0)), np.uint8)
    for image, answer in zip(padded_NCHW, read, strict=True):
        classes, height, width = answer.probabilities_CHW.shape
        image[:classes, :height, :width] = answer.probabilities_CHW
    return {
        "probabilities": Tensor.numbers("UINT8", padded_NCHW),
        "meta": Tensor.texts([answer.meta.model_dump_json() for answer in read]),
    }


def _landmarks(answers: Sequence[Answer]) -> dict[str, Tensor]:
    read = [answer.landmarks() for answer in answers]
    found = [(index, landmark) for index, answer in enumerate(read) for landmark in answer.landmarks]
    points_N2 = np.array([(landmark.x, landmark.y) for _, landmark in found], np.float32).reshape(-1, 2)
    return {
        "image": Tensor.numbers("INT32", np.array([index for index, _ in found], np.int32)),
        "kinds": Tensor.texts([landmark.kind for _, landmark in found]),
        "points": Tensor.numbers("FP32", points_N2),
        "scores": Tensor.numbers("FP32", np.array([landmark.score for _, landmark in found], np.float32)),
        "meta": Tensor.texts([answer.model_dump_json(exclude={"landmarks"}) for answer in read]),
    }


def images_from_json(data: object, shape: Shape) -> list[bytes]:
    """Return the images of a JSON tensor: base64 texts, nested by the shape or flat.

    Raises:
        ParameterError: If they are no base64, or not as many as the shape says.
    """
    texts = list(_flat(data))
    _check_count(len(texts), shape)
    return [_from_base64(text, index) for index, text in enumerate(texts)]


def images_from_binary(data: bytes, shape: Shape) -> list[bytes]:
    """Return the images of a binary tensor: the length of each as 4 bytes, little-endian, and its bytes.

    Raises:
        ParameterError: If lengths and bytes disagree, or they are not as many as the shape says.
    """
    images = []
    offset = 0
    while offset < len(data):
        start = offset + _LENGTH.size
        if start > len(data):
            raise ParameterError(f"the input {IMAGE!r} ends within the length of an element")
        offset = start + int(_LENGTH.unpack_from(data, start - _LENGTH.size)[0])
        if offset > len(data):
            raise ParameterError(f"the input {IMAGE!r} is shorter than the lengths of its elements say")
        images.append(data[start:offset])
    _check_count(len(images), shape)
    return images


def _check_count(count: int, shape: Shape) -> None:
    if count != int(np.prod(shape, dtype=object)) or not shape:
        raise ParameterError(f"the input {IMAGE!r} has {count} elements, and its shape is {shape}")


def _flat(data: object) -> Any:
    if isinstance(data, list):
        for element in data:
            yield from _flat(element)
    else:
        yield data


def _from_base64(text: object, index: int) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else b"?", validate=True)
    except (binascii.Error, ValueError):
        raise ParameterError(
            f"element {index} of the input {IMAGE!r} is no base64 text: encode the image's bytes so, or send them as "
            "they are with the binary extension"
        ) from None
