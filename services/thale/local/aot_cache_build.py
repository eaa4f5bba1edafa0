"""Make Java's cache: start a TorchServe without models, stop it, and keep what Java learned of it.

    python -m thale.local.aot_cache_build HOME SECONDS

About ten seconds of processor time, once, at a low priority, while the first `thale up` waits for work: some seconds
after it is ready, because the first plate comes then.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from thale.local import aot_cache
from thale.local.background_process import errand
from thale.local.commands import torchserve_environment
from thale.local.data_dir import Home
from thale.local.ports import HOST, choose_ports
from thale.local.runtime import Installed, find_installed

_START_LIMIT_S = 120.0
_ASK_EVERY_S = 0.2
_NICENESS = 10
_PATIENCE_S = 20.0
_ANY_FREE_PORT = 0


@contextmanager
def in_background(home: Home, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Make the cache where there is none, after some seconds. What is not ready when the context ends is given up."""
    if aot_cache.options(find_installed(), home):
        yield
        return
    with errand(sys.executable, "-m", "thale.local.aot_cache_build", str(home.folder), str(patience_s)):
        yield


def train(installed: Installed, home: Home) -> None:
    """Make the cache of a home."""
    ports = choose_ports(_ANY_FREE_PORT)
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "fresh.aot"
        with subprocess.Popen(  # noqa: S603 (the command is ours)
            [*installed.java_command(scratch, f"-XX:AOTCacheOutput={fresh}"), "-s", scratch],
            cwd=scratch,
            env={
                **torchserve_environment(home, ports, workers=1),
                **dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION"), scratch),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as java:
            try:
                _wait_for_an_answer(f"http://{HOST}:{ports.management}/models", java)
                java.terminate()
                java.wait()
            finally:
                java.kill()
        if fresh.exists():
            aot_cache.keep(fresh, installed, home)


def _wait_for_an_answer(url: str, java: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_LIMIT_S
    with urllib3.PoolManager(retries=False, timeout=_START_LIMIT_S) as pool:
        while time.monotonic() < until and java.poll() is None:
            try:
                pool.request("GET", url)
            except urllib3.exceptions.HTTPError:
                time.sleep(_ASK_EVERY_S)
            else:
                return


def main(folder: Path, patience_s: float) -> None:
    """Make the cache of the home in this folder, after some seconds. A signal ends it at once."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.nice(_NICENESS)
    time.sleep(patience_s)
    train(find_installed(), Home.at(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
