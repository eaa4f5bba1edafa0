"""Responses of the Open Inference Protocol v2, for the OpenAPI document. Fields that are null are never sent.

https://github.com/kserve/open-inference-protocol
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from thale.schemas import Version


class _Response(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class V2Server(_Response):
    """Metadata of the server."""

    name: str
    """Name of the server: thale."""
    version: str
    """Version of thale."""
    extensions: list[str]
    """Extensions of the protocol: binary_tensor_data."""


class V2ServerLive(_Response):
    """Liveness of the server."""

    live: bool
    """True."""


class V2ServerReady(_Response):
    """Readiness of the server."""

    ready: bool
    """True if the server can serve requests. The status is then 200, else 503."""


class V2ModelList(_Response):
    """Released models. The route is an extension of KServe."""

    models: list[str]
    """Names in alphabetical order."""


class V2TensorMetadata(_Response):
    """An input or an output of a model."""

    name: str
    """Name of the tensor."""
    datatype: Literal["BYTES", "UINT8", "INT32", "FP32"]
    """Type of the elements."""
    shape: list[int]
    """Length of each axis, -1 if it varies."""


class V2Model(_Response):
    """Metadata of a model."""

    name: str
    """Name of the model."""
    versions: list[Version]
    """Released versions in ascending order."""
    platform: str
    """thale_segmentation or thale_landmarks."""
    inputs: list[V2TensorMetadata]
    """The only input, image."""
    outputs: list[V2TensorMetadata]
    """Outputs of the model."""


class V2ModelReady(_Response):
    """Readiness of a model version."""

    name: str
    """Name of the model."""
    ready: bool
    """True if a worker serves the version. The status is then 200, else 503."""


class V2OutputParameters(_Response):
    """Parameters of a binary output."""

    binary_data_size: int
    """Bytes of this output after the JSON."""


class V2Output(V2TensorMetadata):
    """An output tensor. Its values are in `data`, or in the `binary_data_size` bytes after the JSON."""

    data: list[Any] | SkipJsonSchema[None] = None
    """Values in row-major order: numbers, or texts if the datatype is BYTES. Not sent for a binary output."""
    parameters: V2OutputParameters | SkipJsonSchema[None] = None
    """Only of a binary output."""


class V2Inference(_Response):
    """Inference response. With binary outputs, it is followed by their bytes."""

    id: str
    """Identifier of the request, or the X-Request-Id without one."""
    model_name: str
    """Name of the model."""
    model_version: Version
    """Version that served the request."""
    outputs: list[V2Output]
    """The requested outputs."""


class V2Error(_Response):
    """An error of the protocol."""

    error: str
    """What failed, why, and the remedy."""
