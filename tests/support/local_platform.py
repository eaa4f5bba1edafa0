"""A `thale up` process for tests, with its own data directory, ports and tiny models, and checks of its processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import start_caches
from thale.local.data_dir import DataDir
from thale.schemas import Task

MODELS: dict[str, Task] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}
TIMEOUT_S = 240


def write_weights(folder: Path) -> Path:
    """Write tiny random models as `MODEL/VERSION` folders."""
    from tests.support.tiny_models import write_tiny_model  # torch takes seconds, also in runs without a platform

    for seed, (name, task) in enumerate(MODELS.items()):
        model_dir = folder / name / "1.0.0"
        model = write_tiny_model(model_dir, task, seed, name=name)
        (model_dir / "card.json").write_text(model.card.model_dump_json(indent=2))
    return folder


def start_thale(*arguments: str | Path, home: Path, weights: Path) -> "subprocess.Popen[str]":
    """Start a `thale` command with its output in a pipe."""
    # One worker per model on any machine: a platform of `analyze` has one if a worker may use all cores.
    threads = "1" if arguments[0] == "up" else str(os.cpu_count())
    workers = ("--workers", "1") if arguments[0] == "up" else ()
    environment = {
        **os.environ,
        "THALE_HOME": str(home),
        "THALE_WEIGHTS": str(weights),
        "THALE_WORKER_THREADS": threads,
    }
    command = [sys.executable, "-m", "thale", *map(str, arguments), *workers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def list_descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def list_workers(pid: int) -> list[psutil.Process]:
    """Return the model workers among the descendants of a process."""
    workers = []
    for process in list_descendants(pid):
        try:
            if any(argument.endswith("model_service_worker.py") for argument in process.cmdline()):
                workers.append(process)
        except psutil.NoSuchProcess:
            continue
    return workers


def is_running(process: psutil.Process) -> bool:
    """Return True if a process runs. A zombie does not count: not every container reaps its processes."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(description: str, condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timeout after {timeout_s} s: {description}"
        time.sleep(0.02)


def wait_until_all_exited(processes: list[psutil.Process]) -> bool:
    """Wait until no process runs."""
    wait_for(f"exit of {processes}", lambda: not any(is_running(process) for process in processes))
    return True


@dataclass(frozen=True)
class PlatformProcess:
    """A running `thale up`."""

    process: "subprocess.Popen[str]"
    home: Path
    weights: Path
    url: str

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a `thale` command with the data directory of this platform."""
        command = start_thale(*arguments, home=self.home, weights=self.weights)
        out, _ = command.communicate(timeout=TIMEOUT_S)
        return subprocess.CompletedProcess(command.args, command.returncode, out)


@contextmanager
def run_platform(home: Path, weights: Path, *, warm: bool = True) -> Iterator[PlatformProcess]:
    """Run `thale up` until the context ends, with the caches of earlier starts unless `warm` is false."""
    if warm:
        start_caches.warm(home, weights)
    process = start_thale("up", home=home, weights=weights)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "serving until" in line:
                break
        else:
            raise AssertionError("".join(lines))
        running = DataDir(home).find_running_platform()
        assert running is not None
        if warm:
            start_caches.store(home, weights)
        yield PlatformProcess(process, home, weights, running.url)
    finally:
        processes = list_descendants(process.pid) if process.poll() is None else []
        process.terminate()
        process.wait(TIMEOUT_S)
        assert wait_until_all_exited(processes)
