"""Probe of the request path: which failures make the facade not ready."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.sample_releases import make_release
from thale.errors import DamagedImageError, DeadlineExceededError, ModelFailedError, ThaleError
from thale.facade.postprocess.worker_pool import WorkerTaskError
from thale.facade.status import request_path_probe
from thale.facade.status.request_path_probe import ProbeIntervals, RequestPathProbe
from thale.facade.upstream.routing import Route


@dataclass
class FakePool:
    error: Exception | None = None
    last_completed_at: float = 0.0
    completes_other_tasks: bool = False

    async def run(self, *_arguments: object) -> None:
        if self.completes_other_tasks:
            self.last_completed_at = time.monotonic()
        if self.error:
            raise self.error


@dataclass
class FakeModels:
    errors: list[ThaleError | None] = field(default_factory=list)
    calls: int = 0

    async def predict(self, *_arguments: object, **_options: object) -> None:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error


def create_probe(
    models: FakeModels | None = None, pool: Any = None, last_response_at: Callable[[str, str], float] | None = None
) -> RequestPathProbe:
    probe = RequestPathProbe(
        models or FakeModels(), pool or FakePool(), FakePool(), last_response_at or (lambda *_: 0.0),
        ProbeIntervals(0.0, 0.0, 0.0),
    )  # fmt: skip
    stable = make_release()
    probe.stable_routes = [Route.from_manifest(stable.versions[stable.stable])]
    return probe


def failures_after(probe: RequestPathProbe, rounds: int) -> list[list[str]]:
    async def run() -> list[list[str]]:
        results = []
        for _ in range(rounds):
            await probe.probe()
            results.append(probe.failures())
        return results

    return asyncio.run(run())


def test_path_is_not_ready_before_its_first_probe() -> None:
    probe = create_probe()
    assert probe.failures() == ["the request path has not been probed yet"]
    assert failures_after(probe, 1) == [[]]


def test_stuck_pool_is_a_failure_until_it_responds() -> None:
    pool = FakePool(DeadlineExceededError("no response"))
    probe = create_probe(pool=pool)
    assert failures_after(probe, 1) == [["the image header reader does not respond within 5 s"]]
    pool.error = None
    assert failures_after(probe, 1) == [[]]


def test_busy_pool_is_no_failure() -> None:
    pool = FakePool(DeadlineExceededError("no response"), completes_other_tasks=True)
    assert failures_after(create_probe(pool=pool), 2) == [[], []]


def test_second_model_failure_in_a_row_counts() -> None:
    failure = ModelFailedError("status 500")
    models = FakeModels([None, failure, None, failure, failure, None])
    reason = "plate-seg 1.0.0 fails on the probe: status 500"
    assert failures_after(create_probe(models), 6) == [[], [], [], [], [reason], []]


def test_first_model_failure_counts_at_the_start() -> None:
    models = FakeModels([ModelFailedError("status 500"), None])
    reason = "plate-seg 1.0.0 fails on the probe: status 500"
    assert failures_after(create_probe(models), 2) == [[reason], []]


def test_pool_that_fails_on_each_task_is_a_failure() -> None:
    pool = FakePool(WorkerTaskError("ImportError: no module"))
    assert failures_after(create_probe(pool=pool), 1) == [["the image header reader fails; the log has the reason"]]


def test_model_that_rejects_the_image_responds() -> None:
    models = FakeModels([DamagedImageError("no plate")] * 3)
    assert failures_after(create_probe(models), 3) == [[], [], []]


def test_recent_response_replaces_a_model_probe() -> None:
    models = FakeModels()
    probe = create_probe(models, last_response_at=lambda *_: time.monotonic())
    probe.intervals = ProbeIntervals(0.0, 15.0, 0.0)
    failures_after(probe, 2)
    assert models.calls == 0


def test_model_is_probed_once_per_interval() -> None:
    models = FakeModels()
    probe = create_probe(models)
    probe.intervals = ProbeIntervals(0.0, 600.0, 0.0)
    failures_after(probe, 3)
    assert models.calls == 1


def test_failure_of_a_removed_version_does_not_count() -> None:
    probe = create_probe(FakeModels([ModelFailedError("status 500")] * 2))
    assert failures_after(probe, 2)[1]
    probe.stable_routes = []
    assert failures_after(probe, 1) == [[]]


def test_restart_helps_only_after_long_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = create_probe(pool=FakePool(DeadlineExceededError("no response")))
    failures_after(probe, 2)
    assert probe.is_recoverable()
    monkeypatch.setattr(request_path_probe, "UNRECOVERABLE_S", 0.0)
    assert not probe.is_recoverable()
