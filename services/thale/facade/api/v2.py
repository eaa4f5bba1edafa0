"""Routes of the Open Inference Protocol v2, the HTTP protocol of KServe and Triton clients.

https://github.com/kserve/open-inference-protocol, with the binary tensor extension. A model has one input, `image`: the
bytes of N image files, as base64 in JSON or in binary form. `v2_tensors` defines the outputs. The parameters of a
request are mm_per_px, plate_width_mm, region, page, experiment, timeout_s, and binary_data_output.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
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
    infer_request_body,
    parse_infer_request,
)
from thale.facade.api.v2_tensors import ResponseHeader
from thale.facade.pipeline import Pipeline
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.request.stage_timing import stage
from thale.facade.settings import FacadeSettings
from thale.facade.upstream import routing
from thale.facade.upstream.routing import VersionPin
from thale.imaging.scale_limits import validate_region, validate_scale
from thale.schemas import Release, version_numbers

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"], route_class=LimitedRoute)

_INFER_BODY = infer_request_body()
_EXTENSIONS = ["binary_tensor_data"]
_MAX_FRAMING_BYTES = 2**20
"""Maximum size of a request without its images."""


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
    """Return 200 if the facade can serve requests, else 503. The conditions are those of /health/ready."""
    is_ready = (await model_health.readiness()).is_ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get("/models", dependencies=[READ])
async def models(pipeline: PipelineDependency) -> dict[str, list[str]]:
    """List the models. This route is KServe's extension of the protocol."""
    return {"models": sorted(pipeline.release_state().models)}


@router.get("/models/{name}/versions/{version}", dependencies=[READ])
@router.get("/models/{name}", dependencies=[READ])
async def metadata(pipeline: PipelineDependency, name: str, version: str | None = None) -> dict[str, Any]:
    """Return a model's inputs and outputs."""
    model, _ = _resolve_version(pipeline, name, version)
    return {
        "name": name,
        "versions": sorted(model.versions, key=version_numbers),
        "platform": f"thale_{model.task}",
        "inputs": v2_tensors.INPUTS,
        "outputs": v2_tensors.OUTPUTS[model.task],
    }


@router.get("/models/{name}/versions/{version}/ready", dependencies=[READ])
@router.get("/models/{name}/ready", dependencies=[READ])
async def model_ready(
    pipeline: PipelineDependency, model_health: HealthDependency, name: str, version: str | None = None
) -> JSONResponse:
    """Return 200 if a model version, by default the stable one, has a ready worker, else 503."""
    _, resolved_version = _resolve_version(pipeline, name, version)
    is_ready = (await model_health.readiness()).is_version_ready(name, resolved_version)
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


@router.post(
    "/models/{name}/versions/{version}/infer",
    dependencies=[PREDICT],
    response_class=Response,
    openapi_extra=_INFER_BODY,
)
@router.post("/models/{name}/infer", dependencies=[PREDICT], response_class=Response, openapi_extra=_INFER_BODY)
async def infer(request: Request, pipeline: PipelineDependency, name: str, version: str | None = None) -> Response:
    """Run a model on one image or a batch."""
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
