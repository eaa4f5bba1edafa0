"""Routes of the Open Inference Protocol v2, the HTTP protocol of KServe and Triton clients.

https://github.com/kserve/open-inference-protocol, with the binary tensor extension. A model has one input, `image`: the
bytes of N image files, as base64 in JSON or in binary form. `v2_tensors` defines the outputs. The parameters of a
request are mm_per_px, plate_width_mm, region, page, experiment, timeout_s, and binary_data_output.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from thale._version import __version__
from thale.errors import UnknownVersionError
from thale.facade.api import v2_tensors
from thale.facade.api.authentication import PREDICT, READ
from thale.facade.api.content_encoding import reject_compressed_body
from thale.facade.api.dependencies import HealthDependency, PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.upload import admit_upload, stream_body
from thale.facade.api.v2_request import (
    JSON_LENGTH_HEADER,
    InferParameters,
    InferRequest,
    parse_infer_request,
)
from thale.facade.api.v2_responses import (
    V2Inference,
    V2Model,
    V2ModelList,
    V2ModelReady,
    V2Server,
    V2ServerLive,
    V2ServerReady,
)
from thale.facade.api.v2_tensors import ResponseHeader
from thale.facade.pipeline import Pipeline
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.request.stage_timing import stage
from thale.facade.settings import FacadeSettings
from thale.facade.status.health import Health
from thale.facade.upstream import routing
from thale.facade.upstream.routing import VersionPin
from thale.imaging.scale_limits import validate_region, validate_scale
from thale.schemas import Release, version_numbers

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"], route_class=LimitedRoute)

_INFERENCE: dict[int | str, dict[str, Any]] = {200: {"model": V2Inference}}
_EXTENSIONS = ["binary_tensor_data"]
_MAX_FRAMING_BYTES = 2**20
"""Maximum size of a request without its images."""


def _status_503(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a readiness check, which has the same body with 200 and with 503."""
    return {200: {"model": model}, 503: {"model": model}}


@router.get("", operation_id="getServerMetadata", summary="Describe the server", response_model=V2Server)
async def server() -> dict[str, Any]:
    """Describe the server."""
    return {"name": "thale", "version": __version__, "extensions": _EXTENSIONS}


@router.get("/health/live", operation_id="getServerLive", summary="Is the process alive?", response_model=V2ServerLive)
async def live() -> dict[str, bool]:
    """Return 200 as long as the process serves requests."""
    return {"live": True}


@router.get(
    "/health/ready",
    operation_id="getServerReady",
    summary="Is every model ready?",
    responses=_status_503(V2ServerReady),
)
async def ready(model_health: HealthDependency) -> JSONResponse:
    """Return 200 if the facade can serve requests, else 503. The conditions are those of /health/ready."""
    is_ready = (await model_health.readiness()).is_ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/models",
    dependencies=[READ],
    operation_id="listModelNames",
    summary="List the names of the models",
    response_model=V2ModelList,
)
async def models(pipeline: PipelineDependency) -> dict[str, list[str]]:
    """List the models. This route is KServe's extension of the protocol."""
    return {"models": sorted(pipeline.release_state().models)}


@router.get(
    "/models/{name}",
    dependencies=[READ],
    operation_id="getModelMetadata",
    summary="Describe a model",
    response_model=V2Model,
)
async def metadata(pipeline: PipelineDependency, name: str) -> dict[str, Any]:
    """Return a model's inputs and outputs."""
    return _model_metadata(pipeline, name, None)


@router.get(
    "/models/{name}/versions/{version}",
    dependencies=[READ],
    operation_id="getModelVersionMetadata",
    summary="Describe a version of a model",
    response_model=V2Model,
)
async def version_metadata(pipeline: PipelineDependency, name: str, version: str) -> dict[str, Any]:
    """Return the inputs and outputs of a model version."""
    return _model_metadata(pipeline, name, version)


@router.get(
    "/models/{name}/ready",
    dependencies=[READ],
    operation_id="getModelReady",
    summary="Is a model ready?",
    responses=_status_503(V2ModelReady),
)
async def model_ready(pipeline: PipelineDependency, model_health: HealthDependency, name: str) -> JSONResponse:
    """Return 200 if the stable version of a model has a ready worker, else 503."""
    return await _model_readiness(pipeline, model_health, name, None)


@router.get(
    "/models/{name}/versions/{version}/ready",
    dependencies=[READ],
    operation_id="getModelVersionReady",
    summary="Is a version of a model ready?",
    responses=_status_503(V2ModelReady),
)
async def version_ready(
    pipeline: PipelineDependency, model_health: HealthDependency, name: str, version: str
) -> JSONResponse:
    """Return 200 if a model version has a ready worker, else 503."""
    return await _model_readiness(pipeline, model_health, name, version)


@router.post(
    "/models/{name}/infer",
    dependencies=[PREDICT],
    operation_id="inferModel",
    summary="Run a model on images",
    responses=_INFERENCE,
    response_class=Response,
)
async def infer(request: Request, pipeline: PipelineDependency, name: str) -> Response:
    """Run a model on one image or a batch. The release state selects the version."""
    return await _infer(request, pipeline, name, None)


@router.post(
    "/models/{name}/versions/{version}/infer",
    dependencies=[PREDICT],
    operation_id="inferModelVersion",
    summary="Run a version of a model on images",
    responses=_INFERENCE,
    response_class=Response,
)
async def infer_version(request: Request, pipeline: PipelineDependency, name: str, version: str) -> Response:
    """Run a model version on one image or a batch."""
    return await _infer(request, pipeline, name, version)


def _model_metadata(pipeline: Pipeline, name: str, version: str | None) -> dict[str, Any]:
    model, _ = _resolve_version(pipeline, name, version)
    return {
        "name": name,
        "versions": sorted(model.versions, key=version_numbers),
        "platform": f"thale_{model.task}",
        "inputs": v2_tensors.INPUTS,
        "outputs": v2_tensors.OUTPUTS[model.task],
    }


async def _model_readiness(pipeline: Pipeline, model_health: Health, name: str, version: str | None) -> JSONResponse:
    _, resolved_version = _resolve_version(pipeline, name, version)
    is_ready = (await model_health.readiness()).is_version_ready(name, resolved_version)
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


async def _infer(request: Request, pipeline: Pipeline, name: str, version: str | None) -> Response:
    model, _ = _resolve_version(pipeline, name, version)
    reject_compressed_body(request)
    with admit_upload(request, pipeline.admission, _max_body_bytes(pipeline.settings)):
        with stage("body"):
            infer_request, images = await _read_request(request, pipeline.settings)
        parameters = infer_request.parameters or InferParameters()
        validate_scale(parameters.mm_per_px, parameters.plate_width_mm)
        validate_region(parameters.region, parameters.mm_per_px)
        options = _build_options(request, parameters, pipeline.settings, [VersionPin(name, version)] if version else [])
        route = pipeline.select_route(model.task, options, name)
        response_header = ResponseHeader(
            infer_request.id or options.request_id, infer_request.select_outputs(v2_tensors.OUTPUTS[model.task])
        )
        uploads = [Upload(image) for image in images]
        body, json_length = await cancel_on_disconnect(
            request, pipeline.infer(route, uploads, options, v2_tensors.render, response_header)
        )
    if json_length == len(body):
        return Response(body, media_type="application/json")
    headers = {JSON_LENGTH_HEADER: str(json_length)}
    return Response(body, media_type="application/octet-stream", headers=headers)


def _max_body_bytes(settings: FacadeSettings) -> int:
    """Return the maximum size of a request: base64 has four bytes for three."""
    return settings.max_body_bytes * 4 // 3 + _MAX_FRAMING_BYTES


async def _read_request(request: Request, settings: FacadeSettings) -> tuple[InferRequest, list[bytes]]:
    """Read a request and its images. A thread decodes base64, up to 64 MiB."""
    body = bytearray()
    async for chunk in stream_body(request, settings, _max_body_bytes(settings)):
        body += chunk
    return await asyncio.to_thread(
        parse_infer_request, body, request.headers.get(JSON_LENGTH_HEADER), settings.max_batch
    )


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
        region=parameters.region,
        experiment=parameters.experiment,
        pins=pins,
    )


def _resolve_version(pipeline: Pipeline, name: str, version: str | None) -> tuple[Release, str]:
    """Return a model, and the given version or the stable one."""
    model = routing.get_release(pipeline.release_state(), name)
    resolved_version = version or model.stable
    if resolved_version not in model.versions:
        raise UnknownVersionError(name, resolved_version, sorted(model.versions, key=version_numbers))
    return model, resolved_version
