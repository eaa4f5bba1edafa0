"""Errors, headers and header parameters of each operation, for the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Any

from thale import errors
from thale.errors import ThaleError
from thale.facade.api.brapi_errors import brapi_status
from thale.facade.api.idempotent_request import REPLAYED_FIELD
from thale.facade.api.middleware import REQUEST_ID_HEADER
from thale.facade.api.problems import PROBLEM_MEDIA_TYPE, spec_for
from thale.facade.api.v2_request import JSON_LENGTH_HEADER
from thale.facade.limits.rate_limit_fields import POLICY_FIELD, RATE_LIMIT_FIELD
from tools.generate.openapi_brapi import BRAPI_ERRORS, BRAPI_HEADERS, brapi_error_content
from tools.generate.openapi_errors import AUTHENTICATION, BODY, IMAGE, ErrorTypes
from tools.generate.openapi_experiments import EXPERIMENT_ERRORS, EXPERIMENT_HEADERS, EXPERIMENT_POSTS

_TEXT = {"type": "string"}
_ETAG = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SECONDS = {"type": "integer", "minimum": 0}
HEADERS: dict[str, dict[str, Any]] = {
    REQUEST_ID_HEADER: {
        "description": "Identifier of the request: that of the client if it is valid, else a new one.",
        "required": True,
        "schema": {**_TEXT, "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}$"},
        "example": "8f14e45fceea167a5a36dedd4bea2543",
    },
    "Retry-After": {
        "description": "Seconds after which to send the request again.",
        "schema": _SECONDS,
        "example": 2,
    },
    POLICY_FIELD: {
        "description": "Limits of the caller: quota, unit, and window in seconds. Not sent without authentication.",
        "schema": _TEXT,
        "example": '"rate";q=30;w=30',
    },
    RATE_LIMIT_FIELD: {
        "description": "Remaining quota of each limit, and seconds until the whole quota is available.",
        "schema": _TEXT,
        "example": '"rate";r=29;t=1',
    },
    REPLAYED_FIELD: {
        "description": "`true` if the response is the stored one of the first request with this idempotency key.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "Vary": {"description": "Accept decides the format.", "schema": _TEXT, "example": "Accept"},
    "WWW-Authenticate": {
        "description": "The required credential (RFC 6750).",
        "schema": _TEXT,
        "example": 'Bearer realm="thale"',
    },
    "ETag": {
        "description": "Digest of the phenotype, or of the bytes of an image. Send it as If-None-Match.",
        "schema": _TEXT,
        "example": f'"{_ETAG}"',
    },
    "Content-Disposition": {
        "description": "A browser stores the bytes, and does not show them.",
        "schema": _TEXT,
        "example": "attachment",
    },
    "X-Content-Type-Options": {
        "description": "A browser does not guess another media type.",
        "schema": _TEXT,
        "example": "nosniff",
    },
    "Cache-Control": {"description": "Rules for caches.", "schema": _TEXT, "example": "private, no-cache"},
    "Accept-Encoding": {
        "description": "`identity`, if the body had a Content-Encoding (RFC 9110).",
        "schema": _TEXT,
        "example": "identity",
    },
    JSON_LENGTH_HEADER: {
        "description": "Length of the JSON in bytes. The binary outputs follow it.",
        "schema": _SECONDS,
        "example": 312,
    },
}
PARAMETERS: Mapping[str, list[dict[str, Any]]] = {
    "all": [
        {
            "name": REQUEST_ID_HEADER,
            "in": "header",
            "description": "Identifier of the request in logs, traces and errors. An invalid one is replaced.",
            "schema": {"type": "string"},
            "example": "plate-7-upload-1",
        }
    ],
    "infer": [
        {
            "name": JSON_LENGTH_HEADER,
            "in": "header",
            "description": "Length of the JSON in bytes, if binary tensors follow it.",
            "schema": {"type": "integer", "minimum": 0},
            "example": 210,
        }
    ],
}

_MODELS: ErrorTypes = (errors.UnknownModelError, errors.ModelUnavailableError)
_ERRORS: Mapping[str, ErrorTypes] = {
    "measurePhenotype": (
        *BODY,
        *IMAGE,
        errors.DoubtfulImageError,
        errors.NotAcceptableError,
        errors.UnsupportedContentTypeError,
    ),
    "segmentImage": (*BODY, *IMAGE, errors.NotAcceptableError, errors.UnsupportedContentTypeError),
    "detectLandmarks": (*BODY, *IMAGE, errors.NotAcceptableError, errors.UnsupportedContentTypeError),
    "followSeries": (*BODY, errors.NotAcceptableError, errors.UnsupportedContentTypeError),
    "computeTraits": (*BODY, errors.NotAcceptableError, errors.UnsupportedContentTypeError),
    **EXPERIMENT_ERRORS,
    **BRAPI_ERRORS,
    "listModels": (errors.ModelUnavailableError,),
    "getModel": _MODELS,
    "listRollouts": (errors.ModelUnavailableError,),
    "describeProblem": (errors.ParameterError,),
    "listModelNames": (errors.ModelUnavailableError,),
    "getModelMetadata": _MODELS,
    "getModelVersionMetadata": (*_MODELS, errors.UnknownVersionError),
    "getModelReady": _MODELS,
    "getModelVersionReady": (*_MODELS, errors.UnknownVersionError),
    "inferModel": (*BODY, *IMAGE, errors.MalformedRequestError),
    "inferModelVersion": (*BODY, *IMAGE, errors.MalformedRequestError),
}


_NEGOTIATED = frozenset(
    {"measurePhenotype", "segmentImage", "detectLandmarks", "followSeries", "computeTraits", "getTable", "getIndex"}
)
"""Operations whose format the Accept header decides."""


def success_headers(name: str) -> dict[str, Any]:
    """Return the headers of a successful response."""
    names = [REQUEST_ID_HEADER]
    if is_post(name):
        names += [POLICY_FIELD, RATE_LIMIT_FIELD, REPLAYED_FIELD]
    if name in _NEGOTIATED:
        names.append("Vary")
    names += {**EXPERIMENT_HEADERS, **BRAPI_HEADERS}.get(name, ())
    if name.startswith("infer"):
        names.append(JSON_LENGTH_HEADER)
    return _references(names)


def is_post(name: str) -> bool:
    """Return True if an operation is a POST, which counts towards the limits of the caller."""
    return name.startswith(("measure", "segment", "detect", "follow", "compute", "infer")) or name in EXPERIMENT_POSTS


def error_responses(
    path: str, name: str, is_authenticated: bool, responses: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the responses of an operation other than 200, by status.

    Args:
        path: Path of the operation.
        name: Its operation id.
        is_authenticated: True if it needs a credential.
        responses: Its responses in FastAPI's document. A 503 there is the state of the server.
    """
    by_status: dict[int, list[type[ThaleError]]] = {500: []}
    for error in (*_ERRORS.get(name, ()), *(AUTHENTICATION if is_authenticated else ())):
        status = int(spec_for(error).status)
        by_status.setdefault(brapi_status(status) if path.startswith("/brapi/") else status, []).append(error)
    described = {str(status): _error_response(path, name, status, found) for status, found in sorted(by_status.items())}
    if "503" in responses and "content" in responses["503"]:
        described["503"] = _state_response(path, responses["503"], described.get("503"))
    return described


def _state_response(path: str, state: dict[str, Any], error: dict[str, Any] | None) -> dict[str, Any]:
    content = dict(state["content"])
    description = "Not ready, or stuck."
    headers = _references([REQUEST_ID_HEADER])
    if error is not None:  # of the v2 protocol, with the same media type
        [schema] = (media["schema"] for media in error["content"].values())
        content = {"application/json": {"schema": {"anyOf": [content["application/json"]["schema"], schema]}}}
        description = f"{description} {error['description']}"
        headers = error["headers"]
    return {"description": description, "headers": headers, "content": content}


def _error_response(path: str, name: str, status: int, found: Iterable[type[ThaleError]]) -> dict[str, Any]:
    codes = [f"`{error.code}`: {spec_for(error).title}." for error in found]
    description = " ".join(codes) or "The server failed. Its log has the request ID."
    names = [REQUEST_ID_HEADER]
    if status in (409, 429, 503):
        names.append("Retry-After")
    if status in (401, 403):
        names.append("WWW-Authenticate")
    if status == 415:
        names.append("Accept-Encoding")
    if is_post(name):
        names += [POLICY_FIELD, RATE_LIMIT_FIELD]
    return {"description": description, "headers": _references(names), "content": _error_content(path, status, found)}


def _error_content(path: str, status: int, found: Iterable[type[ThaleError]]) -> dict[str, Any]:
    error = next(iter(found), None)
    detail = (
        " ".join((error.__doc__ or "").split()) if error else "the server failed; search its log for this request ID"
    )
    if path == "/v2" or path.startswith("/v2/"):
        return {"application/json": {"schema": {"$ref": "#/components/schemas/V2Error"}, "example": {"error": detail}}}
    if path.startswith("/brapi/"):
        return brapi_error_content(detail)
    example = {
        "type": f"/problems/{error.code}" if error else "about:blank",
        "title": spec_for(error).title if error else "Internal Server Error",
        "status": status,
        "detail": detail,
        "instance": path,
        "request_id": HEADERS[REQUEST_ID_HEADER]["example"],
    }
    return {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}


def _references(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
