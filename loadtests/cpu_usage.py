"""Who spends the processor's time and the memory: a running platform's processes, by their part in an answer."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from thale.capacity.benchmark import PARTS, Part
from thale.local.ports import Addresses

_MODELS: Mapping[str, Part] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}


@dataclass(frozen=True)
class Spent:
    """Processor seconds, user and system, since the processes began; and when that was read."""

    parts: dict[Part, float]
    everybody: float
    """Of the whole machine."""
    at_s: float

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent in between."""
        parts = {part: self.parts[part] - before.parts[part] for part in PARTS}
        return Spent(parts, self.everybody - before.everybody, self.at_s - before.at_s)


class Parts:
    """The processes below one process, told apart once. Nothing else may start or end while this looks."""

    def __init__(self, pid: int, addresses: Addresses) -> None:
        workers = {pid: part for name, part in _MODELS.items() for pid in _workers(addresses.management_url, name)}
        self._processes: list[tuple[psutil.Process, Part]] = []
        for process in psutil.Process(pid).children(recursive=True):
            part = workers.get(process.pid) or ("torchserve" if process.name() == "java" else "facade")
            self._processes.append((process, part))

    def spent(self) -> Spent:
        """Return the processor seconds until now."""
        parts = dict.fromkeys(PARTS, 0.0)
        for process, part in self._alive():
            times = process.cpu_times()
            parts[part] += times.user + times.system
        times = psutil.cpu_times()
        everybody = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        return Spent(parts, everybody, time.monotonic())

    def memory_mib(self) -> dict[Part, float]:
        """Return the memory that each part holds, shared pages counted once among all who share them (PSS)."""
        held = dict.fromkeys(PARTS, 0.0)
        for process, part in self._alive():
            held[part] += process.memory_full_info().pss / 2**20
        return held

    def _alive(self) -> Iterator[tuple[psutil.Process, Part]]:
        return ((process, part) for process, part in self._processes if process.is_running())


def _workers(management_url: str, model: str) -> list[int]:
    with urllib.request.urlopen(f"{management_url}/models/{model}", timeout=10) as answer:  # noqa: S310 (loopback)
        return [worker["pid"] for version in json.load(answer) for worker in version["workers"]]
