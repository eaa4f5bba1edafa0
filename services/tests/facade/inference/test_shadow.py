"""What waits for a shadow is bounded, by number and by bytes, and gives way to users."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support.sample_phenotypes import facts
from thale.facade.inference.shadow import Copy, Mirror
from thale.facade.postprocess.types import JSON, Measurement
from thale.facade.settings import Settings
from thale.facade.upstream.model_client import ModelClient, Question
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.routing import Choice
from thale.monitoring.plate_statistics import Observation

SHADOW = Choice("queue-seg", "1.1.0", "segmentation", "sha256:a", "sha256:w", ("background", "root"), role="shadow")
NOWHERE = "http://127.0.0.1:9"


def copy(image: bytes) -> Copy:
    answer = Answer(SHADOW, b"", 0.1, 5, 4)
    work = Measurement(facts(), "sha256:c", "1.0", "2026-11-21", None, JSON, True, b"", None, 0.0)
    return Copy(SHADOW, Question(image, 5, 4), answer, answer, work, Observation(1, "given", {}, {}, {}, None, False))


def counted(outcome: str) -> float:
    labels = {"model": SHADOW.name, "version": SHADOW.version, "outcome": outcome}
    return REGISTRY.get_sample_value("thale_shadow_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("limits", "calm", "dropped"),
    [
        ({"shadow_queue": 3}, True, 2),
        ({"shadow_queue_bytes": 250}, True, 3),
        ({}, False, 5),
        ({}, True, 0),
    ],
)
def test_copies_beyond_the_queue_or_under_load_are_dropped(
    limits: dict[str, int], calm: bool, dropped: int, tmp_path: Path
) -> None:
    async def offer_five() -> None:
        settings = Settings(record_path=tmp_path, **limits)
        async with ModelClient.connect(NOWHERE, NOWHERE) as models:
            await Mirror(models, settings, lambda: calm).offer([copy(bytes(100))] * 5)

    before = counted("dropped")
    asyncio.run(offer_five())
    assert counted("dropped") == before + dropped


def test_a_copy_that_was_taken_in_before_the_load_came_is_dropped_as_well(tmp_path: Path) -> None:
    calm = True

    async def offer_then_load() -> None:
        nonlocal calm
        settings = Settings(record_path=tmp_path, shadow_duty=1)
        async with ModelClient.connect(NOWHERE, NOWHERE) as models:
            mirror = Mirror(models, settings, lambda: calm)
            await mirror.offer([copy(b"")])
            calm = False
            async with mirror.running():
                while counted("dropped") == before:
                    await asyncio.sleep(0.01)

    before = counted("dropped")
    asyncio.run(offer_then_load())


def test_a_shadow_that_is_not_there_is_counted_and_what_waits_ends_with_the_server(tmp_path: Path) -> None:
    async def offer_and_leave() -> None:
        settings = Settings(record_path=tmp_path, shadow_duty=0.001)
        async with ModelClient.connect(NOWHERE, NOWHERE) as models:
            mirror = Mirror(models, settings, lambda: True)
            async with mirror.running():
                await mirror.offer([copy(b"")] * 3)
                while counted("unavailable") == before:
                    await asyncio.sleep(0.01)

    before = counted("unavailable")
    asyncio.run(offer_and_leave())
    assert counted("unavailable") == before + 1
