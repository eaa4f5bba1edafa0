"""OTLP collector for tests: receives traces over HTTP, stores them, and can fail or hang on request.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

Mode = Literal["accepts", "fails", "hangs"]
Value = str | int | float | bool

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class SpanEvent:
    name: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Span:
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root span."""
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    links: tuple[tuple[str, str], ...]
    """Trace ID and span ID of each link."""
    events: tuple[SpanEvent, ...]

    @property
    def service(self) -> Value:
        return self.resource["service.name"]


class Collector:
    """The received spans, and the mode of the responses."""

    def __init__(self) -> None:
        self.mode: Mode = "accepts"
        self.request_count = 0
        self.stopping = threading.Event()
        self._received = threading.Condition()
        self._spans: list[Span] = []

    def accept(self, request: ExportTraceServiceRequest) -> None:
        spans = [
            _span(span, _values(sent.resource))
            for sent in request.resource_spans
            for scope in sent.scope_spans
            for span in scope.spans
        ]
        with self._received:
            self._spans += spans
            self._received.notify_all()

    def spans(self) -> list[Span]:
        with self._received:
            return list(self._spans)

    def wait_for(self, is_enough: Callable[[list[Span]], bool]) -> list[Span]:
        """Return all spans as soon as the condition holds."""
        with self._received:
            assert self._received.wait_for(lambda: is_enough(self._spans), TIMEOUT_S), [
                span.name for span in self._spans
            ]
            return list(self._spans)

    def wait_for_requests(self, min_requests: int = 1) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while self.request_count < min_requests:
            assert time.monotonic() < deadline, "no request was received"
            time.sleep(0.01)


@contextmanager
def running_collector() -> Iterator[tuple[str, Collector]]:
    """Run a collector until the context ends. Yields its URL and the collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            collector.request_count += 1
            if collector.mode == "hangs":
                collector.stopping.wait()
                return
            if collector.mode == "fails":
                self._reply(500, b"")
                return
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            collector.accept(ExportTraceServiceRequest.FromString(body))
            self._reply(200, ExportTraceServiceResponse().SerializeToString())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collector
    finally:
        collector.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _span(span: WireSpan, resource: Mapping[str, Value]) -> Span:
    return Span(
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_values(span),
        resource=resource,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        events=tuple(SpanEvent(event.name, _values(event)) for event in span.events),
    )


def _values(source: WireSpan | WireSpan.Event | Resource) -> dict[str, Value]:
    return {pair.key: _value(pair) for pair in source.attributes}


def _value(pair: KeyValue) -> Value:
    value: Value = getattr(pair.value, pair.value.WhichOneof("value"))
    return value
