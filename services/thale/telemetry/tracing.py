"""Traces: the path of a request through all processes, from its first byte to its response.

Names follow OpenTelemetry's semantic conventions if these define one, and begin with `thale.` otherwise. Spans have
only the attributes of `ATTRIBUTES`: no image content, no secrets, no file names or addresses of clients.

This module imports only OpenTelemetry's API. Without a collector (`configure_tracing`), each of these functions costs a
few microseconds, and a caller's `traceparent` is still propagated.
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
    "http.request.method": "HTTP method; _OTHER for a non-standard one",
    "http.request.resend_count": "number of earlier attempts of the same model request",
    "http.response.status_code": "HTTP status of the response; 499 if the client disconnected",
    "http.route": "route template",
    "url.full": "URL of a model request",
    "url.path": "path of the request, if it matches a route; never with its query",
    "url.scheme": "http or https",
    "server.address": "host of the model server, or path of its Unix domain socket",
    "server.port": "port of the model server; absent for a Unix domain socket",
    "error.type": "stable code of the problem, or class of the exception",
    "thale.request_id": "the ID in X-Request-Id, in the logs and in the problem returned to the client",
    "thale.image.format": "jpeg, png, tiff or heic",
    "thale.image.megapixels": "size of the image according to its header",
    "thale.image.bytes": "bytes of the image file",
    "thale.task": "segmentation or landmarks",
    "thale.model": "name of a model",
    "thale.version": "version of the model",
    "thale.role": "role of the version: stable, canary, pinned, shadow, or fallback (for a canary)",
    "thale.reason": "the canary's failure that caused the fallback",
    "thale.fallback_for": "version of the canary that the fallback replaces",
    "thale.batch.images": "images in the worker's batch",
}
"""Descriptions of all attributes of spans and span events. A test checks that the code uses exactly these."""

_TRACER = trace.get_tracer("thale", __version__)
_W3C = TraceContextTextMapPropagator()
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_UNKNOWN_METHOD = "_OTHER"
_MAX_PATH_LENGTH = 200
_REQUEST_ID = "x-request-id"
_BATCH_DELAY_MS = 500.0
"""Interval between two batches of spans. The standard's 5000 ms would lose more spans when a process is killed."""
_PORTS = {"http": 80, "https": 443}
_CLIENT_ERRORS = (ImageError, ScaleError, ParameterError, RequestError)
"""Errors that do not set the status of a span. The collector keeps every trace with an error, so a client with bad
images could otherwise fill the trace store."""


def configure_tracing(
    service: str, otel: OtelSettings, resource_attributes: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """Start to export this process's spans, if a collector is configured.

    Args:
        service: The service name in traces, unless OTEL_SERVICE_NAME is set.
        otel: The standard variables.
        resource_attributes: Attributes of every span.

    Returns:
        A function to call at the end of the process, which exports the last spans. It takes up to two seconds.
    """
    if not otel.traces_enabled:
        return _do_nothing
    if not otel.uses_http:
        logger.warning("tracing disabled: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
        return _do_nothing
    from thale.telemetry import otlp  # slow: it imports the SDK, which a process without a collector does not need

    delay_ms = None if otel.bsp_schedule_delay else _BATCH_DELAY_MS
    try:
        return otlp.start_exporter(otel.service_name or service, delay_ms, resource_attributes or {})
    except ValueError as error:
        logger.error("tracing disabled: invalid OpenTelemetry variable", extra={"error": str(error)})
        return _do_nothing


def exemplar() -> dict[str, str] | None:
    """Return the exemplar of an observation: the ID of the current trace, or None if it is not exported."""
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
    """Record the context as a span, a child of the current one unless a parent is given.

    An exception is recorded by its class alone, since its message may repeat user input.
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
    """Return the span of a request. It continues the client's trace if the headers contain one."""
    known_method = _normalize_method(method)
    attributes = {
        "http.request.method": known_method,
        "url.scheme": scheme,
        "thale.request_id": request_id,
    }
    return span(_span_name(known_method), attributes, kind=SpanKind.SERVER, parent=_W3C.extract(request_headers))


def set_route(active_span: Span, method: str, route: str, path: str) -> None:
    """Record the route of a request. A path without a route may contain anything, and is not recorded."""
    active_span.update_name(f"{_span_name(_normalize_method(method))} {route}")
    active_span.set_attribute("http.route", route)
    active_span.set_attribute("url.path", path[:_MAX_PATH_LENGTH])


def set_status(active_span: Span, status: int) -> None:
    """Record the status of a response. By OpenTelemetry's conventions, only a 5xx status makes the span an error."""
    active_span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        active_span.set_status(StatusCode.ERROR)


def record_problem(problem: str) -> None:
    """Record the code of the problem that ended the current span's request."""
    trace.get_current_span().set_attribute("error.type", problem)


def add_event(name: str, attributes: Attributes) -> None:
    """Add an event to the current span."""
    trace.get_current_span().add_event(name, attributes)


def outgoing_headers() -> dict[str, str]:
    """Return the headers that propagate the current trace and the request ID to another process."""
    request_id = REQUEST_ID.get()
    headers = {} if request_id is None else {_REQUEST_ID: request_id}
    _W3C.inject(headers)
    return headers


def client_span(
    url: str, route_attributes: Attributes, resend_count: int, unix_socket: str | None = None
) -> AbstractContextManager[Span]:
    """Return the span of one model request. A retry has a span of its own.

    Args:
        url: URL of the request.
        route_attributes: Attributes of the model and its version.
        resend_count: The number of earlier attempts.
        unix_socket: Path of the socket that the connection uses instead of the URL's host.
    """
    address = urlsplit(url)
    attributes = {
        **route_attributes,
        "http.request.method": "POST",
        "url.full": url,
        "server.address": unix_socket or address.hostname or "",
    }
    if unix_socket is None:
        attributes["server.port"] = address.port or _PORTS[address.scheme]
    if resend_count:
        attributes["http.request.resend_count"] = resend_count
    return span("thale.model", attributes, kind=SpanKind.CLIENT)


@contextmanager
def server_span(request_headers: Mapping[str, str], images: int) -> Iterator[Span]:
    """Record a worker's request as a span that continues the caller's trace. Logs contain the caller's request ID.

    Args:
        request_headers: Headers of the request, names in lower case.
        images: The number of requests in TorchServe's batch.
    """
    token = REQUEST_ID.set(request_headers.get(_REQUEST_ID))
    attributes = {"thale.batch.images": images}
    try:
        with span("thale.worker", attributes, kind=SpanKind.SERVER, parent=_W3C.extract(request_headers)) as current:
            yield current
    finally:
        REQUEST_ID.reset(token)


def current_span_context() -> SpanContext:
    """Return the context of the current span, to which a later span can be linked."""
    return trace.get_current_span().get_span_context()


def links(source: SpanContext) -> tuple[Link, ...]:
    """Return the link to a span that caused another one and did not wait for it."""
    return (Link(source),) if source.is_valid else ()


def spans_from_steps(timings: StepTimings, prefix: str = "") -> None:
    """Create spans from steps that another process recorded, or that ended earlier, as children of the current span."""
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
    """Do nothing: tracing was not started."""


def _normalize_method(method: str) -> str:
    return method if method in _METHODS else _UNKNOWN_METHOD


def _span_name(method: str) -> str:
    return "HTTP" if method == _UNKNOWN_METHOD else method
