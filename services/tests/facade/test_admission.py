"""Tests of admission control by queue length and by expected wait, with Retry-After."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from thale.errors import OverloadedError
from thale.facade import admission
from thale.facade.admission import AdmissionController
from thale.facade.deadline import Deadline
from thale.facade.settings import FacadeSettings


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake_clock = Clock()
    monkeypatch.setattr(admission, "time", fake_clock)
    return fake_clock


def make_admission(**limits: float) -> AdmissionController:
    return AdmissionController(
        FacadeSettings(
            release_state_path=Path("release-state.json"), **{"max_in_flight": 4, "max_queue_length": 32, **limits}
        )
    )


async def hold_slot(admission: AdmissionController, clock: Clock, seconds: float) -> None:
    async with admission.admit(), admission.slot(Deadline.after(60)):
        clock.now += seconds


async def admit_requests(admission: AdmissionController, count: int) -> list["asyncio.Task[None]"]:
    """Admit `count` requests that do not end."""

    async def hold() -> None:
        async with admission.admit():
            await asyncio.sleep(3600)

    tasks = [asyncio.ensure_future(hold()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def run_scenario(scenario: Coroutine[None, None, None]) -> None:
    async def run() -> None:
        await scenario
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(run())


def test_admission_uses_queue_length_before_the_first_image(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission()
        await admit_requests(admission, 36)
        with pytest.raises(OverloadedError, match="36 requests"):
            await hold_slot(admission, clock, 1)

    run_scenario(scenario())


def test_admission_rejects_when_expected_wait_is_too_long(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 8.0)  # four slots of 8 s each: one is free every 2 s
        await admit_requests(admission, 13)
        assert admission.expected_wait_s() == pytest.approx(20.0)
        await admit_requests(admission, 1)
        with pytest.raises(OverloadedError) as rejection:
            await hold_slot(admission, clock, 1)
        assert rejection.value.retry_after_s == 11

    run_scenario(scenario())


def test_admission_fills_the_queue_with_fast_images(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 0.5)
        await admit_requests(admission, 36)
        with pytest.raises(OverloadedError) as rejection:
            await hold_slot(admission, clock, 1)
        assert rejection.value.retry_after_s == 3

    run_scenario(scenario())


def test_admission_accepts_when_a_slot_is_free(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 10_000.0)
        await admit_requests(admission, 3)
        assert admission.expected_wait_s() == 0
        await hold_slot(admission, clock, 1)

    run_scenario(scenario())


def test_wait_estimate_follows_recent_images(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 60.0)
        for _ in range(30):
            await hold_slot(admission, clock, 1.0)
        await admit_requests(admission, 30)
        assert admission.expected_wait_s() < 10

    run_scenario(scenario())
