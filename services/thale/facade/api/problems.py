"""Problem Details (RFC 9457): the table of HTTP status and title of each error class, and the error handlers.

A problem's `type` is `/problems/` and the error's stable code (`thale.errors.ThaleError.code`). The URL is relative, so
that the server that returned the problem also describes it, without internet access: GET /problems/{code}.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thale import errors
from thale.errors import ThaleError
from thale.facade.api import brapi_errors
from thale.schemas import Problem
from thale.telemetry import logs, metrics, tracing

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
MAX_DETAIL_LENGTH = 2000
"""Maximum length of a problem's detail in characters. A detail quotes parts of the request."""
_MAX_DESCRIBED = 8
"""Maximum number of invalid parameters in a problem."""

_PROBLEM_CONTENT = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is invalid.", "content": _PROBLEM_CONTENT},
    "5XX": {"model": Problem, "description": "The server failed.", "content": _PROBLEM_CONTENT},
}


@dataclass(frozen=True)
class ProblemSpec:
    """HTTP status and title of one error class."""

    status: HTTPStatus
    title: str


_INTERNAL_ERROR = ProblemSpec(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed")

PROBLEM_SPECS: dict[type[ThaleError], ProblemSpec] = {
    errors.EmptyImageError: ProblemSpec(HTTPStatus.BAD_REQUEST, "The body is empty"),
    errors.UnsupportedImageError: ProblemSpec(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a readable JPEG, PNG, TIFF or HEIC"
    ),
    errors.DamagedImageError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is damaged"),
    errors.ImageTooSmallError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is too small"),
    errors.ImageTooLargeError: ProblemSpec(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The image is too large"),
    errors.MultiPageImageError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The TIFF has several pages"),
    errors.DoubtfulImageError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is not an upright square plate"),
    errors.ScaleError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The scale is implausible"),
    errors.ParameterError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "A parameter is invalid"),
    errors.UnsupportedContentTypeError: ProblemSpec(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The content type is not an image"
    ),
    errors.UnsupportedContentEncodingError: ProblemSpec(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is compressed"),
    errors.MalformedRequestError: ProblemSpec(HTTPStatus.BAD_REQUEST, "The request is malformed"),
    errors.NotAcceptableError: ProblemSpec(HTTPStatus.NOT_ACCEPTABLE, "No response format is acceptable"),
    errors.UnauthenticatedError: ProblemSpec(HTTPStatus.UNAUTHORIZED, "No valid credential"),
    errors.AuthenticationUnavailableError: ProblemSpec(
        HTTPStatus.SERVICE_UNAVAILABLE, "Credentials cannot be verified"
    ),
    errors.ForbiddenError: ProblemSpec(HTTPStatus.FORBIDDEN, "The request is not permitted"),
    errors.RateLimitedError: ProblemSpec(HTTPStatus.TOO_MANY_REQUESTS, "The caller's limit is reached"),
    errors.IdempotencyKeyReusedError: ProblemSpec(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request"
    ),
    errors.IdempotencyKeyInUseError: ProblemSpec(HTTPStatus.CONFLICT, "The first request is in progress"),
    errors.UploadTimeoutError: ProblemSpec(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time"),
    errors.OverloadedError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "Too many concurrent requests"),
    errors.ShuttingDownError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down"),
    errors.UnknownModelError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such model"),
    errors.UnknownVersionError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such version of the model"),
    errors.WrongTaskError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The model is for another task"),
    errors.ModelUnavailableError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "The model is unavailable"),
    errors.ModelStartingError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "The model is starting"),
    errors.ModelFailedError: ProblemSpec(HTTPStatus.BAD_GATEWAY, "The model failed"),
    errors.InvalidModelResponseError: ProblemSpec(HTTPStatus.BAD_GATEWAY, "The model's response is invalid"),
    errors.DeadlineExceededError: ProblemSpec(HTTPStatus.GATEWAY_TIMEOUT, "The deadline passed"),
    errors.ExperimentsDisabledError: ProblemSpec(HTTPStatus.NOT_FOUND, "This server stores no experiments"),
    errors.UnknownExperimentError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such experiment"),
    errors.ExperimentExistsError: ProblemSpec(HTTPStatus.CONFLICT, "Another experiment has this name"),
    errors.UnknownImageError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such image in the experiment"),
    errors.UnknownMeasurementError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such measurement"),
    errors.UnknownBrapiObjectError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such object"),
    errors.UnknownJobError: ProblemSpec(HTTPStatus.NOT_FOUND, "No such job"),
    errors.DesignTableError: ProblemSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "The design table is invalid"),
    errors.ExperimentStoreError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "The experiment store is unavailable"),
    errors.SchemaVersionError: ProblemSpec(HTTPStatus.SERVICE_UNAVAILABLE, "The experiment store is newer"),
    errors.ArchiveError: _INTERNAL_ERROR,
    errors.DeviceError: _INTERNAL_ERROR,
    errors.AnnotationError: _INTERNAL_ERROR,
    errors.DatasetError: _INTERNAL_ERROR,
    errors.TrainingError: _INTERNAL_ERROR,
    errors.ReleaseError: _INTERNAL_ERROR,
    errors.InvalidTransitionError: _INTERNAL_ERROR,
    errors.ConflictError: _INTERNAL_ERROR,
    errors.RegistrationError: _INTERNAL_ERROR,
    errors.VersionExistsError: _INTERNAL_ERROR,
    errors.StoreError: _INTERNAL_ERROR,
    errors.SignatureError: _INTERNAL_ERROR,
    errors.TargetError: _INTERNAL_ERROR,
    errors.ServerUnreachableError: _INTERNAL_ERROR,
    errors.UnexpectedResponseError: _INTERNAL_ERROR,
    errors.SecretError: _INTERNAL_ERROR,
    errors.FileAccessError: _INTERNAL_ERROR,
    errors.LocalPlatformError: _INTERNAL_ERROR,
    errors.BatchEngineError: _INTERNAL_ERROR,
    errors.MissingPackageError: _INTERNAL_ERROR,
    ThaleError: _INTERNAL_ERROR,
}


def spec_for(error_class: type[ThaleError]) -> ProblemSpec:
    """Return the row of an error's class, or of its nearest base that has one."""
    return next(PROBLEM_SPECS[base] for base in error_class.__mro__ if base in PROBLEM_SPECS)


def to_problem(error: ThaleError) -> Problem:
    """Return the problem document of an error, without `instance` and `request_id`."""
    spec = spec_for(type(error))
    detail = str(error)
    if len(detail) > MAX_DETAIL_LENGTH:
        detail = f"{detail[:MAX_DETAIL_LENGTH]} …"
    return Problem(type=f"/problems/{error.code}", title=spec.title, status=spec.status, detail=detail)


def describe_problem(code: str) -> Problem | None:
    """Return the description of a problem type, or None if the code is unknown."""
    error_class = errors.error_class(code)
    if error_class is None:
        return None
    spec = spec_for(error_class)
    return Problem(
        type=f"/problems/{code}", title=spec.title, status=spec.status, detail=(error_class.__doc__ or "").strip()
    )


def problem_response(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as a response: problem+json, {"error": …} in the v2 protocol, or a text in BrAPI."""
    code = problem.type.rsplit("/", 1)[-1]
    metrics.PROBLEMS.labels(code).inc()
    tracing.record_problem(code)
    logger.info("request rejected", extra={"code": code, "status": problem.status})
    headers = dict(headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if request.url.path == "/v2" or request.url.path.startswith("/v2/"):
        return JSONResponse({"error": problem.detail}, problem.status, headers)
    if request.url.path.startswith("/brapi/"):
        return brapi_errors.error_response(problem, headers)
    document = problem.model_copy(update={"instance": request.url.path, "request_id": logs.REQUEST_ID.get()})
    return JSONResponse(document.model_dump(), problem.status, headers, PROBLEM_MEDIA_TYPE)


async def handle_thale_error(request: Request, error: Exception) -> Response:
    """Return the response to a ThaleError."""
    assert isinstance(error, ThaleError)  # noqa: S101 (registered for this class alone)
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if isinstance(error, errors.UnsupportedContentEncodingError):
        headers["Accept-Encoding"] = "identity"  # RFC 9110, section 15.5.16
    if (challenge := _challenge(error)) is not None:
        headers["WWW-Authenticate"] = challenge
    return problem_response(request, to_problem(error), headers)


def _challenge(error: ThaleError) -> str | None:
    """Return the value of WWW-Authenticate (RFC 6750), or None if the credential is not the cause of the error."""
    if isinstance(error, errors.UnauthenticatedError):
        return 'Bearer realm="thale"' + ("" if error.reason == "missing" else ', error="invalid_token"')
    if isinstance(error, errors.ForbiddenError) and error.scope is not None:
        return f'Bearer realm="thale", error="insufficient_scope", scope="{error.scope}"'
    return None


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Return the response to an error of the framework, such as an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    path = request.url.path
    detail = f"{status.description or status.phrase}: {request.method} {path}"
    if status is HTTPStatus.NOT_FOUND and path.endswith("/"):
        detail = f"{detail}: no path ends with a slash, send the request to {path.rstrip('/') or '/'}"
    problem = Problem(type="about:blank", title=status.phrase, status=status, detail=detail)
    return problem_response(request, problem, dict(error.headers or {}))


async def handle_validation_error(request: Request, error: Exception) -> Response:
    """Return the response to parameters that violate the schema."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem_response(
        request, to_problem(errors.ParameterError("; ".join(_format_validation_errors(error.errors()))))
    )


def internal_error(request: Request) -> Response:
    """Return the response to an unexpected error, without its details."""
    detail = "the server failed; search its log for this request ID"
    return problem_response(
        request, Problem(type="about:blank", title="Internal Server Error", status=500, detail=detail)
    )


def _format_validation_errors(details: Any) -> Iterator[str]:
    for detail in islice(details, _MAX_DESCRIBED):
        location = ".".join(str(part) for part in detail["loc"] if part not in ("query", "path", "header", "body"))
        yield f"{location}: {detail['msg'].lower()}" if location else detail["msg"].lower()
