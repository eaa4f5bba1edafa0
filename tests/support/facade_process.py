"""The facade as a separate process, as the local platform and the cluster start it, with access to its log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support.torchserve_process import free_ports

START_TIMEOUT_S = 180


@dataclass(frozen=True)
class ProcessReply:
    status: int
    request_id: str
    body: bytes


@dataclass(frozen=True)
class FacadeProcess:
    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> ProcessReply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": "application/octet-stream", **(headers or {})})
            response = connection.getresponse()
            return ProcessReply(response.status, response.getheader("X-Request-Id") or "", response.read())
        finally:
            connection.close()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the complete lines of the log."""
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def stop(self, timeout_s: float) -> None:
        """Stop the process with SIGTERM, as Kubernetes does, and wait for its end."""
        self.process.terminate()
        self.process.wait(timeout_s)


@contextmanager
def facade_process(log: Path, **variables: str) -> Iterator[FacadeProcess]:
    """Run a facade with these environment variables for the duration of the context."""
    port, metrics_port = free_ports(2)
    environment = {**os.environ, "THALE_PORT": str(port), "THALE_METRICS_PORT": str(metrics_port), **variables}
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=environment, stderr=file)
    facade = FacadeProcess(port, log, process)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _is_live(facade):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield facade
    finally:
        process.kill()
        process.wait()


def _is_live(facade: FacadeProcess) -> bool:
    try:
        return facade.request("GET", "/health/live").status == 200
    except OSError:
        return False
