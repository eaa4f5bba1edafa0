"""Health routes."""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from thale._version import __version__
from thale.errors import ParameterError
from thale.facade.api import problems
from thale.facade.api.dependencies import HealthDependency
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.schemas import Problem

router = APIRouter()


@router.get("/health/live", tags=["health"], summary="Is the process alive?")
async def live() -> dict[str, str]:
    """Answer at once."""
    return {"status": "live"}


@router.get("/health/ready", tags=["health"], summary="Can images be measured?", responses={503: {"model": None}})
async def ready(model_health: HealthDependency) -> JSONResponse:
    """Say whether every model has a worker that is ready, and which has not."""
    readiness = await model_health.readiness()
    if readiness.is_ready:
        return JSONResponse({"status": "ready", "missing": []})
    return JSONResponse({"status": "not ready", "missing": readiness.missing}, 503)


@router.get(
    "/problems/{code}", tags=["problems"], summary="What does a problem's type mean?", responses=PROBLEM_RESPONSES
)
async def problem(code: str) -> Problem:
    """Return the title, the status and the meaning of a problem type."""
    description = problems.describe_problem(code)
    if description is None:
        raise ParameterError(f"no problem is called {code!r}")
    return description


@router.get("/", include_in_schema=False)
async def index() -> dict[str, str]:
    """Say what this is. There is no page that would need a network to load its scripts: see /openapi.json."""
    return {"name": "thale", "version": __version__, "contract": "/openapi.json", "ready": "/health/ready"}
