"""Errors of BrAPI: a JSON text with the severity, the time and the message. An invalid parameter is a 400."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.responses import JSONResponse

from thale.schemas import Problem


def brapi_status(status: int) -> int:
    """Return the status of a problem in BrAPI, which has 400 and not 422 for an invalid request."""
    return HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def error_response(problem: Problem, headers: Mapping[str, str]) -> JSONResponse:
    """Return a problem as a response of BrAPI."""
    time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return JSONResponse(f"ERROR - {time} - {problem.detail}", brapi_status(problem.status), dict(headers))
