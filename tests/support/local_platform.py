"""A real `thale up` for tests: own home, own ports, tiny models, and a look at what it leaves behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.tiny_models import tiny_model
from thale.local.data_dir import Home
from thale.schemas import Task

MODELS: dict[str, Task] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}
PATIENCE_S = 240


def write_weights(folder: Path) -> Path:
    """Write tiny random models as `MODEL/VERSION` folders."""
    for seed, (name, task) in enumerate(MODELS.items()):
        place = folder / name / "1.0.0"
        model = tiny_model(place, task, seed, name=name)
        (place / "card.json").write_text(model.card.model_dump_json(indent=2))
    return folder


def thale(*words: str | Path, home: Path, weights: Path) -> "subprocess.Popen[str]":
    """Start a command of `thale` with its output as pipes."""
    environment = {**os.environ, "THALE_HOME": str(home), "THALE_WEIGHTS": str(weights), "THALE_WORKER_THREADS": "1"}
    command = [sys.executable, "-m", "thale", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def workers(pid: int) -> list[psutil.Process]:
    """Return the model workers among a process's descendants."""
    found = []
    for process in descendants(pid):
        try:
            if any(word.endswith("model_service_worker.py") for word in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def runs(process: psutil.Process) -> bool:
    """Whether it still does anything. Where the first process of a container reaps nobody, the dead stay zombies."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(what: str, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"waited {within_s} s in vain: {what}"
        time.sleep(0.02)


def all_gone(processes: list[psutil.Process]) -> bool:
    """Wait until none of them runs."""
    wait_for(f"the end of {processes}", lambda: not any(runs(process) for process in processes))
    return True


@dataclass(frozen=True)
class Platform:
    """A running `thale up`."""

    process: "subprocess.Popen[str]"
    home: Path
    weights: Path
    url: str

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a command of `thale` that finds this platform by its home."""
        command = thale(*words, home=self.home, weights=self.weights)
        out, _ = command.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(command.args, command.returncode, out)


@contextmanager
def running_platform(home: Path, weights: Path) -> Iterator[Platform]:
    """Run `thale up` until the context ends."""
    process = thale("up", home=home, weights=weights)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "serving until" in line:
                break
        else:
            raise AssertionError("".join(lines))
        running = Home(home).running()
        assert running is not None
        yield Platform(process, home, weights, running.url)
    finally:
        family = descendants(process.pid) if process.poll() is None else []
        process.terminate()
        process.wait(PATIENCE_S)
        assert all_gone(family)
