"""Tests of the shadow mirror: its queue is bounded by count and bytes, and yields to client requests."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support.sample_phenotypes import image_metadata
from thale.facade.inference.shadow import ShadowMirror, ShadowRequest
from thale.facade.postprocess.types import JSON, PhenotypeTask
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import PlateStatistics

SHADOW = Route("queue-seg", "1.1.0", "segmentation", "sha256:a", "sha256:w", ("background", "root"), role="shadow")
UNREACHABLE_URL = "http://127.0.0.1:9"


def make_shadow_request(image: bytes) -> ShadowRequest:
    response = ModelResponse(SHADOW, b"", 0.1, 5, 4)
    task = PhenotypeTask(image_metadata(), "sha256:c", "1.0", "2026-11-21", None, JSON, True, b"", None, 0.0)
    return ShadowRequest(
        SHADOW,
        PredictRequest(image, 5, 4),
        response,
        response,
        task,
        PlateStatistics(1, "given", {}, {}, {}, None, False),
    )


def make_mirror(models: ModelClient, settings: FacadeSettings, has_spare_capacity: Callable[[], bool]) -> ShadowMirror:
    # No process starts: these tests end before a comparison.
    return ShadowMirror(models, WorkerPool(1, 2**30), None, settings, has_spare_capacity)


def metric_value(outcome: str) -> float:
    labels = {"model": SHADOW.name, "version": SHADOW.version, "outcome": outcome}
    return REGISTRY.get_sample_value("thale_shadow_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("limits", "has_spare_capacity", "expected_drops"),
    [
        ({"shadow_queue": 3}, True, 2),
        ({"shadow_queue_bytes": 250}, True, 3),
        ({}, False, 5),
        ({}, True, 0),
    ],
)
def test_mirror_drops_requests_beyond_queue_or_under_load(
    limits: dict[str, int], has_spare_capacity: bool, expected_drops: int, tmp_path: Path
) -> None:
    async def enqueue_five() -> None:
        settings = FacadeSettings(release_state_path=tmp_path, **limits)
        async with ModelClient.connect(UNREACHABLE_URL, UNREACHABLE_URL) as models:
            mirror = make_mirror(models, settings, lambda: has_spare_capacity)
            await mirror.enqueue([make_shadow_request(bytes(100))] * 5)

    before = metric_value("dropped")
    asyncio.run(enqueue_five())
    assert metric_value("dropped") == before + expected_drops


def test_mirror_serves_two_shadows_in_turn_when_queue_is_full(tmp_path: Path) -> None:
    async def enqueue_pairs() -> list[str]:
        settings = FacadeSettings(release_state_path=tmp_path, shadow_queue=1)
        segmentation = make_shadow_request(b"")
        landmarks = replace(segmentation, shadow=replace(SHADOW, name="queue-landmarks", task="landmarks"))
        async with ModelClient.connect(UNREACHABLE_URL, UNREACHABLE_URL) as models:
            mirror = make_mirror(models, settings, lambda: True)
            names = []
            for _ in range(4):
                await mirror.enqueue([segmentation, landmarks])
                names.append(mirror._queue.get_nowait().shadow.name)
            return names

    assert asyncio.run(enqueue_pairs()) == ["queue-seg", "queue-landmarks"] * 2


def test_mirror_drops_queued_requests_when_load_rises(tmp_path: Path) -> None:
    has_spare_capacity = True

    async def enqueue_then_load() -> None:
        nonlocal has_spare_capacity
        settings = FacadeSettings(release_state_path=tmp_path, shadow_duty_cycle=1)
        async with ModelClient.connect(UNREACHABLE_URL, UNREACHABLE_URL) as models:
            mirror = make_mirror(models, settings, lambda: has_spare_capacity)
            await mirror.enqueue([make_shadow_request(b"")])
            has_spare_capacity = False
            async with mirror.running():
                while metric_value("dropped") == before:
                    await asyncio.sleep(0.01)

    before = metric_value("dropped")
    asyncio.run(enqueue_then_load())


def test_mirror_counts_unavailable_shadow_and_drops_at_end(tmp_path: Path) -> None:
    async def enqueue_and_stop() -> None:
        settings = FacadeSettings(release_state_path=tmp_path, shadow_duty_cycle=0.001)
        async with ModelClient.connect(UNREACHABLE_URL, UNREACHABLE_URL) as models:
            mirror = make_mirror(models, settings, lambda: True)
            async with mirror.running():
                await mirror.enqueue([make_shadow_request(b"")] * 3)
                while metric_value("unavailable") == before:
                    await asyncio.sleep(0.01)

    before = metric_value("unavailable")
    asyncio.run(enqueue_and_stop())
    assert metric_value("unavailable") == before + 1
