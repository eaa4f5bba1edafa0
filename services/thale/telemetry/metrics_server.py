"""The port that a process tells its metrics on: no part of what users see, and no place to send anything to.

/metrics speaks Prometheus' text format, and OpenMetrics to whoever asks for it: that one carries the exemplars.
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
"""Whoever says nothing for so long is hung up on."""


@dataclass(frozen=True)
class Page:
    """What stands at a path."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def saying(cls, status: HTTPStatus) -> "Page":
        """Return a page that says its status and no more."""
        return cls(f"{status.value} {status.phrase}\n".encode(), status=status)


@contextmanager
def served(host: str, port: int, registry: CollectorRegistry, pages: Mapping[str, Callable[[], Page]]) -> Iterator[int]:
    """Serve /metrics and the pages until the context ends; give the port, which matters where 0 was asked for.

    Args:
        host: The address to listen at.
        port: The port; 0 takes any that is free.
        registry: What /metrics tells.
        pages: By path; called in a thread of the request's own.

    Raises:
        OSError: If the port is taken.
    """
    # A second series beside each counter, which nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = make_wsgi_app(registry)

    def answer(environment: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path == "/metrics":
            scraped: Iterable[bytes] = metrics(environment, start)
            return scraped
        if path not in pages:
            return _sent(Page.saying(HTTPStatus.NOT_FOUND), start)
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _sent(Page.saying(HTTPStatus.METHOD_NOT_ALLOWED), start)
        return _sent(pages[path](), start)

    with make_server(host, port, answer, ThreadingWSGIServer, _SilentHandler) as server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        logger.info("metrics served", extra={"host": host, "port": server.server_port})
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _sent(page: Page, start: "StartResponse") -> Iterable[bytes]:
    headers = {"Content-Type": page.content_type, "X-Content-Type-Options": "nosniff", **page.headers}
    start(f"{page.status.value} {page.status.phrase}", list(headers.items()))
    return [page.body]


class _SilentHandler(WSGIRequestHandler):
    timeout = _TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        """Say nothing: a scrape every few seconds is no news."""
