"""Routes of health checks and problem descriptions, and the index."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from thale._version import __version__
from thale.errors import ParameterError
from thale.facade.api import problems, web_page
from thale.facade.api.authentication import is_authorised
from thale.facade.api.dependencies import HealthDependency
from thale.facade.api.health_responses import Index, LivenessResponse, ReadinessResponse
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.schemas import Problem

router = APIRouter()


@router.get(
    "/health/live",
    operation_id="getLiveness",
    tags=["health"],
    summary="Is the process alive?",
    responses={200: {"model": LivenessResponse}, 503: {"model": LivenessResponse}},
)
async def live(model_health: HealthDependency) -> JSONResponse:
    """Return 200 as long as the process serves requests, and 503 if only a restart helps."""
    if model_health.is_live():
        return JSONResponse({"status": "live"})
    return JSONResponse({"status": "stuck"}, 503)


@router.get(
    "/health/ready",
    operation_id="getReadiness",
    tags=["health"],
    summary="Is every model ready?",
    responses={200: {"model": ReadinessResponse}, 503: {"model": ReadinessResponse}},
)
async def ready(request: Request, model_health: HealthDependency) -> JSONResponse:
    """Return 200 if the facade can serve requests, else 503 with the reasons in `missing`.

    Each stable version has a ready worker, unless it may be scaled to zero. The request path works, and credentials can
    be verified. With authentication, a client without a credential of the scope `read` gets only the kinds of reasons.
    """
    readiness = await model_health.readiness()
    if readiness.is_ready:
        return JSONResponse({"status": "ready", "missing": []})
    missing = readiness.missing if await is_authorised(request, "read") else readiness.public_reasons
    return JSONResponse({"status": "not ready", "missing": missing}, 503)


@router.get(
    "/problems/{code}",
    operation_id="describeProblem",
    tags=["problems"],
    summary="Describe a problem type",
    responses=PROBLEM_RESPONSES,
)
async def problem(code: str) -> Problem:
    """Return the title, the status and the meaning of a problem type."""
    description = problems.describe_problem(code)
    if description is None:
        raise ParameterError(f"unknown problem {code!r}: use the last part of the `type` of a problem")
    return description


@router.get("/", operation_id="getIndex", tags=["health"], summary="Describe the server", response_model=Index)
async def index(request: Request) -> Response:
    """Return name, version and links. HTML documentation would load scripts from the internet; use /openapi.json."""
    page = web_page.index_page(request)
    if page is not None:
        return page
    links = {"name": "thale", "version": __version__, "contract": "/openapi.json", "ready": "/health/ready"}
    return JSONResponse(links, headers={"Vary": "Accept"})
