"""HTTP server of a process's metrics port. It is separate from the public API and accepts no uploads.

`/metrics` returns Prometheus' text format, or OpenMetrics if the client requests it. Only OpenMetrics carries
exemplars.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

_TIMEOUT_S = 15
"""Idle connections are closed after this time."""


@dataclass(frozen=True)
class Page:
    """The response at one path."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_status(cls, status: HTTPStatus) -> "Page":
        """Return a page that consists of its status alone."""
        return cls(f"{status.value} {status.phrase}\n".encode(), status=status)


@contextmanager
def serve(host: str, port: int, registry: CollectorRegistry, pages: Mapping[str, Callable[[], Page]]) -> Iterator[int]:
    """Serve /metrics and the pages until the context ends. Yields the port, which the system chooses for port 0.

    Args:
        host: The listen address.
        port: The listen port; 0 for any free port.
        registry: The metrics of /metrics.
        pages: Functions that return a page, by path. Each runs in the thread of its request.

    Raises:
        OSError: If the port is in use.
    """
    # `_created` is a second series for each counter, and no query reads it.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = make_wsgi_app(registry)

    def handle(environment: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path == "/metrics":
            exposition: Iterable[bytes] = metrics(environment, start_response)
            return exposition
        if path not in pages:
            return _send_page(Page.from_status(HTTPStatus.NOT_FOUND), start_response)
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _send_page(Page.from_status(HTTPStatus.METHOD_NOT_ALLOWED), start_response)
        return _send_page(pages[path](), start_response)

    with make_server(host, port, handle, ThreadingWSGIServer, _SilentHandler) as server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        logger.info("metrics server started", extra={"host": host, "port": server.server_port})
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _send_page(page: Page, start_response: "StartResponse") -> Iterable[bytes]:
    headers = {"Content-Type": page.content_type, "X-Content-Type-Options": "nosniff", **page.headers}
    start_response(f"{page.status.value} {page.status.phrase}", list(headers.items()))
    return [page.body]


class _SilentHandler(WSGIRequestHandler):
    timeout = _TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        """Log nothing: there is a scrape every few seconds."""
