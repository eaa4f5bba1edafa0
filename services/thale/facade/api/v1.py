"""Routes of the HTTP API /v1."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from thale.errors import ParameterError
from thale.facade.api import content_negotiation
from thale.facade.api.authentication import PREDICT, READ
from thale.facade.api.content_encoding import reject_compressed_body
from thale.facade.api.dependencies import HealthDependency, PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.file_names import sanitize_filename
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.api.upload import MAX_FRAMING_BYTES, admit_upload, read_upload
from thale.facade.pipeline import Pipeline, PipelineResult
from thale.facade.postprocess.types import JSON, PHENOTYPE_TYPES, SEGMENT_TYPES
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.request.stage_timing import stage
from thale.facade.settings import FacadeSettings
from thale.facade.status import health
from thale.facade.upstream import routing
from thale.facade.upstream.routing import VersionPin
from thale.imaging.scale_limits import validate_region, validate_scale
from thale.models.predictions import LandmarkPrediction, SegmentationSummary
from thale.schemas import ModelInfo, Phenotype, Region, Rotation

router = APIRouter(route_class=LimitedRoute)

PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ImageQuery(BaseModel):
    """Query parameters of an image. An unknown parameter is rejected, because a typo could drop the scale."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    mm_per_px: PositiveFinite | None = Field(
        None, description="Scale in millimetres per pixel. Overrides every other source of the scale."
    )
    plate_width_mm: PositiveFinite | None = Field(
        None, description="Outer width of the plate in millimetres; 120 by default."
    )
    experiment: str | None = Field(
        None, max_length=200, description="One version of each model processes all images of an experiment."
    )
    model: list[str] = Field(
        [], max_length=4, description="A model, as `plate-seg` or `plate-seg@1.0.0`; once for each task."
    )
    page: int | None = Field(None, ge=0, lt=10_000, description="Page of a multi-page TIFF, from 0.")
    timeout_s: PositiveFinite | None = Field(
        None, description="Maximum seconds to the response, up to the server's limit."
    )
    name: str | None = Field(None, max_length=255, description="Name of the image, included in the response.")


class MapQuery(ImageQuery):
    """Query parameters of an image that one model processes."""

    region: Region = Field(
        "plate",
        description="The part of the image to process: the plate, or the whole `image`, in which no plate is searched. "
        "The whole image needs mm_per_px.",
    )


class PhenotypeQuery(ImageQuery):
    """Query parameters of an image whose plants are measured."""

    expected_plants: int | None = Field(None, ge=1, le=1000, description="Number of sown plants on each plate.")
    rotate: int = Field(
        0,
        ge=0,
        le=270,
        multiple_of=90,
        description="Clockwise turn in degrees (90, 180, 270) that brings the shoots to the top. Traits belong to the "
        "turned image, positions to the original one.",
    )
    strict: bool = Field(
        False, description="Refuse an image with 422 if it may not show an upright square plate, with the reasons."
    )
    table: Literal["wide", "long"] = Field(
        "wide", description="text/csv: one row per plant (wide), or per plant and trait (long)."
    )


_SINGLE_VALUE_PARAMETERS = frozenset({*PhenotypeQuery.model_fields, *MapQuery.model_fields}) - {"model"}


def _responses(model: type[BaseModel], media_types: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    others = {
        kind: {"schema": {"type": "object" if kind.endswith("+json") else "string"}}
        for kind in media_types
        if kind != JSON
    }
    return {
        200: {"model": model, "content": others, "description": "The result, in the format of the Accept header."},
        **PROBLEM_RESPONSES,
    }


@router.post(
    "/v1/phenotype",
    dependencies=[PREDICT],
    operation_id="measurePhenotype",
    tags=["measure"],
    summary="Measure the plants of an image",
    responses=_responses(Phenotype, PHENOTYPE_TYPES),
    response_class=Response,
)
async def phenotype(
    request: Request, query: Annotated[PhenotypeQuery, Query()], pipeline: PipelineDependency
) -> Response:
    """Detect the plants, trace their roots, and measure both in millimetres.

    JSON is the whole `Phenotype`, PNG is the image with an overlay of plants and roots, RSML is the root architecture,
    CSV is a table of traits, and `application/vnd.plantcv+json` is a file for `plantcv-utils json2csv`.
    """
    return await _handle_upload(request, pipeline, query, PHENOTYPE_TYPES, pipeline.phenotype)


@router.post(
    "/v1/segment",
    dependencies=[PREDICT],
    operation_id="segmentImage",
    tags=["measure"],
    summary="Segment the organs of an image",
    responses=_responses(SegmentationSummary, SEGMENT_TYPES),
    response_class=Response,
)
async def segment(request: Request, query: Annotated[MapQuery, Query()], pipeline: PipelineDependency) -> Response:
    """Run only the segmentation model: areas as JSON, probability maps as .npz, or the class map as PNG."""
    return await _handle_upload(request, pipeline, query, SEGMENT_TYPES, pipeline.segment)


@router.post(
    "/v1/landmarks",
    dependencies=[PREDICT],
    operation_id="detectLandmarks",
    tags=["measure"],
    summary="Detect the landmarks of an image",
    responses=_responses(LandmarkPrediction, (JSON,)),
    response_class=Response,
)
async def landmarks(request: Request, query: Annotated[MapQuery, Query()], pipeline: PipelineDependency) -> Response:
    """Run only the landmark model: root bases and tips in image pixels, with scores."""
    return await _handle_upload(request, pipeline, query, (JSON,), pipeline.landmarks)


@router.get(
    "/v1/models",
    dependencies=[READ],
    operation_id="listModels",
    tags=["models"],
    summary="List the models",
    responses=PROBLEM_RESPONSES,
)
async def models(pipeline: PipelineDependency, model_health: HealthDependency) -> list[ModelInfo]:
    """Return every released model with its versions, cards and weights."""
    readiness = await model_health.readiness()
    return health.model_infos(pipeline.release_state(), readiness)


@router.get(
    "/v1/models/{name}",
    dependencies=[READ],
    operation_id="getModel",
    tags=["models"],
    summary="Describe one model",
    responses=PROBLEM_RESPONSES,
)
async def model(name: str, pipeline: PipelineDependency, model_health: HealthDependency) -> ModelInfo:
    """Return one model with its versions, cards and weights."""
    readiness = await model_health.readiness()
    return health.model_info(name, routing.get_release(pipeline.release_state(), name), readiness)


async def _handle_upload(
    request: Request,
    pipeline: Pipeline,
    query: ImageQuery,
    media_types: Sequence[str],
    operation: Callable[[Upload, RequestOptions], Awaitable[PipelineResult]],
) -> Response:
    """Read the image, process it unless the client disconnects, and return the response."""
    media_type = content_negotiation.best_media_type(", ".join(request.headers.getlist("accept")), media_types)
    _reject_repeated_parameters(request)
    reject_compressed_body(request)
    validate_scale(query.mm_per_px, query.plate_width_mm)
    region = query.region if isinstance(query, MapQuery) else "plate"
    validate_region(region, query.mm_per_px)
    pins = [VersionPin.parse(text) for text in query.model]
    with admit_upload(request, pipeline.admission, pipeline.settings.max_body_bytes + MAX_FRAMING_BYTES):
        with stage("body"):
            image = await read_upload(request, pipeline.settings)
        options = _build_options(request, query, region, media_type, pins, pipeline.settings)
        result = await cancel_on_disconnect(request, operation(image, options))
    rendered_response = result.response
    shadow_task = BackgroundTask(pipeline.mirror.enqueue, result.shadow_requests) if result.shadow_requests else None
    return Response(
        rendered_response.body,
        media_type=rendered_response.media_type,
        headers={"Vary": "Accept"},
        background=shadow_task,
    )


def _build_options(
    request: Request,
    query: ImageQuery,
    region: Region,
    media_type: str,
    pins: Sequence[VersionPin],
    settings: FacadeSettings,
) -> RequestOptions:
    phenotype_query = query if isinstance(query, PhenotypeQuery) else PhenotypeQuery()
    return RequestOptions(
        request_id=request.state.request_id,
        stats=request.state.stats,
        deadline=request_deadline(settings, query.timeout_s),
        media_type=media_type,
        mm_per_px=query.mm_per_px,
        plate_width_mm=query.plate_width_mm,
        page=query.page,
        region=region,
        expected_plants=phenotype_query.expected_plants,
        rotate=cast(Rotation, phenotype_query.rotate),
        strict=phenotype_query.strict,
        name=sanitize_filename(query.name or ""),
        experiment=query.experiment,
        pins=pins,
        wide=phenotype_query.table == "wide",
    )


def _reject_repeated_parameters(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items() if name in _SINGLE_VALUE_PARAMETERS]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(f"{', '.join(repeated)}: repeated parameter; give it once")
