"""Routes of measurements: permanent links, reproduction, and corrections by people."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from thale.facade.api.authentication import PREDICT, READ
from thale.facade.api.dependencies import PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.entity_tags import matches
from thale.facade.api.experiment_dependencies import ServiceDependency, caller_id, parse_body
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.postprocess.types import JSON
from thale.facade.request.options import RequestOptions
from thale.schemas.experiment import Correction, CorrectionList, CorrectionRequest, Measurement, Reproduction

router = APIRouter(route_class=LimitedRoute)
_TAG = "measurements"
MeasurementPath = Annotated[str, Path(max_length=100, description="Permanent id of the measurement.")]


@router.get(
    "/v1/measurements/{measurement}",
    dependencies=[READ],
    operation_id="getMeasurement",
    tags=[_TAG],
    summary="Return one measurement",
    responses={200: {"model": Measurement}, **PROBLEM_RESPONSES},
    response_class=Response,
)
async def get_measurement(request: Request, measurement: MeasurementPath, service: ServiceDependency) -> Response:
    """Return a measurement with its phenotype. It is never changed; its ETag is the digest of the phenotype."""
    found, digest = await service.store.call(lambda store: store.measurements.get(measurement))
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(found.model_dump_json(), media_type=JSON, headers=headers)


@router.post(
    "/v1/measurements/{measurement}/reproduce",
    dependencies=[PREDICT],
    operation_id="reproduceMeasurement",
    tags=[_TAG],
    summary="Measure again, and compare",
    responses=PROBLEM_RESPONSES,
)
async def reproduce(
    request: Request, measurement: MeasurementPath, pipeline: PipelineDependency, service: ServiceDependency
) -> Reproduction:
    """Measure the stored image again with the same model versions and parameters, and compare all values.

    The stored measurement stays as it is. A model version that is no longer released is a 404.
    """
    options = RequestOptions(
        request_id=request.state.request_id,
        stats=request.state.stats,
        deadline=request_deadline(pipeline.settings, None),
    )
    await request.body()
    return await cancel_on_disconnect(request, service.reproduce(measurement, options))


@router.post(
    "/v1/measurements/{measurement}/corrections",
    dependencies=[PREDICT],
    operation_id="addCorrection",
    tags=[_TAG],
    summary="Record a correction",
    responses=PROBLEM_RESPONSES,
)
async def add_correction(request: Request, measurement: MeasurementPath, service: ServiceDependency) -> Correction:
    """Record the roots of plants as a person drew them, with the caller, the time and the reason.

    The measurement and its traits stay as they are. Tables have the number of corrections of each measurement.
    """
    body = await parse_body(request, CorrectionRequest)
    author = caller_id(request)
    return await service.store.call(lambda store: store.corrections.add(measurement, body, author))


@router.get(
    "/v1/measurements/{measurement}/corrections",
    dependencies=[READ],
    operation_id="listCorrections",
    tags=[_TAG],
    summary="List the corrections of a measurement",
    responses=PROBLEM_RESPONSES,
)
async def list_corrections(measurement: MeasurementPath, service: ServiceDependency) -> CorrectionList:
    """Return the corrections of a measurement, the oldest first."""
    return await service.store.call(lambda store: store.corrections.list(measurement))
