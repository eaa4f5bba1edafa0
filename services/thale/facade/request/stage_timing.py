"""Times each stage of a request, as a histogram sample and a span."""

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
    """Time the context as a stage of the request, including a failed one."""
    with tracing.span(_SPAN_NAMES[name]), metrics.STAGE_SECONDS.labels(name).time():
        yield
