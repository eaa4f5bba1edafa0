"""The HTTP contract of /v1, health, and what a problem means: parameters in, an answer in the format asked for out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from thale import __version__
from thale.answers import LandmarksAnswer, SegmentationSummary
from thale.contract import ModelInfo, Phenotype, Problem
from thale.errors import ParameterError
from thale.facade import health, jobs, negotiation, status_codes, traffic
from thale.facade.body import Upload, clean_name, read_image
from thale.facade.deadline import Deadline
from thale.facade.health import Health
from thale.facade.pipeline import Pipeline, Served, Wish
from thale.facade.stages import stage
from thale.facade.traffic import Pin

_Result = TypeVar("_Result")

router = APIRouter()

Finite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ImageQuery(BaseModel):
    """What can be said beside an image. A parameter that is not listed is refused: a typo must not cost the scale."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    mm_per_px: Finite | None = Field(None, description="Millimetres a pixel, where known. Wins over everything else.")
    plate_width_mm: Finite | None = Field(None, description="Outer width of the plate; 120 where nothing is said.")
    experiment: str | None = Field(
        None, max_length=200, description="All images of one experiment are measured by one version of a model."
    )
    model: list[str] = Field(
        [], max_length=4, description="A model to use, as `plate-seg` or `plate-seg@1.0.0`; once for each task."
    )
    page: int | None = Field(None, ge=0, lt=10_000, description="Which page of a TIFF with several, from 0.")
    timeout_s: Finite | None = Field(None, description="Give up after so many seconds; the server's limit still holds.")
    name: str | None = Field(None, max_length=255, description="Name of the image, carried into the answer.")


class PhenotypeQuery(ImageQuery):
    """What can be said beside an image to be measured."""

    expected_plants: int | None = Field(None, ge=1, le=1000, description="How many plants were sown.")
    table: Literal["wide", "long"] = Field(
        "wide", description="text/csv: a row a plant (wide), or a row a plant and trait (long)."
    )


_ONE_VALUE = frozenset(PhenotypeQuery.model_fields) - {"model"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A JPEG, PNG or TIFF: its bytes, or the field `image` of a form.",
        "content": {
            **{kind: _BINARY for kind in ("image/jpeg", "image/png", "image/tiff", "application/octet-stream")},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["image"], "properties": {"image": _BINARY["schema"]}}
            },
        },
    }
}
_PROBLEM_CONTENT = {status_codes.PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is at fault.", "content": _PROBLEM_CONTENT},
    "5XX": {"model": Problem, "description": "The server is at fault.", "content": _PROBLEM_CONTENT},
}


def _formats(model: type[BaseModel], media_types: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    others = {kind: {"schema": {"type": "string"}} for kind in media_types if kind != jobs.JSON}
    return {200: {"model": model, "content": others, "description": "In the format that Accept asks for."}, **PROBLEMS}


@router.post(
    "/v1/phenotype",
    tags=["measure"],
    summary="Measure the plants of an image",
    responses=_formats(Phenotype, jobs.PHENOTYPE_TYPES),
    openapi_extra=_IMAGE_BODY,
    response_class=Response,
)
async def phenotype(request: Request, query: Annotated[PhenotypeQuery, Query()]) -> Response:
    """Find the plants, trace their roots, and measure both in millimetres.

    JSON is the whole `Phenotype`; PNG the image with what was found drawn over it; RSML the roots; CSV the traits.
    """
    return await _answer(request, query, jobs.PHENOTYPE_TYPES, _pipeline(request).phenotype)


@router.post(
    "/v1/segment",
    tags=["measure"],
    summary="Find the organs of an image",
    responses=_formats(SegmentationSummary, jobs.SEGMENT_TYPES),
    openapi_extra=_IMAGE_BODY,
    response_class=Response,
)
async def segment(request: Request, query: Annotated[ImageQuery, Query()]) -> Response:
    """Ask the segmentation model alone: areas as JSON, probability maps as .npz, or the class map as PNG."""
    return await _answer(request, query, jobs.SEGMENT_TYPES, _pipeline(request).segment)


@router.post(
    "/v1/landmarks",
    tags=["measure"],
    summary="Find the landmarks of an image",
    responses=_formats(LandmarksAnswer, (jobs.JSON,)),
    openapi_extra=_IMAGE_BODY,
    response_class=Response,
)
async def landmarks(request: Request, query: Annotated[ImageQuery, Query()]) -> Response:
    """Ask the landmark model alone: root bases and tips, in pixels of the image, with scores."""
    return await _answer(request, query, (jobs.JSON,), _pipeline(request).landmarks)


@router.get("/v1/models", tags=["models"], summary="List the models", responses=PROBLEMS)
async def models(request: Request) -> list[ModelInfo]:
    """Return every released model with its versions, cards and traffic."""
    readiness = await _health(request).readiness()
    return health.describe(_pipeline(request).record(), readiness)


@router.get("/v1/models/{name}", tags=["models"], summary="Describe one model", responses=PROBLEMS)
async def model(request: Request, name: str) -> ModelInfo:
    """Return one model with its versions, cards and traffic."""
    readiness = await _health(request).readiness()
    return health.describe_model(name, traffic.find(_pipeline(request).record(), name), readiness)


@router.get("/health/live", tags=["health"], summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Answer at once."""
    return {"status": "live"}


@router.get("/health/ready", tags=["health"], summary="Can images be measured?", responses={503: {"model": None}})
async def ready(request: Request) -> JSONResponse:
    """Say whether every model has a worker that is ready, and which has not."""
    readiness = await _health(request).readiness()
    if readiness.ready:
        return JSONResponse({"status": "ready", "missing": []})
    return JSONResponse({"status": "not ready", "missing": readiness.missing}, 503)


@router.get("/problems/{code}", tags=["problems"], summary="What does a problem's type mean?", responses=PROBLEMS)
async def problem(code: str) -> Problem:
    """Return the title, the status and the meaning of a problem type."""
    explained = status_codes.explain(code)
    if explained is None:
        raise ParameterError(f"no problem is called {code!r}")
    return explained


@router.get("/", include_in_schema=False)
async def index() -> dict[str, str]:
    """Say what this is. There is no page that would need a network to load its scripts: see /openapi.json."""
    return {"name": "thale", "version": __version__, "contract": "/openapi.json", "ready": "/health/ready"}


def _pipeline(request: Request) -> Pipeline:
    pipeline: Pipeline = request.app.state.pipeline
    return pipeline


def _health(request: Request) -> Health:
    found: Health = request.app.state.health
    return found


async def _answer(
    request: Request,
    query: ImageQuery,
    media_types: Sequence[str],
    work: Callable[[Upload, Wish], Awaitable[Served]],
) -> Response:
    """Read the image, do the work unless the client hangs up, and send the result."""
    media_type = negotiation.choose(", ".join(request.headers.getlist("accept")), media_types)
    _refuse_repeated(request)
    pipeline = _pipeline(request)
    async with pipeline.places.admit():
        with stage("body"):
            image = await read_image(request, pipeline.settings)
        wish = _wish(request, query, media_type, pipeline.settings.request_deadline_s)
        served = await while_connected(request, work(image, wish))
    answer = served.rendered
    afterwards = BackgroundTask(pipeline.mirror.offer, served.copies) if served.copies else None
    return Response(answer.body, media_type=answer.media_type, headers={"Vary": "Accept"}, background=afterwards)


def _wish(request: Request, query: ImageQuery, media_type: str, longest_s: float) -> Wish:
    measured = query if isinstance(query, PhenotypeQuery) else PhenotypeQuery()
    return Wish(
        request_id=request.state.request_id,
        account=request.state.account,
        deadline=Deadline.after(min(query.timeout_s or longest_s, longest_s)),
        media_type=media_type,
        mm_per_px=query.mm_per_px,
        plate_width_mm=query.plate_width_mm,
        page=query.page,
        expected_plants=measured.expected_plants,
        name=clean_name(query.name or ""),
        experiment=query.experiment,
        pins=[Pin.parse(text) for text in query.model],
        wide=measured.table == "wide",
    )


def _refuse_repeated(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items() if name in _ONE_VALUE]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(f"{', '.join(repeated)}: given more than once, and only one value can be meant")


async def while_connected(request: Request, work: Awaitable[_Result]) -> _Result:
    """Return the result of the work, or cancel it as soon as the client hangs up. The body must have been read.

    Raises:
        ClientDisconnect: If the client hung up.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        watch.cancel()
        task.cancel()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
