"""Local platform: TorchServe and the facade, supervised from start to stop.

with serve(data_dir, notify) as platform:
    platform.wait_until_ready()
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from thale._version import __version__
from thale.errors import LocalPlatformError
from thale.local import serving_store
from thale.local.commands import (
    DRAIN_TIMEOUT_S,
    facade_command,
    facade_environment,
    torchserve_command,
    torchserve_environment,
)
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.liveness import FACADE_PROBE, TORCHSERVE_PROBE, LivenessMonitor
from thale.local.ports import DEFAULT_PORT, Addresses, PlatformPorts, claim_ports
from thale.local.runtime import ModelRuntime, find_runtime
from thale.local.sockets import TorchServeSockets, create_sockets
from thale.local.supervised_service import Service, tail
from thale.local.worker_plan import WorkerPlan, plan_workers
from thale.schemas import ReleaseState

_SUPERVISION_INTERVAL_S = 0.1
_READY_POLL_INTERVAL_S = 0.1  # each poll causes a request to TorchServe: more frequent polls slow the start
_START_TIMEOUT_S = 180.0
FACADE_GRACE_S = DRAIN_TIMEOUT_S + 2.0
"""Grace period of the facade: it completes requests, then it closes its connections and processes."""
_RECONCILIATION_DELAY_S = 3.0
_WORKERS_LOG = "model_log.log"  # TorchServe's name for the log of its workers

Notify = Callable[[str], None]


@dataclass
class Platform:
    """A running local platform, created by `serve`."""

    addresses: Addresses
    release_state: ReleaseState
    plan: WorkerPlan
    services: tuple[Service, ...]
    """Services in the order of their start. They stop one by one in reverse order."""
    monitors: tuple[LivenessMonitor, ...]
    logs: tuple[Path, ...]
    """Logs whose last lines are in the error if the models do not become ready."""
    failure: LocalPlatformError | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Address of the facade."""
        return self.addresses.url

    def wait_until_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until every model is ready.

        Raises:
            LocalPlatformError: If a service exceeded its restart policy, or the time limit passed. The message contains
                the last lines of the logs.
        """
        from thale.client import Client  # imported here, so that its import does not delay the start

        deadline = time.monotonic() + timeout_s
        with Client(self.url) as client:
            while not client.is_ready():
                if self.stopped.wait(_READY_POLL_INTERVAL_S):
                    self.raise_if_failed()
                if time.monotonic() > deadline:
                    tails = "\n".join(tail(log) for log in self.logs)
                    raise LocalPlatformError(f"the models are not ready after {timeout_s:g} s.\n{tails}")

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the platform fails, up to a time limit. None waits without a limit.

        Raises:
            LocalPlatformError: If a service exceeded its restart policy.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        # Not `stopped.wait`: a second signal within its lock raises a RuntimeError instead of KeyboardInterrupt.
        while not self.stopped.is_set() and time.monotonic() < deadline:
            time.sleep(_SUPERVISION_INTERVAL_S)
        self.raise_if_failed()

    def raise_if_failed(self) -> None:
        """Raise the failure of the platform, if there is one.

        Raises:
            LocalPlatformError: If a service exceeded its restart policy.
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
            # Isolation boundary of the supervisor: without it, an unexpected error would end supervision unnoticed.
            except Exception as error:  # noqa: BLE001
                self.failure = LocalPlatformError(f"the supervision of the services failed: {error!r}")
            if self.failure is not None:
                self.stopped.set()
                return


@contextmanager
def serve(
    data_dir: DataDir,
    notify: Notify,
    *,
    port: int | None = None,
    workers: int | None = None,
    weights: Path | None = None,
    persistent: bool = True,
) -> Iterator[Platform]:
    """Start the local platform, and stop it when the context ends. No process remains after the current one ends.

    Both services start in parallel. `Platform.wait_until_ready` waits for them.

    Args:
        data_dir: The data directory, which one platform can use at a time.
        notify: Receives one line for the user, such as a changed port or a restarted service.
        port: Port of the facade. None selects the first free port from 8080.
        workers: Worker processes per model. None chooses them from the cores.
        weights: Folder of MODEL/VERSION weights. None selects the weights in the package.
        persistent: False if the platform belongs to a single command and ends with it.

    Raises:
        LocalPlatformError: If the platform cannot start: a missing extra, a port or data directory in use, no models.
    """
    runtime, plan = find_runtime(), plan_workers(workers)
    with data_dir.lock(), create_sockets(data_dir.path) as sockets, claim_ports(port) as ports:
        if port is None and persistent and ports.facade != DEFAULT_PORT:
            notify(f"port {DEFAULT_PORT} is in use by another process: thale listens on port {ports.facade}")
        release_state = serving_store.prepare_store(data_dir, weights or runtime.weights)
        torchserve, facade = _create_services(runtime, data_dir, ports, sockets, plan, notify)
        addresses = ports.addresses(sockets)
        monitors = (
            LivenessMonitor(torchserve, addresses.model_url, TORCHSERVE_PROBE, notify),
            LivenessMonitor(facade, addresses.url, FACADE_PROBE, notify),
        )
        logs = (facade.log, data_dir.logs / _WORKERS_LOG)
        platform = Platform(addresses, release_state, plan, (torchserve, facade), monitors, logs)
        running = RunningPlatform.current_process(addresses, __version__, persistent)
        with (
            data_dir.publish(running),
            _run_services(platform, partial(_reconcile, data_dir, addresses, plan.workers, notify)),
        ):
            serving_store.register_archives(data_dir)  # runs while the models start, so it adds no delay
            yield platform


def _create_services(
    runtime: ModelRuntime,
    data_dir: DataDir,
    ports: PlatformPorts,
    sockets: TorchServeSockets,
    plan: WorkerPlan,
    notify: Notify,
) -> tuple[Service, Service]:
    """Return TorchServe and the facade. Neither has started."""
    torchserve = Service(
        name="TorchServe",
        command=lambda: torchserve_command(runtime, data_dir, serving_store.verified_archives(data_dir)),
        environment=torchserve_environment(data_dir, sockets, plan),
        folder=data_dir.torchserve,
        log=data_dir.logs / "torchserve.log",
        notify=notify,
    )
    facade = Service(
        name="the facade",
        command=facade_command,
        environment=facade_environment(data_dir, ports, sockets, plan),
        folder=data_dir.path,
        log=data_dir.logs / "facade.log",
        notify=notify,
        grace_s=FACADE_GRACE_S,
    )
    return torchserve, facade


@contextmanager
def _run_services(platform: Platform, reconcile: Callable[[threading.Event], None]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=platform._supervise, args=(stopping,), name="supervisor", daemon=True)]
    threads += [
        threading.Thread(target=monitor.run, args=(stopping,), name="liveness", daemon=True)
        for monitor in platform.monitors
    ]
    # A daemon, because a version may still be loading at the end. Its request fails when TorchServe stops.
    threads.append(threading.Thread(target=reconcile, args=(stopping,), name="reconciler", daemon=True))
    try:
        for service in platform.services:
            service.start()
        for thread in threads:
            thread.start()
        yield
    finally:
        stopping.set()
        try:
            _stop_services(platform, threads[0])
        except KeyboardInterrupt:  # the second one: the user does not wait for the requests in flight
            for service in platform.services:
                service.kill()
            raise


def _stop_services(platform: Platform, supervisor: threading.Thread) -> None:
    """Stop the services one by one: the facade completes the requests in flight, which needs TorchServe."""
    if supervisor.ident is not None:
        supervisor.join()
    for service in reversed(platform.services):
        service.stop()


def _reconcile(
    data_dir: DataDir, addresses: Addresses, workers: int, notify: Notify, stopping: threading.Event
) -> None:
    """Restore released versions that TorchServe lacks, until the event is set."""
    if stopping.wait(_RECONCILIATION_DELAY_S):
        return
    from thale.local.reconciler import Reconciler  # imported here, because urllib3's import would delay the start
    from thale.release.targets.torchserve_client import TorchServeClient

    server = TorchServeClient.from_urls(addresses.model_url, addresses.management_url)
    Reconciler(data_dir, server, workers, notify).run(stopping)
