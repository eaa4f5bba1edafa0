"""Traces: what a request went through, from its first byte to its answer, in whichever processes.

Names follow OpenTelemetry's semantic conventions where they have a word, and begin with `thale.` elsewhere. Spans carry
the attributes of `ATTRIBUTES` and no others: nothing of an image, no secret, nobody's file name or address.

Only OpenTelemetry's API is imported here. Where nothing is sent (`send`), each of these functions costs some
microseconds, and a caller's `traceparent` is still handed on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from thale._version import __version__
from thale.errors import ImageError, ParameterError, RequestError, ScaleError
from thale.telemetry.logs import REQUEST_ID
from thale.telemetry.otel_settings import OtelSettings
from thale.telemetry.step_timing import StepTimings

logger = logging.getLogger(__name__)

Attributes = Mapping[str, str | int | float | bool]

ATTRIBUTES: Mapping[str, str] = {
    "http.request.method": "HTTP method; _OTHER for one that no standard knows",
    "http.request.resend_count": "how often the same question was asked of a worker before",
    "http.response.status_code": "HTTP status of the answer; 499 where the client disconnected",
    "http.route": "template of the route",
    "url.full": "address of a worker that was asked",
    "url.path": "path that was asked for, where there is such a route; never with its query",
    "url.scheme": "http or https",
    "server.address": "host of the model server",
    "server.port": "its port",
    "error.type": "stable name of the problem, or class of the exception",
    "thale.request_id": "the id in X-Request-Id, in the logs and in the problem that the user sees",
    "thale.image.format": "jpeg, png or tiff",
    "thale.image.megapixels": "size of the image as its header says",
    "thale.image.bytes": "bytes of the image file",
    "thale.task": "segmentation or landmarks",
    "thale.model": "name of a model",
    "thale.version": "its version",
    "thale.role": "why this version: stable, canary, pinned, shadow, or fallback (in a canary's place)",
    "thale.reason": "what a canary did that made the stable version answer",
    "thale.fallback_for": "the canary's version",
    "thale.batch.images": "images in the batch that the worker got",
}
"""Every attribute of a span or of one of its events, and what it says. Held against the code by a test."""

_TRACER = trace.get_tracer("thale", __version__)
_W3C = TraceContextTextMapPropagator()
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_UNKNOWN_METHOD = "_OTHER"
_MAX_PATH_LENGTH = 200
_REQUEST_ID = "x-request-id"
_BATCH_DELAY_MS = 500.0
"""Between two batches of spans: the standard's 5000 would lose more where a process is killed."""
_PORTS = {"http": 80, "https": 443}
_CLIENT_ERRORS = (ImageError, ScaleError, ParameterError, RequestError)
"""Said of a span, and no error of ours: else whoever sends bad images fills the store of traces that are kept."""


def configure_tracing(
    service: str, otel: OtelSettings, resource_attributes: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """Send this process's spans from now on, where there is a collector to send them to.

    Args:
        service: What the process is called in traces, where OTEL_SERVICE_NAME does not say otherwise.
        otel: The standard variables.
        resource_attributes: Attributes of every span.

    Returns:
        What is to be called at the end, so that the last spans arrive. It takes no longer than two seconds.
    """
    if not otel.traces_enabled:
        return _do_nothing
    if not otel.uses_http:
        logger.warning("no spans are sent: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
        return _do_nothing
    from thale.telemetry import otlp  # the SDK: a start without a collector must not wait for its import

    delay_ms = None if otel.bsp_schedule_delay else _BATCH_DELAY_MS
    try:
        return otlp.start_exporter(otel.service_name or service, delay_ms, resource_attributes or {})
    except ValueError as error:
        logger.error("no spans are sent: a variable of OpenTelemetry's makes no sense", extra={"error": str(error)})
        return _do_nothing


def exemplar() -> dict[str, str] | None:
    """Return what leads from a count to an example of it: the current trace's id, None where none is sent."""
    span = trace.get_current_span()
    context = span.get_span_context()
    if not (span.is_recording() and context.trace_flags.sampled):
        return None
    return {"trace_id": trace.format_trace_id(context.trace_id)}


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """Call what is done in the context a span, of the current one unless a parent is named.

    What ends it early is told by its class alone: the words of an error may repeat what a user wrote.
    """
    with _TRACER.start_as_current_span(
        name, parent, kind, attributes, links, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            if isinstance(error, Exception) and not isinstance(error, _CLIENT_ERRORS):
                current.set_status(StatusCode.ERROR)
            raise


def request_span(
    method: str, scheme: str, request_headers: Mapping[str, str], request_id: str
) -> AbstractContextManager[Span]:
    """Serve a request in a span that goes on with the caller's trace, where its headers name one."""
    known_method = _normalize_method(method)
    attributes = {
        "http.request.method": known_method,
        "url.scheme": scheme,
        "thale.request_id": request_id,
    }
    return span(_span_name(known_method), attributes, kind=SpanKind.SERVER, parent=_W3C.extract(request_headers))


def set_route(active_span: Span, method: str, route: str, path: str) -> None:
    """Say which route a request found. A path that finds none may be anything, and is not told."""
    active_span.update_name(f"{_span_name(_normalize_method(method))} {route}")
    active_span.set_attribute("http.route", route)
    active_span.set_attribute("url.path", path[:_MAX_PATH_LENGTH])


def set_status(active_span: Span, status: int) -> None:
    """Say how a request was answered. Only a fault of the server's makes its span an error, as the conventions ask."""
    active_span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        active_span.set_status(StatusCode.ERROR)


def record_problem(problem: str) -> None:
    """Say of the current span by what problem its request ended."""
    trace.get_current_span().set_attribute("error.type", problem)


def add_event(name: str, attributes: Attributes) -> None:
    """Say that something happened during the current span."""
    trace.get_current_span().add_event(name, attributes)


def outgoing_headers() -> dict[str, str]:
    """Return the headers by which another process goes on with the current trace, and knows the request by its id."""
    request_id = REQUEST_ID.get()
    carried = {} if request_id is None else {_REQUEST_ID: request_id}
    _W3C.inject(carried)
    return carried


def client_span(url: str, route_attributes: Attributes, resend_count: int) -> AbstractContextManager[Span]:
    """Ask a worker in a span of its own; a question that is asked again gets another one."""
    address = urlsplit(url)
    attributes = {
        **route_attributes,
        "http.request.method": "POST",
        "url.full": url,
        "server.address": address.hostname or "",
        "server.port": address.port or _PORTS[address.scheme],
    }
    if resend_count:
        attributes["http.request.resend_count"] = resend_count
    return span("thale.model", attributes, kind=SpanKind.CLIENT)


@contextmanager
def server_span(request_headers: Mapping[str, str], images: int) -> Iterator[Span]:
    """Answer a question in a span that goes on with the asker's trace; logs name the asker's request.

    Args:
        request_headers: Headers of the request, names in lower case.
        images: How many questions TorchServe put into one batch.
    """
    token = REQUEST_ID.set(request_headers.get(_REQUEST_ID))
    attributes = {"thale.batch.images": images}
    try:
        with span("thale.worker", attributes, kind=SpanKind.SERVER, parent=_W3C.extract(request_headers)) as current:
            yield current
    finally:
        REQUEST_ID.reset(token)


def current_span_context() -> SpanContext:
    """Return what a later span can be linked to: the current one."""
    return trace.get_current_span().get_span_context()


def links(source: SpanContext) -> tuple[Link, ...]:
    """Return the link to a span that caused another without waiting for it."""
    return (Link(source),) if source.is_valid else ()


def spans_from_steps(timings: StepTimings, prefix: str = "") -> None:
    """Make spans of the steps that were noted in another process, or before: children of the current one."""
    current = trace.get_current_span()
    if not current.is_recording():
        return
    spans: list[Span] = []
    for step in timings.steps:
        parent = trace.set_span_in_context(current if step.parent is None else spans[step.parent])
        child = _TRACER.start_span(prefix + step.name, parent, start_time=step.start_ns)
        if step.error:
            child.set_attribute("error.type", step.error)
        child.end(step.end_ns)
        spans.append(child)


def _do_nothing() -> None:
    """End what never began."""


def _normalize_method(method: str) -> str:
    return method if method in _METHODS else _UNKNOWN_METHOD


def _span_name(method: str) -> str:
    return "HTTP" if method == _UNKNOWN_METHOD else method
