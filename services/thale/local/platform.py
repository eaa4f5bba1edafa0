"""The platform on one machine: TorchServe and the facade, watched from start to stop.

with serve(home, say) as instance:
    instance.wait_until_ready()
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from thale._version import __version__
from thale.errors import LaptopError
from thale.local import serving_store
from thale.local.commands import facade_command, facade_environment, torchserve_command, torchserve_environment
from thale.local.data_dir import Home, Running
from thale.local.ports import DEFAULT_PORT, Ports, choose_ports
from thale.local.runtime import find_installed
from thale.local.supervised_service import Service, tail
from thale.schemas import ReleaseRecord

_WATCH_EVERY_S = 0.1
_ASK_EVERY_S = 0.1  # each question makes the facade ask TorchServe: asking more often slows the start
_START_LIMIT_S = 180.0
_WORKERS_LOG = "model_log.log"  # what the workers say: TorchServe names it so

Say = Callable[[str], None]


@dataclass
class Instance:
    """A running platform. Made by `serve`."""

    ports: Ports
    record: ReleaseRecord
    services: tuple[Service, ...]
    logs: tuple[Path, ...]
    """Where to look when the models do not get ready."""
    failure: LaptopError | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The facade's address."""
        return self.ports.addresses().url

    def wait_until_ready(self, limit_s: float = _START_LIMIT_S) -> None:
        """Return when every model answers.

        Raises:
            LaptopError: If a service was given up, or the limit has passed; with the last lines of the logs.
        """
        from thale.client import Client  # not needed to start, and starting must not wait for its import

        until = time.monotonic() + limit_s
        with Client(self.url) as client:
            while not client.ready():
                if self.ended.wait(_ASK_EVERY_S):
                    self.check()
                if time.monotonic() > until:
                    tails = "\n".join(tail(log) for log in self.logs)
                    raise LaptopError(f"the models were not ready after {limit_s:g} s.\n{tails}")

    def wait(self, limit_s: float | None = None) -> None:
        """Wait until the platform fails, or for so long.

        Raises:
            LaptopError: If a service was given up.
        """
        self.ended.wait(limit_s)
        self.check()

    def check(self) -> None:
        """Do nothing as long as all is well.

        Raises:
            LaptopError: If a service was given up.
        """
        if self.failure is not None:
            raise self.failure

    def _watch(self, closing: threading.Event) -> None:
        while not closing.wait(_WATCH_EVERY_S):
            try:
                for service in self.services:
                    service.keep_running()
            except LaptopError as error:
                self.failure = error
                self.ended.set()
                return


@contextmanager
def serve(
    home: Home,
    say: Say,
    *,
    port: int | None = None,
    workers: int = 1,
    weights: Path | None = None,
    lasting: bool = True,
) -> Iterator[Instance]:
    """Start the platform on a home and stop it when the context ends; nothing of it survives this process.

    Both services start at once; `Instance.wait_until_ready` says when they answer. `say` is told what the user should
    know: another port than usual, a service that died and comes back.

    Args:
        home: The folder of models, logs and records; one platform at a time.
        say: Takes one line.
        port: The facade's; None takes the first free one from 8080 on.
        workers: Processes a model.
        weights: Folder of MODEL/VERSION weights; None serves the ones that come with thale.
        lasting: False where this platform ends with somebody's errand.

    Raises:
        LaptopError: If it cannot start: a missing extra, a taken port, a home in use, no models.
    """
    installed = find_installed()
    with home.hold():
        ports = choose_ports(port)
        if port is None and lasting and ports.facade != DEFAULT_PORT:
            say(f"port {DEFAULT_PORT} is taken by another program: thale listens on {ports.facade} instead")
        record = serving_store.prepare(home, weights or installed.weights)
        torchserve = Service(
            name="TorchServe",
            command=lambda: torchserve_command(
                installed, home, serving_store.released_archives(home.record, home.model_store)
            ),
            environment=torchserve_environment(home, ports, workers),
            folder=home.torchserve,
            log=home.logs / "torchserve.log",
            say=say,
        )
        facade = Service(
            name="the facade",
            command=facade_command,
            environment=facade_environment(home, ports, workers),
            folder=home.folder,
            log=home.logs / "facade.log",
            say=say,
        )
        logs = (facade.log, home.logs / _WORKERS_LOG)
        instance = Instance(ports, record, (torchserve, facade), logs)
        running = Running.here(ports.addresses(), __version__, lasting)
        with home.announce(running), _running(instance):
            serving_store.register(home)  # while the models start: nobody waits for it
            yield instance


@contextmanager
def _running(instance: Instance) -> Iterator[None]:
    closing = threading.Event()
    watcher = threading.Thread(target=instance._watch, args=(closing,), name="watcher", daemon=True)
    try:
        for service in instance.services:
            service.start()
        watcher.start()
        yield
    finally:
        closing.set()
        if watcher.ident is not None:
            watcher.join()
        for service in instance.services:
            service.ask_to_stop()
        for service in instance.services:
            service.stop()
