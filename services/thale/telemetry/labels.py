"""Labels of thale's metrics, with their possible values."""

from typing import get_args

from thale.schemas import LandmarkKind, OrganKind, ScaleSource
from thale.telemetry.metric_table import Label

MAX_MEGAPIXELS_BY_SIZE = {"1mp": 1.0, "4mp": 4.0, "16mp": 16.0}
"""Maximum megapixels of each size class. The latency objectives in `slo.toml` use the same classes."""
_LARGER, _NO_IMAGE = "larger", "none"

ROUTE = Label("route", "route template; `unknown` if no route matches the path", 42)
STATUS = Label("status", "HTTP status; 499 if the client disconnected", 24)
SIZE = Label.one_of(
    "size",
    "size class of the image by megapixels; `none` if there is no image or its header was not read",
    (*MAX_MEGAPIXELS_BY_SIZE, _LARGER, _NO_IMAGE),
)
CODE = Label("code", "stable code of the problem, as under /problems/", 96)
AUTHENTICATION_METHOD = Label.one_of(
    "method", "kind of the credential; `none` if the request has none", ("api_key", "token", "none")
)
AUTHENTICATION_OUTCOME = Label.one_of(
    "outcome",
    "result of the authentication; `forbidden`: a scope is missing, or the request comes from a foreign web page",
    (
        *("ok", "missing", "malformed", "unsupported", "unknown", "revoked", "expired", "invalid", "forbidden"),
        "unavailable",
    ),
)
CREDENTIAL_SOURCE = Label.one_of(
    "source", "source of credentials: API keys, or the signing keys of Entra ID", ("api_keys", "entra_keys")
)
LIMIT_KIND = Label.one_of("kind", "`running`: concurrency limit; `queued`: maximum queue length", ("running", "queued"))
LIMIT = Label.one_of(
    "limit", "limit of a caller that rejected a request", ("rate", "concurrency", "daily-requests", "daily-megapixels")
)
STORE_OUTCOME = Label.one_of(
    "outcome",
    "outcome of a call of the limit store; `skipped`: its circuit breaker is open",
    ("ok", "error", "skipped"),
)
IDEMPOTENCY_OUTCOME = Label.one_of(
    "outcome",
    "`started`: the first request with this key; `replayed`: a retry that got the stored response; `in_use`: a retry "
    "during the first request; `reused`: another request with this key",
    ("started", "replayed", "in_use", "reused"),
)
CACHE_OUTCOME = Label.one_of(
    "outcome", "`hit`: a stored measurement was returned; `miss`: the models ran", ("hit", "miss")
)
JOB_OUTCOME = Label.one_of("outcome", "outcome of an attempt to measure an image of a job", ("measured", "failed"))
WEBHOOK_OUTCOME = Label.one_of("outcome", "outcome of an attempt to send an event", ("delivered", "failed"))
UPLOAD_LIMIT_KIND = Label.one_of(
    "kind", "`uploads`: request bodies that arrive; `bytes`: memory of all request bodies", ("uploads", "bytes")
)
STAGE = Label.one_of("stage", "stage of a request", ("body", "waiting", "models", "postprocess"))
MODEL_STAGE = Label.one_of(
    "stage",
    "stage of a model request; `queue` is the facade's wait minus the worker's time",
    ("queue", "decode", "transform", "inference", "encode"),
)
MODEL = Label("model", "name of a released model", 8)
VERSION = Label("version", "released version of the model", 8)
OUTCOME = Label.one_of(
    "outcome",
    "outcome of a model request; `rejected`: the image is invalid",
    ("ok", "rejected", "error", "unavailable", "timeout", "invalid_response"),
)
SHADOW_OUTCOME = Label.one_of(
    "outcome", "outcome of a shadow request", ("ok", "error", "unavailable", "timeout", "invalid_response", "dropped")
)
REASON = Label.one_of(
    "reason",
    "reason for the fallback to the stable version; `open`: the canary's circuit breaker is open",
    ("error", "unavailable", "timeout", "invalid_response", "open"),
)
ORGAN_CLASS = Label("organ", "class of a segmentation model, by its name in the model card", 16)
ORGAN = Label.one_of("organ", "kind of organ", get_args(OrganKind))
LANDMARK = Label.one_of("kind", "kind of landmark", get_args(LandmarkKind))
SOURCE = Label.one_of("source", "source of the plate's scale", get_args(ScaleSource))
TRAIT = Label.one_of(
    "trait", "trait of a plate", ("mean_primary_root_length", "plate_total_root_length", "plate_shoot_area")
)
SIGNAL = Label("signal", "plate statistic, by its name in the card's reference distributions", 16)
VERDICT = Label.one_of("verdict", "verdict of the judge", ("promote", "hold", "roll back", "inconclusive"))
ACTION = Label.one_of("what", "action of the rollout controller", ("step", "promote", "roll back"))
SECRET = Label("secret", "name of a secret in the vault", 16)
CURRENCY = Label("currency", "ISO 4217 currency code", 1)
PACKAGE = Label("version", "version of thale", 1)
PYTHON = Label("python", "version of Python", 1)
COMMIT = Label("commit", "commit of the build; `unknown` if THALE_COMMIT is not set", 1)


def size_class(megapixels: float | None) -> str:
    """Return the size class of an image, or `none` if its size is unknown."""
    if megapixels is None:
        return _NO_IMAGE
    return next(
        (name for name, max_megapixels in MAX_MEGAPIXELS_BY_SIZE.items() if megapixels <= max_megapixels), _LARGER
    )
