"""Workers and threads of the local platform, chosen at its start (docs/adr/0140-workers-from-cores.md)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from thale.host.cores import AvailableCores, available_cores

THREADS_VARIABLE = "THALE_WORKER_THREADS"
IN_FLIGHT_VARIABLE = "THALE_MAX_IN_FLIGHT"
MAX_THREADS = 4
"""Threads of a worker. The part of a prediction outside the network has one thread, so that more threads gain less than
another worker."""
WORKER_BYTES = 2**30
"""Memory of a worker under load, with a margin: 0.5 GiB measured."""
_MODELS = 2
_MIN_IN_FLIGHT = 2
"""One image is post-processed during the inference of the next."""


@dataclass(frozen=True)
class WorkerPlan:
    """Workers per model, threads per worker, and the facade's concurrency limit, with the reason."""

    workers: int
    threads: int
    max_in_flight: int
    reason: str


def plan_workers(
    workers: int | None = None,
    cores: AvailableCores | None = None,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> WorkerPlan:
    """Return the plan for this machine.

    One worker per model uses up to four cores, because a single client then gets the fastest response. Each further
    four cores get another worker. The two models of a request share the cores: the landmarks need half of the time.
    The concurrency limit of the facade is the number of cores, and at least that of the workers.

    Args:
        workers: Workers per model of the operator. None chooses them.
        cores: The cores. None detects them.
        memory_bytes: Memory of the machine, which limits the number of workers. None detects it.
        environment: THALE_WORKER_THREADS and THALE_MAX_IN_FLIGHT of the operator take precedence.
    """
    cores = cores or available_cores()
    threads, max_in_flight = (_positive(environment.get(name, "")) for name in (THREADS_VARIABLE, IN_FLIGHT_VARIABLE))
    given_values = {"--workers": workers, THREADS_VARIABLE: threads, IN_FLIGHT_VARIABLE: max_in_flight}
    memory_bytes = memory_bytes or _physical_memory_bytes()
    most = max(1, memory_bytes // (_MODELS * WORKER_BYTES))
    chosen = workers or max(1, min(most, cores.count // (threads or MAX_THREADS)))
    threads = threads or min(MAX_THREADS, max(1, cores.count // chosen))
    return WorkerPlan(
        workers=chosen,
        threads=threads,
        max_in_flight=max_in_flight or max(_MIN_IN_FLIGHT, chosen, cores.count),
        reason=", ".join([cores.reason, *(name for name, value in given_values.items() if value)]),
    )


def plan_processes(
    processes: int | None = None,
    cores: AvailableCores | None = None,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> WorkerPlan:
    """Return the plan of the batch engine: a process with both models and one thread for each core.

    No client waits for a single image of a job, so that the threads of one image gain nothing.

    Args:
        processes: Processes of the operator. None chooses them.
        cores: The cores. None detects them.
        memory_bytes: Memory of the machine, which limits the number of processes. None detects it.
        environment: THALE_WORKER_THREADS of the operator takes precedence.
    """
    cores = cores or available_cores()
    threads = _positive(environment.get(THREADS_VARIABLE, ""))
    memory_bytes = memory_bytes or _physical_memory_bytes()
    most = max(1, memory_bytes // (_MODELS * WORKER_BYTES))
    chosen = processes or max(1, min(most, cores.count // (threads or 1)))
    given = {"--workers": processes, THREADS_VARIABLE: threads}
    reason = ", ".join([cores.reason, *(name for name, value in given.items() if value)])
    return WorkerPlan(
        workers=chosen, threads=threads or max(1, cores.count // chosen), max_in_flight=chosen, reason=reason
    )


def _physical_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _positive(text: str) -> int:
    """Return the number of a setting. 0 if it is not set, or not a positive number, which its owner rejects."""
    return int(text) if text.isascii() and text.isdecimal() else 0
