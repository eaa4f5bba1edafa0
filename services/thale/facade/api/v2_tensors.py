"""Images and predictions as tensors of the Open Inference Protocol v2, in JSON and in its binary extension.

The batch is the first axis of every shape. The probability maps of a batch may differ in size. `probabilities` is
therefore padded with zeros on the right and at the bottom, and `meta` has the size of each image. The number of
landmarks differs, so the landmarks of a batch are one list. The tensor `image` has the image index of each landmark.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thale.errors import ParameterError
from thale.facade.upstream.model_response import ModelResponse
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
    """A tensor of numbers, or of texts if the datatype is BYTES."""

    datatype: str
    shape: tuple[int, ...]
    values: NDArray[np.generic] | Sequence[str]

    @classmethod
    def from_array(cls, datatype: str, array: NDArray[np.generic]) -> "Tensor":
        """Return a tensor of numbers."""
        return cls(datatype, array.shape, array)

    @classmethod
    def from_strings(cls, strings: Sequence[str]) -> "Tensor":
        """Return a tensor of texts."""
        return cls("BYTES", (len(strings),), strings)

    def to_json(self) -> list[Any]:
        """Return the values in row-major order, for JSON."""
        return self.values.ravel().tolist() if isinstance(self.values, np.ndarray) else list(self.values)

    def to_binary(self) -> bytes:
        """Return the values in row-major order, little-endian; each text follows its length."""
        if isinstance(self.values, np.ndarray):
            return self.values.astype(self.values.dtype.newbyteorder("<"), copy=False).tobytes()
        encoded = [text.encode() for text in self.values]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in encoded))


@dataclass(frozen=True)
class ResponseHeader:
    """Header of an inference response, with the outputs to send and their form."""

    id: str
    outputs: Mapping[str, bool]
    """Name of each output to send, True for the binary form."""


def render(responses: Sequence[ModelResponse], header: ResponseHeader) -> tuple[bytes, int]:
    """Return the response body and the length of the JSON at its start. One version served all model responses.

    Raises:
        InvalidModelResponseError: If a model response is invalid.
    """
    model = responses[0].route
    tensors = _segmentation_tensors(responses) if model.task == "segmentation" else _landmark_tensors(responses)
    outputs, binaries = [], []
    for name, binary in header.outputs.items():
        tensor = tensors[name]
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            binaries.append(tensor.to_binary())
            output["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            output["data"] = tensor.to_json()
        outputs.append(output)
    response = {"id": header.id, "model_name": model.name, "model_version": model.version, "outputs": outputs}
    text = json.dumps(response, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([text, *binaries]), len(text)


def _segmentation_tensors(responses: Sequence[ModelResponse]) -> dict[str, Tensor]:
    predictions = [prediction.parse_segmentation() for prediction in responses]
    shapes = np.array([prediction.probabilities_CHW.shape for prediction in predictions])
    padded_NCHW = np.zeros((len(predictions), *shapes.max(axis=0)), np.uint8)
    for image, prediction in zip(padded_NCHW, predictions, strict=True):
        classes, height, width = prediction.probabilities_CHW.shape
        image[:classes, :height, :width] = prediction.probabilities_CHW
    return {
        "probabilities": Tensor.from_array("UINT8", padded_NCHW),
        "meta": Tensor.from_strings([prediction.meta.model_dump_json() for prediction in predictions]),
    }


def _landmark_tensors(responses: Sequence[ModelResponse]) -> dict[str, Tensor]:
    predictions = [prediction.parse_landmarks() for prediction in responses]
    indexed_landmarks = [
        (index, landmark) for index, prediction in enumerate(predictions) for landmark in prediction.landmarks
    ]
    points_N2 = np.array([(landmark.x, landmark.y) for _, landmark in indexed_landmarks], np.float32).reshape(-1, 2)
    return {
        "image": Tensor.from_array("INT32", np.array([index for index, _ in indexed_landmarks], np.int32)),
        "kinds": Tensor.from_strings([landmark.kind for _, landmark in indexed_landmarks]),
        "points": Tensor.from_array("FP32", points_N2),
        "scores": Tensor.from_array(
            "FP32", np.array([landmark.score for _, landmark in indexed_landmarks], np.float32)
        ),
        "meta": Tensor.from_strings([prediction.model_dump_json(exclude={"landmarks"}) for prediction in predictions]),
    }


def images_from_binary(data: memoryview, shape: Shape) -> list[bytes]:
    """Return the images of a binary tensor: for each, its length in 4 bytes, little-endian, and its bytes.

    Raises:
        ParameterError: If the lengths differ from the number of bytes, or the number of images from the shape.
    """
    images: list[bytes] = []
    offset = 0
    while offset < len(data) and len(images) <= math.prod(shape):
        start = offset + _LENGTH.size
        if start > len(data):
            raise ParameterError(f"the input {IMAGE!r} ends within the length of an element")
        offset = start + int(_LENGTH.unpack_from(data, start - _LENGTH.size)[0])
        if offset > len(data):
            raise ParameterError(f"the input {IMAGE!r} is shorter than the sum of its elements' lengths")
        images.append(bytes(data[start:offset]))
    check_count(len(images), shape)
    return images


def check_count(count: int, shape: Shape) -> None:
    """Compare the number of elements of the input with its shape.

    Raises:
        ParameterError: If they differ.
    """
    if count != math.prod(shape):
        raise ParameterError(f"the input {IMAGE!r} has {count} elements, but its shape is {shape}")
