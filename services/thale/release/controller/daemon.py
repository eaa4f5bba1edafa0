"""The watcher as a process: its own port, and signals that end it between two looks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import FrameType

from thale.errors import ParameterError
from thale.release.controller.controller import Pace, Place, Watcher
from thale.slo import Slo
from thale.telemetry import metrics_server
from thale.telemetry.build_info import Build, tell_build
from thale.telemetry.controller_metrics import WATCHER, WATCHER_BUILD_INFO
from thale.telemetry.metrics_server import Page

_ALIVE_WITHIN_S = 300.0
"""One look may take minutes, where a version is brought back that nobody has loaded any more."""


@dataclass(frozen=True)
class Port:
    """Where the watcher tells its metrics and its health; the port 0 takes any that is free."""

    host: str
    port: int


def watch_unattended(
    place: Place, slo: Slo, who: str, port: Port, *, pace: Pace | None = None, until_idle: bool = False
) -> None:
    """Watch until SIGTERM or SIGINT, or until no rollout is left where that is wanted. A second signal does not wait.

    Raises:
        ParameterError: If the port is taken.
    """
    watcher = Watcher(place, slo, who, pace)
    with ExitStack() as stack:
        ending = stack.enter_context(_signals_set())
        try:
            stack.enter_context(served(port.host, port.port, lambda: watcher.alive(_ALIVE_WITHIN_S)))
        except OSError as error:
            raise ParameterError(f"nobody can listen on {port.host}:{port.port}: {error.strerror}") from error
        watcher.run(ending, until_idle=until_idle)


@contextmanager
def _signals_set() -> Iterator[threading.Event]:
    """Give an event that the first signal sets; the next one does what it did before."""
    ending = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(number: int, frame: FrameType | None) -> None:
        ending.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, end)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def served(host: str, number: int, alive: Callable[[], bool]) -> AbstractContextManager[int]:
    """Serve /metrics and /health/live until the context ends; give the port, which matters where 0 was asked for.

    Raises:
        OSError: If the port is taken.
    """

    def health() -> Page:
        return Page.saying(HTTPStatus.OK if alive() else HTTPStatus.SERVICE_UNAVAILABLE)

    tell_build(WATCHER_BUILD_INFO, Build())
    return metrics_server.served(host, number, WATCHER, {"/health/live": health})
