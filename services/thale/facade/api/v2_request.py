"""Inference requests of the Open Inference Protocol v2: their schema and their parser.

Parsing costs no more than the request sends: every list is bounded, and the first invalid item ends its list.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, StrictBool, StrictInt, ValidationError

from thale.errors import MalformedRequestError, ParameterError, describe_validation_error
from thale.facade.api import v2_tensors
from thale.facade.api.v2_json import decode_base64, split_long_texts
from thale.facade.api.v2_tensors import IMAGE
from thale.schemas import Region

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"

_MAX_OUTPUTS = 16
_NUMBER = re.compile(r"[0-9]{1,12}")
_MAX_QUOTED = 40
"""Maximum number of characters of a header in an error."""
_Size = Annotated[int, Field(ge=0, lt=10**10)]
_Name = Annotated[str, Field(max_length=256)]


class InferParameters(BaseModel):
    """Parameters of an inference request. An unknown one is rejected, because a typo could drop the scale."""

    model_config = ConfigDict(extra="forbid")

    mm_per_px: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Scale in millimetres per pixel."""
    plate_width_mm: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Outer width of the plate in millimetres."""
    region: Region = "plate"
    """The plate, or the whole image, which needs mm_per_px."""
    page: int | None = Field(None, ge=0, lt=10_000)
    """Page of a TIFF with several pages, from 0."""
    experiment: str | None = Field(None, max_length=200)
    """One version of the model processes all images of an experiment."""
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Max seconds to the response."""
    binary_data_output: StrictBool | None = None
    """True: all outputs are binary by default."""


class InferInputParameters(BaseModel):
    """Parameters of an input. Other ones, such as MLServer's `content_type`, are ignored."""

    binary_data_size: Annotated[StrictInt, Field(ge=0, lt=10**10)] | None = None
    """Bytes of this input after the JSON."""


class InferInput(BaseModel):
    """An input tensor. Its values are in `data`, or in the `binary_data_size` bytes after the JSON."""

    name: _Name
    """Name of the input: image."""
    shape: Annotated[list[_Size], Field(min_length=1, max_length=2), FailFast()]
    """Number of images, or [N, 1]."""
    datatype: _Name
    """BYTES."""
    parameters: InferInputParameters | None = None
    """Parameters of the input."""
    data: list[Any] | None = Field(None, description="Base64 texts, flat or nested by the shape.")


class InferOutputParameters(BaseModel):
    """Parameters of a requested output. An unknown one is rejected, because it would change the output."""

    model_config = ConfigDict(extra="forbid")

    binary_data: StrictBool | None = None
    """True: this output is binary."""


class InferOutput(BaseModel):
    """A requested output."""

    name: _Name
    """Name of the output."""
    parameters: InferOutputParameters | None = None
    """Parameters of the output."""


class InferRequest(BaseModel):
    """An inference request. Unknown fields are ignored: KServe's client also sends the model's name."""

    id: str | None = Field(None, max_length=256)
    """Identifier that the response repeats."""
    parameters: InferParameters | None = None
    """Parameters of the request."""
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=1), FailFast()]
    """The only input."""
    outputs: list[InferOutput] | None = Field(None, max_length=_MAX_OUTPUTS)
    """Outputs to return. All by default."""

    def select_outputs(self, available: list[dict[str, Any]]) -> Mapping[str, bool]:
        """Return the requested outputs, by default all; the value is True for the binary form.

        Raises:
            ParameterError: If an output does not exist.
        """
        names = [output["name"] for output in available]
        default = bool(self.parameters and self.parameters.binary_data_output)
        if not self.outputs:
            return dict.fromkeys(names, default)
        selected = {}
        for output in self.outputs:
            if output.name not in names:
                raise ParameterError(f"unknown output {output.name!r}: request one of {', '.join(names)}")
            binary = None if output.parameters is None else output.parameters.binary_data
            selected[output.name] = default if binary is None else binary
        return selected


def parse_infer_request(
    body: bytes | bytearray, json_length: str | None, max_batch: int
) -> tuple[InferRequest, list[bytes]]:
    """Return an inference request and its images.

    Args:
        body: The JSON, and after it the binary tensors.
        json_length: Value of the header `Inference-Header-Content-Length`; None if the body is only JSON.
        max_batch: Maximum number of images.

    Raises:
        MalformedRequestError: If `json_length` is not a number.
        ParameterError: If the request is invalid.
    """
    json_end = _parse_json_end(json_length, len(body))
    split = split_long_texts(body, json_end, max_batch)
    try:
        infer_request = InferRequest.model_validate_json(split.json)
    except ValidationError as error:
        raise ParameterError(f"the inference request is invalid: {describe_validation_error(error)}") from error
    [tensor] = infer_request.inputs
    if tensor.name != IMAGE or tensor.datatype != "BYTES":
        raise ParameterError(f"send exactly one input, {IMAGE!r}, with datatype BYTES")
    count = math.prod(tensor.shape)
    if not 1 <= count <= max_batch:
        raise ParameterError(f"the request has {count} images: send 1 to {max_batch}")
    return infer_request, _parse_images(tensor, split.texts, memoryview(body)[json_end:])


def _parse_json_end(json_length: str | None, body_length: int) -> int:
    if json_length is None:
        return body_length
    if not _NUMBER.fullmatch(json_length):
        quoted = repr(json_length[:_MAX_QUOTED])
        raise MalformedRequestError(f"{JSON_LENGTH_HEADER} is {quoted}: send the length of the JSON in bytes")
    if int(json_length) > body_length:
        raise ParameterError(f"{JSON_LENGTH_HEADER} is {json_length!r}, but the body has {body_length} bytes")
    return int(json_length)


def _parse_images(tensor: InferInput, texts: Mapping[str, bytes], binary: memoryview) -> list[bytes]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if size is None:
        if tensor.data is None or binary:
            raise ParameterError(
                f"send the input {IMAGE!r} either in `data`, or with `binary_data_size` after the JSON"
            )
        return _decode_images(tensor, texts)
    if tensor.data is not None or size != len(binary):
        raise ParameterError(f"binary_data_size is {size}, but {len(binary)} bytes follow the JSON")
    if texts:
        raise _misplaced_text_error()
    return v2_tensors.images_from_binary(binary, tensor.shape)


def _decode_images(tensor: InferInput, texts: Mapping[str, bytes]) -> list[bytes]:
    """Return the images of a JSON tensor: base64 texts, nested by the shape or flat."""
    elements = list(_flatten(tensor.data or []))
    v2_tensors.check_count(len(elements), tensor.shape)
    if len(texts.keys() & {element for element in elements if isinstance(element, str)}) != len(texts):
        raise _misplaced_text_error()
    images = []
    for index, element in enumerate(elements):
        try:
            images.append(decode_base64(texts.get(element, element.encode())))
        except (AttributeError, ValueError):  # an element that is no text, or no base64
            raise ParameterError(
                f"element {index} of the input {IMAGE!r} is not base64: encode the image's bytes as base64, or send "
                "them with the binary extension"
            ) from None
    return images


def _flatten(data: list[Any]) -> Iterator[Any]:
    for element in data:
        if isinstance(element, list):
            yield from element
        else:
            yield element


def _misplaced_text_error() -> ParameterError:
    return ParameterError("a long text is not an element of `data`: send only images there, and short texts elsewhere")
