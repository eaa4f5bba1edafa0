"""The stages of a request, each told as a duration to whoever counts and as a span to whoever looks at one request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from thale.telemetry import metrics, tracing

Stage = Literal["body", "waiting", "models", "postprocess"]

_SPAN_NAMES: dict[Stage, str] = {
    "body": "thale.body",
    "waiting": "thale.wait",
    "models": "thale.predict",
    "postprocess": "thale.postprocess",
}


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Call what is done in the context a stage of the request, whether it succeeds or not."""
    with tracing.span(_SPAN_NAMES[name]), metrics.STAGE_SECONDS.labels(name).time():
        yield
