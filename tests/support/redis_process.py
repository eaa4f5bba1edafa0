"""A real Redis for tests: a free port on loopback, a password, no persistence."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.torchserve_process import free_ports

INSTALL_HINT = "redis-server not found: apt-get install --no-install-recommends redis-server (`make redis`)"
PASSWORD = "a password for tests"
_START_TIMEOUT_S = 60.0


@dataclass
class RedisProcess:
    """A Redis that a test may stop, suspend and start again."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def password_path(self) -> Path:
        return self.folder / "password"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.password_path.write_text(f"{PASSWORD}\n")
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--requirepass", PASSWORD, "--dir", str(self.folder)]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "redis.log").read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server. Its data are lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)
            self.process = None


@contextmanager
def run_redis(folder: Path) -> Iterator[RedisProcess]:
    """Run Redis within the context. Skip the test if it is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip(INSTALL_HINT)
    redis = RedisProcess(free_ports(1)[0], folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
