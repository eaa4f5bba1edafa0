"""The one place where an error becomes an HTTP status: {error class: status and title}, as problem+json (RFC 9457).

A problem's `type` is `/problems/` and the error's stable name (`thale.errors.ThaleError.code`). It is relative, so that
it can be looked up on the very server that answered, also without a network: GET /problems/{code}.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thale import errors
from thale.errors import ThaleError
from thale.schemas import Problem
from thale.telemetry import logs, metrics, tracing

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

_PROBLEM_CONTENT = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is at fault.", "content": _PROBLEM_CONTENT},
    "5XX": {"model": Problem, "description": "The server is at fault.", "content": _PROBLEM_CONTENT},
}



@dataclass(frozen=True)
class Row:
    """How one class of error is told to a client."""

    status: HTTPStatus
    title: str


_NOT_OF_A_REQUEST = Row(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed")

STATUS_CODES: dict[type[ThaleError], Row] = {
    errors.EmptyImageError: Row(HTTPStatus.BAD_REQUEST, "The body is empty"),
    errors.UnsupportedImageError: Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a JPEG, PNG or TIFF that can be read"),
    errors.DamagedImageError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is damaged"),
    errors.ImageTooSmallError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is too small"),
    errors.ImageTooLargeError: Row(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The image is too large"),
    errors.MultiPageImageError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The TIFF has several pages"),
    errors.ScaleError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The scale cannot be true"),
    errors.ParameterError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "A parameter is not understood"),
    errors.MediaTypeError: Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not sent as an image"),
    errors.NotAcceptableError: Row(HTTPStatus.NOT_ACCEPTABLE, "There is no answer in that format"),
    errors.SlowRequestError: Row(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time"),
    errors.BusyError: Row(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests at once"),
    errors.UnknownModelError: Row(HTTPStatus.NOT_FOUND, "No such model"),
    errors.UnknownVersionError: Row(HTTPStatus.NOT_FOUND, "No such version of the model"),
    errors.ModelTaskError: Row(HTTPStatus.UNPROCESSABLE_ENTITY, "The model answers another question"),
    errors.ModelUnavailableError: Row(HTTPStatus.SERVICE_UNAVAILABLE, "The model does not answer just now"),
    errors.ModelFailedError: Row(HTTPStatus.BAD_GATEWAY, "The model failed"),
    errors.ModelNonsenseError: Row(HTTPStatus.BAD_GATEWAY, "The model answered nonsense"),
    errors.DeadlineExceededError: Row(HTTPStatus.GATEWAY_TIMEOUT, "The deadline passed"),
    errors.ArchiveError: _NOT_OF_A_REQUEST,
    errors.AnnotationError: _NOT_OF_A_REQUEST,
    errors.DatasetError: _NOT_OF_A_REQUEST,
    errors.TrainingError: _NOT_OF_A_REQUEST,
    errors.ReleaseError: _NOT_OF_A_REQUEST,
    errors.PlanError: _NOT_OF_A_REQUEST,
    errors.ConflictError: _NOT_OF_A_REQUEST,
    errors.RegistrationError: _NOT_OF_A_REQUEST,
    errors.VersionTakenError: _NOT_OF_A_REQUEST,
    errors.StoreError: _NOT_OF_A_REQUEST,
    errors.ActuatorError: _NOT_OF_A_REQUEST,
    errors.ServerUnreachableError: _NOT_OF_A_REQUEST,
    errors.UnexpectedAnswerError: _NOT_OF_A_REQUEST,
    errors.SecretError: _NOT_OF_A_REQUEST,
    errors.LaptopError: _NOT_OF_A_REQUEST,
    ThaleError: _NOT_OF_A_REQUEST,
}


def row_of(kind: type[ThaleError]) -> Row:
    """Return the row of an error's class, or of its nearest base that has one."""
    return next(STATUS_CODES[base] for base in kind.__mro__ if base in STATUS_CODES)


def problem_of(error: ThaleError) -> Problem:
    """Return the problem document of an error, without the request's part of it."""
    row = row_of(type(error))
    return Problem(type=f"/problems/{error.code}", title=row.title, status=row.status, detail=str(error))


def explain(code: str) -> Problem | None:
    """Return what the problem of that name means, None where there is none."""
    kind = errors.error_class(code)
    if kind is None:
        return None
    row = row_of(kind)
    return Problem(type=f"/problems/{code}", title=row.title, status=row.status, detail=(kind.__doc__ or "").strip())


def respond(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that tells a problem: problem+json, or {"error": …} where the caller speaks the v2 protocol."""
    code = problem.type.rsplit("/", 1)[-1]
    metrics.REFUSED.labels(code).inc()
    tracing.refused(code)
    logger.info("request refused", extra={"code": code, "status": problem.status})
    headers = dict(headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if request.url.path == "/v2" or request.url.path.startswith("/v2/"):
        return JSONResponse({"error": problem.detail}, problem.status, headers)
    told = problem.model_copy(update={"instance": request.url.path, "request_id": logs.REQUEST_ID.get()})
    return JSONResponse(told.model_dump(), problem.status, headers, PROBLEM_MEDIA_TYPE)


async def thale_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours."""
    assert isinstance(error, ThaleError)  # noqa: S101 (registered for this class alone)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, errors.BusyError) else None
    return respond(request, problem_of(error), headers)


async def http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: an unknown path, a method that the path does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    detail = f"{status.description or status.phrase}: {request.method} {request.url.path}"
    problem = Problem(type="about:blank", title=status.phrase, status=status, detail=detail)
    return respond(request, problem, dict(error.headers or {}))


async def validation_error(request: Request, error: Exception) -> Response:
    """Answer parameters that do not have the form that the contract says."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return respond(request, problem_of(errors.ParameterError("; ".join(_sentences(error.errors())))))


def unexpected(request: Request) -> Response:
    """Answer a fault of ours without telling its insides."""
    detail = "the server failed; its log tells why under this request's id"
    return respond(request, Problem(type="about:blank", title="Internal Server Error", status=500, detail=detail))


def _sentences(faults: Any) -> Iterator[str]:
    for fault in faults:
        where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "path", "header", "body"))
        yield f"{where}: {fault['msg'].lower()}" if where else fault["msg"].lower()
