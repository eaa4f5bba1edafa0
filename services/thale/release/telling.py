"""The watcher's own port: its metrics, and whether it is alive."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus

from thale.telemetry import WATCHER, WATCHER_BUILD_INFO, port
from thale.telemetry.build import Build, tell_build
from thale.telemetry.port import Page


def served(host: str, number: int, alive: Callable[[], bool]) -> AbstractContextManager[int]:
    """Serve /metrics and /health/live until the context ends; give the port, which matters where 0 was asked for.

    Raises:
        OSError: If the port is taken.
    """

    def health() -> Page:
        return Page.saying(HTTPStatus.OK if alive() else HTTPStatus.SERVICE_UNAVAILABLE)

    tell_build(WATCHER_BUILD_INFO, Build())
    return port.served(host, number, WATCHER, {"/health/live": health})
