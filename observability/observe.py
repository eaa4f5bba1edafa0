"""Monitoring of the local platform (`make observe`): Prometheus and Alertmanager with thale's rules.

The programs are Debian's or the user's own. They listen on loopback, and store their data in a temporary directory. The
local platform may stop and start meanwhile, and the scrape targets follow its addresses. While it is down, its last
addresses are scraped, so that the alerts about an outage fire.
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
from thale.host.files import write_atomically
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import HOST
from thale.local.supervised_service import RestartPolicy, Service

CONFIG_DIR = Path(__file__).parent
_POLL_INTERVAL_S = 1.0
_CONTROLLER_PORT = 9091
"""Default metrics port of `thale release watch`."""
_RESTART_POLICY = RestartPolicy(max_restarts=2)

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Executables:
    """Paths of the programs. The node exporter is optional: it adds disk metrics."""

    prometheus: str
    alertmanager: str
    node_exporter: str | None

    @classmethod
    def find(cls) -> "Executables":
        """Find the programs on the path. Debian calls Alertmanager prometheus-alertmanager.

        Raises:
            LocalPlatformError: If one is missing. The message has the installation command.
        """
        prometheus = shutil.which("prometheus")
        alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        if prometheus is None or alertmanager is None:
            missing = " and ".join(
                name for name, path in (("prometheus", prometheus), ("alertmanager", alertmanager)) if path is None
            )
            raise LocalPlatformError(
                f"not on the path: {missing}. On Debian: apt-get install --no-install-recommends prometheus "
                "prometheus-alertmanager; elsewhere: https://prometheus.io/download"
            )
        return cls(prometheus, alertmanager, shutil.which("prometheus-node-exporter") or shutil.which("node_exporter"))


@dataclass(frozen=True)
class MonitoringPorts:
    """Loopback ports of the three programs."""

    prometheus: int
    alertmanager: int
    node_exporter: int


class ScrapeTargets:
    """The target files of Prometheus' file-based discovery, one for each job. Prometheus reloads changed files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, bytes] = {}

    def write(self, job: str, addresses: Sequence[str], path: str = "/metrics") -> None:
        """Write the targets of a job and the path of their metrics, if they have changed."""
        groups = [{"targets": list(addresses), "labels": {"environment": "laptop", "__metrics_path__": path}}]
        content = json.dumps(groups).encode()
        if self._written.get(job) != content:
            write_atomically(self._folder / f"{job}.json", content)
            self._written[job] = content

    def update(self, running: RunningPlatform | None, controller_port: int) -> None:
        """Write the addresses of the running platform. If it is down, its last addresses remain."""
        if running is not None:
            for job, url in (("thale-facade", running.metrics_url), ("thale-models", running.model_metrics_url)):
                self.write(job, [urlsplit(url).netloc], urlsplit(url).path)
        self.write("thale-watcher", [f"{HOST}:{controller_port}"] if _is_listening(controller_port) else [])


@dataclass(frozen=True)
class MonitoringStack:
    """The running programs. Created by `run_monitoring_stack`."""

    ports: MonitoringPorts
    services: tuple[Service, ...]
    targets: ScrapeTargets

    @property
    def prometheus_url(self) -> str:
        """URL of Prometheus."""
        return f"http://{HOST}:{self.ports.prometheus}"

    @property
    def alertmanager_url(self) -> str:
        """URL of Alertmanager."""
        return f"http://{HOST}:{self.ports.alertmanager}"

    def supervise(self, data_dir: DataDir, controller_port: int, stop_event: threading.Event) -> None:
        """Restart programs that die, and update the scrape targets, until the event is set.

        Raises:
            LocalPlatformError: If a program exceeds its restarts. The message has the last lines of its log.
        """
        while not stop_event.wait(_POLL_INTERVAL_S):
            for service in self.services:
                service.restart_if_dead()
            self.targets.update(data_dir.find_running_platform(), controller_port)


@contextmanager
def run_monitoring_stack(
    data_dir: DataDir, notify: Notify, controller_port: int = _CONTROLLER_PORT
) -> Iterator[MonitoringStack]:
    """Start the programs, and stop them at the end of the context. No files remain.

    Args:
        data_dir: The data directory of the local platform.
        notify: Receives one line for each restart of a program.
        controller_port: The metrics port of a rollout controller, if one runs.

    Raises:
        LocalPlatformError: If a program is missing or does not start, or no platform runs in that data directory.
    """
    executables = Executables.find()
    running = data_dir.find_running_platform()
    if running is None:
        raise LocalPlatformError(
            f"no local platform is running in {data_dir.path}: start it with `make run`, then retry"
        )
    ports = _allocate_ports()
    with tempfile.TemporaryDirectory(prefix="thale-observe-") as temp_dir:
        folder = Path(temp_dir)
        targets = ScrapeTargets(_prepare_config_dir(folder))
        targets.write("alertmanager", [f"{HOST}:{ports.alertmanager}"])
        targets.write("node", [f"{HOST}:{ports.node_exporter}"] if executables.node_exporter else [])
        targets.update(running, controller_port)
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
    """Copy the configuration to the folder. Returns the directory of the target files."""
    (folder / "rules").symlink_to(CONFIG_DIR / "rules")
    shutil.copytree(CONFIG_DIR / "prometheus", folder / "prometheus")
    shutil.copytree(CONFIG_DIR / "alertmanager", folder / "alertmanager")
    targets = folder / "prometheus" / "targets"
    targets.mkdir()
    return targets


def _build_services(
    executables: Executables, ports: MonitoringPorts, folder: Path, notify: Notify
) -> Iterator[Service]:
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
        commands["node exporter"] = (
            executables.node_exporter,
            f"--web.listen-address={HOST}:{ports.node_exporter}",
        )
    for name, command in commands.items():
        log = folder / f"{name.split()[-1].lower()}.log"
        yield Service(name, partial(tuple, command), dict(os.environ), folder, log, notify, _RESTART_POLICY)


def _allocate_ports() -> MonitoringPorts:
    """Return the default ports, or any free ones if they are in use."""
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        return MonitoringPorts(_bind(first, 9090), _bind(second, 9093), _bind(third, 9100))


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
    home: Annotated[
        Path | None, typer.Option(help="Data directory of the local platform. Default: that of the user.")
    ] = None,
    controller_port: Annotated[int, typer.Option(help="Metrics port of `thale release watch`.")] = _CONTROLLER_PORT,
) -> None:
    """Monitor the local platform until Ctrl-C."""
    console, error_console = Console(), Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data_dir = DataDir.resolve(home)
    try:
        with run_monitoring_stack(data_dir, error_console.print, controller_port) as stack:
            console.print(f"Prometheus    {stack.prometheus_url}/alerts")
            console.print(f"Alertmanager  {stack.alertmanager_url}")
            console.print("monitoring until Ctrl-C")
            stack.supervise(data_dir, controller_port, threading.Event())
    except LocalPlatformError as error:
        error_console.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("stopped")


if __name__ == "__main__":
    typer.run(main)
