"""Tests of the choice of workers and threads."""

from collections.abc import Mapping

import pytest

from thale.host.cores import AvailableCores
from thale.local.worker_plan import WorkerPlan, plan_workers

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory_gib", "workers", "environment", "expected"),
    [
        (1, 8, None, {}, (1, 1, 2)),
        (2, 8, None, {}, (1, 2, 2)),
        (4, 16, None, {}, (1, 4, 4)),
        (6, 16, None, {}, (1, 4, 6)),
        (8, 32, None, {}, (2, 4, 8)),
        (16, 64, None, {}, (4, 4, 16)),
        (64, 4, None, {}, (2, 4, 64)),
        (8, 32, 1, {}, (1, 4, 8)),
        (8, 32, 4, {}, (4, 2, 8)),
        (2, 8, 4, {}, (4, 1, 4)),
        (8, 32, None, {"THALE_WORKER_THREADS": "1"}, (8, 1, 8)),
        (8, 32, 2, {"THALE_WORKER_THREADS": "1", "THALE_MAX_IN_FLIGHT": "3"}, (2, 1, 3)),
        (8, 32, None, {"THALE_WORKER_THREADS": "0", "THALE_MAX_IN_FLIGHT": "many"}, (2, 4, 8)),
    ],
)
def test_plan_workers_by_cores_and_memory(
    cores: int,
    memory_gib: int,
    workers: int | None,
    environment: Mapping[str, str],
    expected: tuple[int, int, int],
) -> None:
    plan = plan_workers(workers, AvailableCores(cores, "cores"), memory_gib * GIB, environment)
    assert (plan.workers, plan.threads, plan.max_in_flight) == expected


def test_plan_workers_states_its_reason() -> None:
    limited = AvailableCores(2, "CPU limit of 1.5 of 16 cores")
    assert plan_workers(None, limited, 8 * GIB, {}).reason == "CPU limit of 1.5 of 16 cores"
    given = plan_workers(3, limited, 8 * GIB, {"THALE_WORKER_THREADS": "1"})
    assert given == WorkerPlan(3, 1, 3, "CPU limit of 1.5 of 16 cores, --workers, THALE_WORKER_THREADS")
