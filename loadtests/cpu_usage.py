"""CPU time and memory of a running platform, by component."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from thale.capacity.benchmark import COMPONENTS, Component
from thale.models.model_server_pool import open_pool

_COMPONENT_BY_MODEL: Mapping[str, Component] = {"plate-seg": "segmentation", "plate-landmarks": "landmarks"}


@dataclass(frozen=True)
class CpuUsage:
    """CPU seconds (user and system) since the start of the processes, or since an earlier measurement."""

    by_component: dict[Component, float]
    machine_s: float
    """CPU seconds of the whole machine."""
    measured_at_s: float
    """Monotonic time of the measurement, or the time since the earlier one."""

    def since(self, before: "CpuUsage") -> "CpuUsage":
        """Return the difference to an earlier measurement."""
        by_component = {
            component: self.by_component[component] - before.by_component[component] for component in COMPONENTS
        }
        return CpuUsage(by_component, self.machine_s - before.machine_s, self.measured_at_s - before.measured_at_s)


class ProcessTree:
    """Child processes of a process, assigned to components once. The set of processes must not change later."""

    def __init__(self, pid: int, management_url: str) -> None:
        workers = {
            pid: component
            for name, component in _COMPONENT_BY_MODEL.items()
            for pid in _worker_pids(management_url, name)
        }
        self._processes: list[tuple[psutil.Process, Component]] = []
        for process in psutil.Process(pid).children(recursive=True):
            component = workers.get(process.pid) or ("torchserve" if process.name() == "java" else "facade")
            self._processes.append((process, component))

    def cpu_usage(self) -> CpuUsage:
        """Return the current CPU seconds."""
        by_component = dict.fromkeys(COMPONENTS, 0.0)
        for process, component in self._running_processes():
            times = process.cpu_times()
            by_component[component] += times.user + times.system
        times = psutil.cpu_times()
        machine_s = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        return CpuUsage(by_component, machine_s, time.monotonic())

    def memory_mib(self) -> dict[Component, float]:
        """Return the memory of each component, with shared pages divided among their processes (PSS)."""
        by_component = dict.fromkeys(COMPONENTS, 0.0)
        for process, component in self._running_processes():
            by_component[component] += process.memory_full_info().pss / 2**20
        return by_component

    def _running_processes(self) -> Iterator[tuple[psutil.Process, Component]]:
        return ((process, component) for process, component in self._processes if process.is_running())


def _worker_pids(management_url: str, model: str) -> list[int]:
    with open_pool(management_url) as pool:
        description = json.loads(pool.request("GET", f"/models/{model}", timeout=10).data)
    return [worker["pid"] for version in description for worker in version["workers"]]
