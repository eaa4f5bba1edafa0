"""The watcher as a process: its own port, and signals that end it between two looks."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from thale.errors import ParameterError
from thale.release.slo import Slo
from thale.release.telling import served
from thale.release.watch import Pace, Place, Watcher

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
