"""Cross-origin requests of web pages (CORS), for an allow-list of origins."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from thale.facade.api.idempotent_request import REPLAYED_FIELD
from thale.facade.api.middleware import REQUEST_ID_HEADER
from thale.facade.limits.idempotency_key import IDEMPOTENCY_KEY_FIELD
from thale.facade.limits.rate_limit_fields import POLICY_FIELD, RATE_LIMIT_FIELD

_PREFLIGHT_MAX_AGE_S = 600
_REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    IDEMPOTENCY_KEY_FIELD,
    "Inference-Header-Content-Length",
    REQUEST_ID_HEADER,
)


def add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Permit web pages of the origins to call the API. Without origins, browsers block all cross-origin responses.

    The middleware must be added last, which makes it the outermost one: problems and unexpected errors then have the
    CORS headers too, and a preflight request, which has no credential, needs none. Cookies are not allowed: a caller
    authenticates with a header that only its own page can set.
    """
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=list(_REQUEST_HEADERS),
            expose_headers=[REQUEST_ID_HEADER, "Retry-After", POLICY_FIELD, RATE_LIMIT_FIELD, REPLAYED_FIELD],
            max_age=_PREFLIGHT_MAX_AGE_S,
        )
