"""The watcher's own port: its metrics, and whether it is alive."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from thale.telemetry import WATCHER

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)


@contextmanager
def served(host: str, port: int, alive: Callable[[], bool]) -> Iterator[int]:
    """Serve /metrics and /health/live until the context ends; give the port, which matters where 0 was asked for.

    Raises:
        OSError: If the port is taken.
    """
    metrics = make_wsgi_app(WATCHER)

    def answer(environment: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        match environment["PATH_INFO"]:
            case "/metrics":
                scraped: Iterable[bytes] = metrics(environment, start)
                return scraped
            case "/health/live":
                return _said(start, "200 OK" if alive() else "503 Service Unavailable")
        return _said(start, "404 Not Found")

    with make_server(host, port, answer, ThreadingWSGIServer, _SilentHandler) as server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        logger.info("metrics served", extra={"host": host, "port": server.server_port})
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _said(start: "StartResponse", status: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{status}\n".encode()]


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
        """Say nothing: a scrape every few seconds is no news."""
