"""Routes of experiments: their design tables, images, measurements and tables."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO, Literal, cast

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from thale.facade.api import content_negotiation
from thale.facade.api.authentication import PREDICT, READ
from thale.facade.api.content_encoding import reject_compressed_body
from thale.facade.api.dependencies import PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.experiment_dependencies import (
    Cursor,
    PageLimit,
    ServiceDependency,
    TableWriterDependency,
    caller_id,
    parse_body,
    parse_number_cursor,
    read_body,
    require_owner,
)
from thale.facade.api.file_names import sanitize_filename
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.api.upload import MAX_FRAMING_BYTES, admit_upload, read_upload
from thale.facade.api.v1 import PositiveFinite
from thale.facade.experiments.design_task import parse_design
from thale.facade.experiments.table_file import TABLE_TYPES
from thale.facade.postprocess.types import CSV, JSON
from thale.facade.request.options import RequestOptions
from thale.facade.request.stage_timing import stage
from thale.facade.upstream.routing import VersionPin
from thale.imaging.scale_limits import validate_scale
from thale.schemas import Rotation
from thale.schemas.experiment import (
    AddedImage,
    DeletedExperiment,
    DesignTable,
    Experiment,
    ExperimentImagePage,
    ExperimentPage,
    ExperimentRequest,
    ExperimentUpdate,
    MeasurementPage,
)

logger = logging.getLogger(__name__)

router = APIRouter(route_class=LimitedRoute)
_TAG = "experiments"
_CHUNK_BYTES = 2**18
MAX_DESIGN_BYTES = 8 * 2**20
"""Maximum size of a design table: about 100,000 rows."""
ExperimentPath = Annotated[str, Path(max_length=200, description="Id or name of the experiment.")]


class ExperimentImageQuery(BaseModel):
    """Query parameters of an image of an experiment. An unknown parameter is rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    measure: bool = Field(True, description="False: store the image only. A job can measure it later.")
    plate: str | None = Field(
        None, min_length=1, max_length=255, description="Name of the plate. Default: the name of the file without time."
    )
    mm_per_px: PositiveFinite | None = Field(None, description="Scale in millimetres per pixel.")
    plate_width_mm: PositiveFinite | None = Field(
        None, description="Outer width of the plate in millimetres; 120 by default."
    )
    model: list[str] = Field(
        [], max_length=4, description="A model, as `plate-seg` or `plate-seg@1.0.0`; once for each task."
    )
    page: int | None = Field(None, ge=0, lt=10_000, description="Page of a multi-page TIFF, from 0.")
    timeout_s: PositiveFinite | None = Field(
        None, description="Maximum seconds to the response, up to the server's limit."
    )
    name: str | None = Field(None, max_length=255, description="Name of the image in the experiment.")
    expected_plants: int | None = Field(None, ge=1, le=1000, description="Number of sown plants on each plate.")
    rotate: int = Field(
        0, ge=0, le=270, multiple_of=90, description="Clockwise turn in degrees that brings the shoots to the top."
    )
    strict: bool = Field(False, description="Refuse an image with 422 if it may not show an upright square plate.")


@router.post(
    "/v1/experiments",
    dependencies=[PREDICT],
    operation_id="createExperiment",
    tags=[_TAG],
    summary="Create an experiment",
    responses=PROBLEM_RESPONSES,
)
async def create_experiment(request: Request, service: ServiceDependency) -> Experiment:
    """Create an experiment with a unique name."""
    body = await parse_body(request, ExperimentRequest)
    creator = caller_id(request)
    return await service.store.call(
        lambda store: store.experiments.create(body.name, body.description, creator, body.retain_until)
    )


@router.get(
    "/v1/experiments",
    dependencies=[READ],
    operation_id="listExperiments",
    tags=[_TAG],
    summary="List the experiments",
    responses=PROBLEM_RESPONSES,
)
async def list_experiments(service: ServiceDependency, limit: PageLimit = 50, cursor: Cursor = None) -> ExperimentPage:
    """Return a page of experiments, the newest first."""
    return await service.store.call(lambda store: store.experiments.list(limit, cursor))


@router.get(
    "/v1/experiments/{experiment}",
    dependencies=[READ],
    operation_id="getExperiment",
    tags=[_TAG],
    summary="Describe one experiment",
    responses=PROBLEM_RESPONSES,
)
async def get_experiment(experiment: ExperimentPath, service: ServiceDependency) -> Experiment:
    """Return one experiment with the numbers of its images and measured images."""
    return await service.store.call(lambda store: store.experiments.get(experiment))


@router.patch(
    "/v1/experiments/{experiment}",
    dependencies=[PREDICT],
    operation_id="updateExperiment",
    tags=[_TAG],
    summary="Change the description or the retention of an experiment",
    responses=PROBLEM_RESPONSES,
)
async def update_experiment(request: Request, experiment: ExperimentPath, service: ServiceDependency) -> Experiment:
    """Change the fields that are sent. `"retain_until": null` keeps the experiment until it is deleted.

    Only the caller that created it, or a caller with the scope `admin`, may change it.
    """
    changes = await parse_body(request, ExperimentUpdate)
    found = await service.store.call(lambda store: store.experiments.get(experiment))
    require_owner(request, found)
    return await service.store.call(lambda store: store.experiments.update(found.id, changes))


@router.delete(
    "/v1/experiments/{experiment}",
    dependencies=[PREDICT],
    operation_id="deleteExperiment",
    tags=[_TAG],
    summary="Delete an experiment",
    responses=PROBLEM_RESPONSES,
)
async def delete_experiment(
    request: Request, experiment: ExperimentPath, service: ServiceDependency
) -> DeletedExperiment:
    """Delete an experiment with its design table, jobs, and the images and measurements that no other one contains.

    Only the caller that created it, or a caller with the scope `admin`, may delete it. It cannot be undone.
    """
    found = await service.store.call(lambda store: store.experiments.get(experiment))
    require_owner(request, found)
    deleted = await service.store.call(lambda store: store.experiments.delete(found.id))
    fields = {"experiment": deleted.id, "images": deleted.images, "principal": caller_id(request)}
    logger.info("experiment deleted", extra=fields)
    return deleted


@router.put(
    "/v1/experiments/{experiment}/design",
    dependencies=[PREDICT],
    operation_id="putDesign",
    tags=[_TAG],
    summary="Replace the design table",
    responses=PROBLEM_RESPONSES,
)
async def put_design(
    request: Request, experiment: ExperimentPath, pipeline: PipelineDependency, service: ServiceDependency
) -> DesignTable:
    """Replace the design table of an experiment: CSV with a header, or a JSON array with an object for each row.

    The columns `plate`, `image` and `plant` identify the row, and all other columns are factors such as genotype.
    """
    body, media_type = await read_body(request, MAX_DESIGN_BYTES, (CSV, JSON))
    deadline = request_deadline(pipeline.settings, None)
    design = await pipeline.header_pool.run(deadline, parse_design, body, media_type)
    return await service.store.call(lambda store: store.experiments.put_design(experiment, design))


@router.get(
    "/v1/experiments/{experiment}/design",
    dependencies=[READ],
    operation_id="getDesign",
    tags=[_TAG],
    summary="Return the design table",
    responses=PROBLEM_RESPONSES,
)
async def get_design(experiment: ExperimentPath, service: ServiceDependency) -> DesignTable:
    """Return the design table, with the numbers of rows without an image and of images without a row."""
    return await service.store.call(lambda store: store.experiments.get_design(experiment))


@router.post(
    "/v1/experiments/{experiment}/images",
    dependencies=[PREDICT],
    operation_id="addImage",
    tags=[_TAG],
    summary="Add an image to an experiment, and measure it",
    responses={200: {"model": AddedImage}, **PROBLEM_RESPONSES},
    response_class=Response,
)
async def add_image(
    request: Request,
    experiment: ExperimentPath,
    query: Annotated[ExperimentImageQuery, Query()],
    pipeline: PipelineDependency,
    service: ServiceDependency,
) -> Response:
    """Store an image once by the digest of its bytes, measure it, and store the measurement.

    A measurement with equal image, models, parameters and version of thale is returned from the store. If the
    measurement fails, nothing is stored, and the request can be sent again.
    """
    reject_compressed_body(request)
    validate_scale(query.mm_per_px, query.plate_width_mm)
    pins = [VersionPin.parse(text) for text in query.model]
    with admit_upload(request, pipeline.admission, pipeline.settings.max_body_bytes + MAX_FRAMING_BYTES):
        with stage("body"):
            image = await read_upload(request, pipeline.settings)
        options = RequestOptions(
            request_id=request.state.request_id,
            stats=request.state.stats,
            deadline=request_deadline(pipeline.settings, query.timeout_s),
            mm_per_px=query.mm_per_px,
            plate_width_mm=query.plate_width_mm,
            page=query.page,
            expected_plants=query.expected_plants,
            rotate=cast(Rotation, query.rotate),
            strict=query.strict,
            name=sanitize_filename(query.name or ""),
            pins=pins,
        )
        addition = service.add_image(experiment, image, query.plate, options, measure=query.measure)
        added, shadow_requests = await cancel_on_disconnect(request, addition)
    task = BackgroundTask(pipeline.mirror.enqueue, shadow_requests) if shadow_requests else None
    return Response(added.model_dump_json(), media_type=JSON, background=task)


@router.get(
    "/v1/experiments/{experiment}/images",
    dependencies=[READ],
    operation_id="listImages",
    tags=[_TAG],
    summary="List the images of an experiment",
    responses=PROBLEM_RESPONSES,
)
async def list_images(
    experiment: ExperimentPath, service: ServiceDependency, limit: PageLimit = 100, cursor: Cursor = None
) -> ExperimentImagePage:
    """Return a page of images in the order of their addition."""
    position = parse_number_cursor(cursor)
    return await service.store.call(lambda store: store.images.list(experiment, limit, position))


@router.get(
    "/v1/experiments/{experiment}/measurements",
    dependencies=[READ],
    operation_id="listMeasurements",
    tags=[_TAG],
    summary="List the measurements of an experiment",
    responses=PROBLEM_RESPONSES,
)
async def list_measurements(
    experiment: ExperimentPath, service: ServiceDependency, limit: PageLimit = 100, cursor: Cursor = None
) -> MeasurementPage:
    """Return a page of measurements in the order of their addition: current ones, and earlier ones of other models."""
    position = parse_number_cursor(cursor)
    return await service.store.call(lambda store: store.measurements.list(experiment, limit, position))


@router.get(
    "/v1/experiments/{experiment}/table",
    dependencies=[READ],
    operation_id="getTable",
    tags=[_TAG],
    summary="Return the traits of all images as a table",
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in TABLE_TYPES},
            "description": "The table, in the format of the Accept header.",
        },
        **PROBLEM_RESPONSES,
    },
    response_class=StreamingResponse,
)
async def get_table(
    request: Request,
    experiment: ExperimentPath,
    writer: TableWriterDependency,
    pipeline: PipelineDependency,
    form: Annotated[
        Literal["wide", "long"], Query(description="One row per plant (wide), or per plant and trait (long).")
    ] = "wide",
) -> Response:
    """Return the current measurements of all images, joined with the design table, as CSV, Parquet or XLSX.

    An image without a measurement has a row with the flag `not_measured` in the wide table.
    """
    media_type = content_negotiation.best_media_type(", ".join(request.headers.getlist("accept")), TABLE_TYPES)
    deadline = request_deadline(pipeline.settings, None)
    file = await cancel_on_disconnect(request, writer.write(experiment, form, media_type, deadline))
    headers = {"Vary": "Accept", "Content-Length": str(os.fstat(file.fileno()).st_size)}
    return StreamingResponse(_read_chunks(file), media_type=media_type, headers=headers)


async def _read_chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
