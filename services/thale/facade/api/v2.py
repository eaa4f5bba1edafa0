"""Routes of the Open Inference Protocol v2, the HTTP protocol of KServe and Triton clients.

https://github.com/kserve/open-inference-protocol, with the binary tensor extension. A model has one input, `image`: the
bytes of N image files, as base64 in JSON or in binary form. `v2_tensors` defines the outputs. The parameters of a
request are mm_per_px, plate_width_mm, page, experiment, timeout_s, and binary_data_output.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.responses import JSONResponse

from thale._version import __version__
from thale.errors import ParameterError, UnknownVersionError, describe_validation_error
from thale.facade.api import v2_tensors
from thale.facade.api.dependencies import HealthDependency, PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.upload import stream_body
from thale.facade.api.v2_tensors import IMAGE, ResponseHeader
from thale.facade.pipeline import Pipeline
from thale.facade.request_options import RequestOptions, Upload
from thale.facade.settings import FacadeSettings
from thale.facade.stage_timing import stage
from thale.facade.upstream import routing
from thale.facade.upstream.routing import VersionPin
from thale.schemas import Release

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"], route_class=LimitedRoute)

JSON_LENGTH_HEADER = "Inference-Header-Content-Length"
_EXTENSIONS = ["binary_tensor_data"]
_MAX_FRAMING_BYTES = 2**20
"""Maximum size of a request without its images."""


class InferParameters(BaseModel):
    """Parameters of an inference request. An unknown one is rejected, because a typo could drop the scale."""

    model_config = ConfigDict(extra="forbid")

    mm_per_px: float | None = Field(None, gt=0, allow_inf_nan=False)
    plate_width_mm: float | None = Field(None, gt=0, allow_inf_nan=False)
    page: int | None = Field(None, ge=0)
    experiment: str | None = Field(None, max_length=200)
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    binary_data_output: StrictBool = False


class InferInput(BaseModel):
    """An input tensor. Its values are in `data`, or in the `binary_data_size` bytes after the JSON."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferOutput(BaseModel):
    """A requested output."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(BaseModel):
    """An inference request. Unknown fields are ignored: KServe's client also sends the model's name."""

    id: str | None = Field(None, max_length=256)
    parameters: InferParameters = InferParameters()
    inputs: list[InferInput]
    outputs: list[InferOutput] = []


@router.get("")
async def server() -> dict[str, Any]:
    """Describe the server."""
    return {"name": "thale", "version": __version__, "extensions": _EXTENSIONS}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Return 200 as long as the process serves requests."""
    return {"live": True}


@router.get("/health/ready")
async def ready(model_health: HealthDependency) -> JSONResponse:
    """Return 200 if every model has a ready worker for its stable version, else 503."""
    is_ready = (await model_health.readiness()).is_ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get("/models")
async def models(pipeline: PipelineDependency) -> dict[str, list[str]]:
    """List the models. This route is KServe's extension of the protocol."""
    return {"models": sorted(pipeline.release_state().models)}


@router.get("/models/{name}/versions/{version}")
@router.get("/models/{name}")
async def metadata(pipeline: PipelineDependency, name: str, version: str | None = None) -> dict[str, Any]:
    """Return a model's inputs and outputs."""
    model, _ = _resolve_version(pipeline, name, version)
    return {
        "name": name,
        "versions": sorted(model.versions),
        "platform": f"thale_{model.task}",
        "inputs": v2_tensors.INPUTS,
        "outputs": v2_tensors.OUTPUTS[model.task],
    }


@router.get("/models/{name}/versions/{version}/ready")
@router.get("/models/{name}/ready")
async def model_ready(
    pipeline: PipelineDependency, model_health: HealthDependency, name: str, version: str | None = None
) -> JSONResponse:
    """Return 200 if a model version, by default the stable one, has a ready worker, else 503."""
    _, resolved_version = _resolve_version(pipeline, name, version)
    is_ready = (await model_health.readiness()).is_version_ready(name, resolved_version)
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


@router.post("/models/{name}/versions/{version}/infer", response_class=Response)
@router.post("/models/{name}/infer", response_class=Response)
async def infer(request: Request, pipeline: PipelineDependency, name: str, version: str | None = None) -> Response:
    """Run a model on one image or a batch."""
    model, _ = _resolve_version(pipeline, name, version)
    async with pipeline.admission.admit():
        with stage("body"):
            infer_request, images = await _read_request(request, pipeline.settings)
        options = _build_options(
            request, infer_request.parameters, pipeline.settings, [VersionPin(name, version)] if version else []
        )
        route = pipeline.select_route(model.task, options, name)
        response_header = ResponseHeader(
            infer_request.id or options.request_id, _select_outputs(infer_request, v2_tensors.OUTPUTS[model.task])
        )
        uploads = [Upload(image) for image in images]
        body, json_length = await cancel_on_disconnect(
            request, pipeline.infer(route, uploads, options, v2_tensors.render, response_header)
        )
    if json_length == len(body):
        return Response(body, media_type="application/json")
    headers = {JSON_LENGTH_HEADER: str(json_length)}
    return Response(body, media_type="application/octet-stream", headers=headers)


async def _read_request(request: Request, settings: FacadeSettings) -> tuple[InferRequest, list[bytes]]:
    """Read a request and its images."""
    max_bytes = settings.max_body_bytes * 4 // 3 + _MAX_FRAMING_BYTES
    body = b"".join([chunk async for chunk in stream_body(request, settings, max_bytes)])
    return await asyncio.to_thread(_parse_request, body, request.headers.get(JSON_LENGTH_HEADER), settings)


def _parse_request(body: bytes, json_length: str | None, settings: FacadeSettings) -> tuple[InferRequest, list[bytes]]:
    json_end = len(body) if json_length is None else int(json_length) if json_length.isdigit() else -1
    if not 0 <= json_end <= len(body):
        raise ParameterError(f"{JSON_LENGTH_HEADER} is {json_length!r}, but the body has {len(body)} bytes")
    try:
        infer_request = InferRequest.model_validate_json(body[:json_end])
    except ValidationError as error:
        raise ParameterError(f"the inference request is not understood: {describe_validation_error(error)}") from error
    if (
        len(infer_request.inputs) != 1
        or infer_request.inputs[0].name != IMAGE
        or infer_request.inputs[0].datatype != "BYTES"
    ):
        raise ParameterError(f"send exactly one input, {IMAGE!r}, with datatype BYTES")
    images = _parse_images(infer_request.inputs[0], body[json_end:])
    if not 1 <= len(images) <= settings.max_batch:
        raise ParameterError(f"the request has {len(images)} images: send 1 to {settings.max_batch}")
    return infer_request, images


def _parse_images(tensor: InferInput, binary: bytes) -> list[bytes]:
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None or binary:
            raise ParameterError(
                f"send the input {IMAGE!r} either in `data`, or with `binary_data_size` after the JSON"
            )
        return v2_tensors.images_from_json(tensor.data, tensor.shape)
    if tensor.data is not None or type(size) is not int or size != len(binary):
        raise ParameterError(f"binary_data_size is {size!r}, but {len(binary)} bytes follow the JSON")
    return v2_tensors.images_from_binary(binary, tensor.shape)


def _select_outputs(infer_request: InferRequest, available: list[dict[str, Any]]) -> Mapping[str, bool]:
    """Return the requested outputs, by default all; the value is True for the binary form."""
    names = [output["name"] for output in available]
    default = infer_request.parameters.binary_data_output
    if not infer_request.outputs:
        return dict.fromkeys(names, default)
    for output in infer_request.outputs:
        if output.name not in names:
            raise ParameterError(f"unknown output {output.name!r}: request one of {', '.join(names)}")
    return {output.name: bool(output.parameters.get("binary_data", default)) for output in infer_request.outputs}


def _build_options(
    request: Request, parameters: InferParameters, settings: FacadeSettings, pins: Sequence[VersionPin]
) -> RequestOptions:
    return RequestOptions(
        request_id=request.state.request_id,
        stats=request.state.stats,
        deadline=request_deadline(settings, parameters.timeout_s),
        mm_per_px=parameters.mm_per_px,
        plate_width_mm=parameters.plate_width_mm,
        page=parameters.page,
        experiment=parameters.experiment,
        pins=pins,
    )


def _resolve_version(pipeline: Pipeline, name: str, version: str | None) -> tuple[Release, str]:
    """Return a model, and the given version or the stable one."""
    model = routing.get_release(pipeline.release_state(), name)
    resolved_version = version or model.stable
    if resolved_version not in model.versions:
        raise UnknownVersionError(name, resolved_version, sorted(model.versions))
    return model, resolved_version
