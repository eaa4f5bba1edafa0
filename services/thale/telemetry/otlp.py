"""Export of spans to a collector with OpenTelemetry's SDK and its OTLP exporter.

Only processes with a collector import this module (`tracing.configure_tracing`), since it costs 0.11 s of CPU time and
a thread. That thread exports the spans from a bounded queue, so no request waits for the collector. If the collector is
unreachable, hangs or fails, spans that exceed the queue are dropped, and the log has two lines about it. Shutdown takes
up to `_SHUTDOWN_TIMEOUT_S`.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from thale._version import __version__

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT_S = 2.0
_NOISY_LOGGERS = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")
"""Loggers that report every lost batch and every retry."""


def start_exporter(service: str, delay_ms: float | None, resource_attributes: Mapping[str, str]) -> Callable[[], None]:
    """Start to export the spans of this process.

    Args:
        service: The service name of the process.
        delay_ms: Milliseconds between two batches; None for the value of the standard variable.
        resource_attributes: Attributes of every span.

    Returns:
        A function that exports the queued spans, and drops them if that exceeds `_SHUTDOWN_TIMEOUT_S`.

    Raises:
        ValueError: If a standard variable is invalid.
    """
    for logger_name in _NOISY_LOGGERS:
        logging.getLogger(logger_name).setLevel(logging.CRITICAL)
    service_attributes = {SERVICE_NAME: service, SERVICE_NAMESPACE: "thale", SERVICE_VERSION: __version__}
    provider = TracerProvider(
        resource=Resource.create({**service_attributes, **resource_attributes}), shutdown_on_exit=False
    )
    provider.add_span_processor(
        BatchSpanProcessor(_LoggingExporter(OTLPSpanExporter()), schedule_delay_millis=delay_ms)
    )
    trace.set_tracer_provider(provider)

    def stop() -> None:
        shutdown = threading.Thread(target=provider.shutdown, daemon=True)
        shutdown.start()
        shutdown.join(_SHUTDOWN_TIMEOUT_S)

    return stop


class _LoggingExporter(SpanExporter):
    """Exporter that logs once when spans are dropped, and once when the export works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost_spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost_spans:
                logger.info("span export recovered", extra={"lost": self._lost_spans})
            self._lost_spans = 0
            return result
        if not self._lost_spans:
            logger.warning("spans dropped: collector unreachable")
        self._lost_spans += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
