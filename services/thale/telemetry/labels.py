"""The labels of thale's metrics, and what their values can be."""

from typing import get_args

from thale.schemas import LandmarkKind, OrganKind, ScaleSource
from thale.telemetry.metric_table import Label

MAX_MEGAPIXELS_BY_SIZE = {"1mp": 1.0, "4mp": 4.0, "16mp": 16.0}
"""Classes of image size, each up to so many megapixels; the same as in `slo.toml`, whose limits hold for them."""
_LARGER, _NO_IMAGE = "larger", "none"

ROUTE = Label("route", "template of the route; `unknown` where no route was found", 40)
STATUS = Label("status", "HTTP status; 499 where the client disconnected", 24)
SIZE = Label.one_of(
    "size",
    "class of the image by megapixels; `none` where there was no image, or its header was never read",
    (*MAX_MEGAPIXELS_BY_SIZE, _LARGER, _NO_IMAGE),
)
CODE = Label("code", "stable name of the error, as under /problems/", 48)
LIMIT_KIND = Label.one_of("kind", "places at work, and places to wait", ("running", "queued"))
STAGE = Label.one_of("stage", "part of a request", ("body", "waiting", "models", "postprocess"))
MODEL_STAGE = Label.one_of(
    "stage",
    "part of an answer: queue is the time that the facade waited and the worker did not work",
    ("queue", "decode", "transform", "inference", "encode"),
)
MODEL = Label("model", "name of a released model", 8)
VERSION = Label("version", "released version of the model", 8)
OUTCOME = Label.one_of(
    "outcome",
    "how a question went; refused: the image is at fault",
    ("ok", "rejected", "error", "unavailable", "timeout", "invalid_response"),
)
SHADOW_OUTCOME = Label.one_of(
    "outcome", "how a copy of a question went", ("ok", "error", "unavailable", "timeout", "invalid_response", "dropped")
)
REASON = Label.one_of(
    "reason",
    "why the stable version answered in a canary's place; open: the canary's breaker is",
    ("error", "unavailable", "timeout", "invalid_response", "open"),
)
ORGAN_CLASS = Label("organ", "class that a segmentation model tells apart, by the name in its card", 16)
ORGAN = Label.one_of("organ", "kind of organ", get_args(OrganKind))
LANDMARK = Label.one_of("kind", "kind of landmark", get_args(LandmarkKind))
SOURCE = Label.one_of("source", "where a plate's scale came from", get_args(ScaleSource))
TRAIT = Label.one_of(
    "trait", "trait of a plate", ("mean_primary_root_length", "plate_total_root_length", "plate_shoot_area")
)
SIGNAL = Label("signal", "what is compared, by its name in the card's references", 16)
VERDICT = Label.one_of("verdict", "what the judge said", ("promote", "hold", "roll back", "inconclusive"))
ACTION = Label.one_of("what", "what the watcher did", ("step", "promote", "roll back"))
SECRET = Label("secret", "name of a secret in the vault", 16)
CURRENCY = Label("currency", "ISO 4217 code of a currency", 1)
PACKAGE = Label("version", "version of thale", 1)
PYTHON = Label("python", "version of Python", 1)
COMMIT = Label("commit", "commit that it was built from; `unknown` where nobody said", 1)


def size_class(megapixels: float | None) -> str:
    """Return the class of an image's size, `none` where it is not known."""
    if megapixels is None:
        return _NO_IMAGE
    return next(
        (name for name, max_megapixels in MAX_MEGAPIXELS_BY_SIZE.items() if megapixels <= max_megapixels), _LARGER
    )
