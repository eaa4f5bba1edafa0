"""`make observe`: Prometheus and Alertmanager on this machine, with thale's rules, watching the thale that runs here.

Debian's programs or the user's own, on loopback, with their data in a folder that goes when they go. The thale may
stop and start meanwhile: its new addresses are followed, and while it is gone its last ones are looked at, so that the
alerts about a thale that is gone can be seen to fire.
"""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from thale.errors import LocalPlatformError
from thale.files import write_atomically
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import HOST
from thale.local.supervised_service import RestartPolicy, Service

CONFIG_DIR = Path(__file__).parent
_POLL_INTERVAL_S = 1.0
_WATCHER_PORT = 9091
"""Where `thale release watch` tells its metrics, unless it was told otherwise."""
_RESTART_POLICY = RestartPolicy(max_restarts=2)

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Executables:
    """Where the programs lie. The node exporter is for the disk alone, and may be missing."""

    prometheus: str
    alertmanager: str
    node_exporter: str | None

    @classmethod
    def find(cls) -> "Executables":
        """Find them on the path; Debian calls Alertmanager prometheus-alertmanager.

        Raises:
            LocalPlatformError: If one is missing; the message says how to get it.
        """
        prometheus = shutil.which("prometheus")
        alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        if prometheus is None or alertmanager is None:
            missing = " and ".join(
                name for name, found in (("prometheus", prometheus), ("alertmanager", alertmanager)) if found is None
            )
            raise LocalPlatformError(
                f"not on the path: {missing}. On Debian: apt-get install --no-install-recommends prometheus "
                "prometheus-alertmanager; elsewhere: https://prometheus.io/download"
            )
        return cls(prometheus, alertmanager, shutil.which("prometheus-node-exporter") or shutil.which("node_exporter"))


@dataclass(frozen=True)
class Ports:
    """Where the three listen, on loopback."""

    prometheus: int
    alertmanager: int
    node_exporter: int


class ScrapeTargets:
    """The files that tell Prometheus whom to look at, one for each job; Prometheus sees when they change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, list[str]] = {}

    def write(self, job: str, addresses: Sequence[str]) -> None:
        """Say where a job's targets are, if that is news."""
        if self._written.get(job) == list(addresses):
            return
        groups = [{"targets": list(addresses), "labels": {"environment": "laptop"}}]
        write_atomically(self._folder / f"{job}.json", json.dumps(groups).encode())
        self._written[job] = list(addresses)

    def update(self, running: RunningPlatform | None, watcher_port: int) -> None:
        """Say where the thale that runs listens now. One that is gone is still looked for where it was."""
        if running is not None:
            self.write("thale-facade", [urlsplit(running.metrics_url).netloc])
            self.write("thale-models", [urlsplit(running.model_metrics_url).netloc])
        self.write("thale-watcher", [f"{HOST}:{watcher_port}"] if _is_listening(watcher_port) else [])


@dataclass(frozen=True)
class MonitoringStack:
    """What runs. Made by `observing`."""

    ports: Ports
    services: tuple[Service, ...]
    targets: ScrapeTargets

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus shows itself."""
        return f"http://{HOST}:{self.ports.prometheus}"

    @property
    def alertmanager_url(self) -> str:
        """Where Alertmanager shows itself."""
        return f"http://{HOST}:{self.ports.alertmanager}"

    def supervise(self, data_dir: DataDir, watcher_port: int, stop_event: threading.Event) -> None:
        """Keep everything running and follow the thale, until told to close.

        Raises:
            LocalPlatformError: If one of the programs keeps dying; with the last lines of its log.
        """
        while not stop_event.wait(_POLL_INTERVAL_S):
            for service in self.services:
                service.restart_if_dead()
            self.targets.update(data_dir.find_running_platform(), watcher_port)


@contextmanager
def run_monitoring_stack(
    data_dir: DataDir, notify: Notify, watcher_port: int = _WATCHER_PORT
) -> Iterator[MonitoringStack]:
    """Start the programs and end them with the context; nothing of them is left.

    Args:
        data_dir: The home of the thale that is to be watched.
        notify: Takes one line about a program that died and comes back.
        watcher_port: Where a release watcher may listen.

    Raises:
        LocalPlatformError: If a program is missing or cannot be started, or no thale runs on that home.
    """
    executables = Executables.find()
    running = data_dir.find_running_platform()
    if running is None:
        raise LocalPlatformError(f"no thale runs on {data_dir.path}: start one with `make run`, then try again")
    ports = _allocate_ports()
    with tempfile.TemporaryDirectory(prefix="thale-observe-") as temp_dir:
        folder = Path(temp_dir)
        targets = ScrapeTargets(_prepare_config_dir(folder))
        targets.write("alertmanager", [f"{HOST}:{ports.alertmanager}"])
        targets.write("node", [f"{HOST}:{ports.node_exporter}"] if executables.node_exporter else [])
        targets.update(running, watcher_port)
        services = tuple(_build_services(executables, ports, folder, notify))
        try:
            for service in services:
                service.start()
            yield MonitoringStack(ports, services, targets)
        finally:
            for service in services:
                service.request_stop()
            for service in services:
                service.stop()


def _prepare_config_dir(folder: Path) -> Path:
    """Lay out the folder as the configurations expect it, and return that of the targets."""
    (folder / "rules").symlink_to(CONFIG_DIR / "rules")
    shutil.copytree(CONFIG_DIR / "prometheus", folder / "prometheus")
    shutil.copytree(CONFIG_DIR / "alertmanager", folder / "alertmanager")
    targets = folder / "prometheus" / "targets"
    targets.mkdir()
    return targets


def _build_services(executables: Executables, ports: Ports, folder: Path, notify: Notify) -> Iterator[Service]:
    commands: dict[str, Sequence[str]] = {
        "Alertmanager": (
            executables.alertmanager,
            f"--config.file={folder / 'alertmanager' / 'alertmanager.yaml'}",
            f"--storage.path={folder / 'alertmanager-data'}",
            f"--web.listen-address={HOST}:{ports.alertmanager}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ),
        "Prometheus": (
            executables.prometheus,
            f"--config.file={folder / 'prometheus' / 'laptop.yaml'}",
            f"--storage.tsdb.path={folder / 'prometheus-data'}",
            f"--web.listen-address={HOST}:{ports.prometheus}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ),
    }
    if executables.node_exporter is not None:
        commands["the node exporter"] = (
            executables.node_exporter,
            f"--web.listen-address={HOST}:{ports.node_exporter}",
        )
    for name, command in commands.items():
        log = folder / f"{name.split()[-1].lower()}.log"
        yield Service(name, partial(tuple, command), dict(os.environ), folder, log, notify, _RESTART_POLICY)


def _allocate_ports() -> Ports:
    """Take the usual ports where they are free, and any others where not."""
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        return Ports(_bind(first, 9090), _bind(second, 9093), _bind(third, 9100))


def _bind(listener: socket.socket, preferred_port: int) -> int:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, preferred_port))
    except OSError:
        listener.bind((HOST, 0))
    return int(listener.getsockname()[1])


def _is_listening(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(0.5)
        return connection.connect_ex((HOST, port)) == 0


def main(
    home: Annotated[Path | None, typer.Option(help="Folder of the thale to watch. Default: the user's.")] = None,
    watcher_port: Annotated[int, typer.Option(help="Where `thale release watch` tells its metrics.")] = _WATCHER_PORT,
) -> None:
    """Watch the thale that runs on this machine, until Ctrl-C."""
    console, error_console = Console(), Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data_dir = DataDir.resolve(home)
    try:
        with run_monitoring_stack(data_dir, error_console.print, watcher_port) as stack:
            console.print(f"alerts and queries  {stack.prometheus_url}/alerts")
            console.print(f"who would be told   {stack.alertmanager_url}")
            console.print("watching until Ctrl-C")
            stack.supervise(data_dir, watcher_port, threading.Event())
    except LocalPlatformError as error:
        error_console.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("stopped")


if __name__ == "__main__":
    typer.run(main)
