"""Recording of the ahead-of-time cache: start TorchServe without models, stop it, and store Java's recording.

    python -m thale.local.aot_cache_build DATA_DIRECTORY SECONDS

The recording takes about 10 s of CPU time, once, at low priority. The first `thale up` starts it some seconds after the
models are ready, so that it does not delay the first plate.
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

from thale.host.interpreter import python_command
from thale.local import aot_cache
from thale.local.background_process import run_in_background
from thale.local.commands import torchserve_environment
from thale.local.data_dir import DataDir
from thale.local.runtime import ModelRuntime, find_runtime
from thale.local.sockets import create_sockets
from thale.local.worker_plan import plan_workers
from thale.models.model_server_pool import open_pool

_START_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.2
_NICENESS = 10
_DELAY_S = 20.0


@contextmanager
def record_aot_cache_in_background(data_dir: DataDir, delay_s: float = _DELAY_S) -> Iterator[None]:
    """Record a missing cache after a delay. An unfinished recording is cancelled when the context ends."""
    if aot_cache.options(find_runtime(), data_dir):
        yield
        return
    command = python_command("-m", "thale.local.aot_cache_build", str(data_dir.path), str(delay_s))
    with run_in_background(*command):
        yield


def record_aot_cache(runtime: ModelRuntime, data_dir: DataDir) -> None:
    """Record the cache of a data directory. If Java writes no cache, nothing is stored."""
    with tempfile.TemporaryDirectory() as temp_dir, create_sockets(Path(temp_dir)) as sockets:
        new_cache = Path(temp_dir) / "fresh.aot"
        with subprocess.Popen(  # noqa: S603 (the command is ours)
            [*runtime.java_command(temp_dir, f"-XX:AOTCacheOutput={new_cache}"), "-s", temp_dir],
            cwd=temp_dir,
            env={
                **torchserve_environment(data_dir, sockets, plan_workers(1)),
                **dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION"), temp_dir),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as java:
            try:
                _wait_for_response(sockets.management, java)
                java.terminate()
                java.wait()
            finally:
                java.kill()
        if new_cache.exists():
            aot_cache.store_aot_cache(new_cache, runtime, data_dir)


def _wait_for_response(management: str, java: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    with open_pool(management) as pool:
        while time.monotonic() < deadline and java.poll() is None:
            try:
                pool.request("GET", "/models", timeout=_START_TIMEOUT_S)
            except urllib3.exceptions.HTTPError:
                time.sleep(_POLL_INTERVAL_S)
            else:
                return


def main(data_path: Path, delay_s: float) -> None:
    """Record the cache of a data directory after a delay. SIGTERM and SIGINT cancel the recording."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.nice(_NICENESS)
    time.sleep(delay_s)
    record_aot_cache(find_runtime(), DataDir.resolve(data_path))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
