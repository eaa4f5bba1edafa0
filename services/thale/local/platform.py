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
from thale.errors import LocalPlatformError
from thale.local import serving_store
from thale.local.commands import facade_command, facade_environment, torchserve_command, torchserve_environment
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import DEFAULT_PORT, Ports, choose_ports
from thale.local.runtime import find_runtime
from thale.local.supervised_service import Service, tail
from thale.schemas import ReleaseState

_SUPERVISION_INTERVAL_S = 0.1
_READY_POLL_INTERVAL_S = 0.1  # each question makes the facade ask TorchServe: asking more often slows the start
_START_TIMEOUT_S = 180.0
_WORKERS_LOG = "model_log.log"  # what the workers say: TorchServe names it so

Notify = Callable[[str], None]


@dataclass
class Platform:
    """A running platform. Made by `serve`."""

    ports: Ports
    release_state: ReleaseState
    services: tuple[Service, ...]
    logs: tuple[Path, ...]
    """Where to look when the models do not get ready."""
    failure: LocalPlatformError | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The facade's address."""
        return self.ports.addresses().url

    def wait_until_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Return when every model answers.

        Raises:
            LocalPlatformError: If a service was given up, or the limit has passed; with the last lines of the logs.
        """
        from thale.client import Client  # not needed to start, and starting must not wait for its import

        deadline = time.monotonic() + timeout_s
        with Client(self.url) as client:
            while not client.is_ready():
                if self.stopped.wait(_READY_POLL_INTERVAL_S):
                    self.raise_if_failed()
                if time.monotonic() > deadline:
                    tails = "\n".join(tail(log) for log in self.logs)
                    raise LocalPlatformError(f"the models were not ready after {timeout_s:g} s.\n{tails}")

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the platform fails, or for so long.

        Raises:
            LocalPlatformError: If a service was given up.
        """
        self.stopped.wait(timeout_s)
        self.raise_if_failed()

    def raise_if_failed(self) -> None:
        """Do nothing as long as all is well.

        Raises:
            LocalPlatformError: If a service was given up.
        """
        if self.failure is not None:
            raise self.failure

    def _supervise(self, stopping: threading.Event) -> None:
        while not stopping.wait(_SUPERVISION_INTERVAL_S):
            try:
                for service in self.services:
                    service.restart_if_dead()
            except LocalPlatformError as error:
                self.failure = error
                self.stopped.set()
                return


@contextmanager
def serve(
    data_dir: DataDir,
    notify: Notify,
    *,
    port: int | None = None,
    workers: int = 1,
    weights: Path | None = None,
    persistent: bool = True,
) -> Iterator[Platform]:
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
        LocalPlatformError: If it cannot start: a missing extra, a taken port, a home in use, no models.
    """
    runtime = find_runtime()
    with data_dir.lock():
        ports = choose_ports(port)
        if port is None and persistent and ports.facade != DEFAULT_PORT:
            notify(f"port {DEFAULT_PORT} is taken by another program: thale listens on {ports.facade} instead")
        release_state = serving_store.prepare_store(data_dir, weights or runtime.weights)
        torchserve = Service(
            name="TorchServe",
            command=lambda: torchserve_command(
                runtime, data_dir, serving_store.released_archives(data_dir.release_state, data_dir.model_store)
            ),
            environment=torchserve_environment(data_dir, ports, workers),
            folder=data_dir.torchserve,
            log=data_dir.logs / "torchserve.log",
            notify=notify,
        )
        facade = Service(
            name="the facade",
            command=facade_command,
            environment=facade_environment(data_dir, ports, workers),
            folder=data_dir.path,
            log=data_dir.logs / "facade.log",
            notify=notify,
        )
        logs = (facade.log, data_dir.logs / _WORKERS_LOG)
        platform = Platform(ports, release_state, (torchserve, facade), logs)
        running = RunningPlatform.current_process(ports.addresses(), __version__, persistent)
        with data_dir.publish(running), _run_services(platform):
            serving_store.register_archives(data_dir)  # while the models start: nobody waits for it
            yield platform


@contextmanager
def _run_services(platform: Platform) -> Iterator[None]:
    stopping = threading.Event()
    supervisor = threading.Thread(target=platform._supervise, args=(stopping,), name="supervisor", daemon=True)
    try:
        for service in platform.services:
            service.start()
        supervisor.start()
        yield
    finally:
        stopping.set()
        if supervisor.ident is not None:
            supervisor.join()
        for service in platform.services:
            service.request_stop()
        for service in platform.services:
            service.stop()
