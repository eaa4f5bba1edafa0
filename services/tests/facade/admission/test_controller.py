"""Tests of admission control by queue length and by expected wait, with Retry-After."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from thale.errors import OverloadedError
from thale.facade.admission import controller
from thale.facade.admission.controller import AdmissionController
from thale.facade.admission.cost import Cost
from thale.facade.deadline import Deadline
from thale.facade.settings import FacadeSettings

ONE_SECOND = Cost(1.0)


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake_clock = Clock()
    monkeypatch.setattr(controller, "time", fake_clock)
    return fake_clock


def make_admission(**limits: float) -> AdmissionController:
    return AdmissionController(
        FacadeSettings(
            release_state_path=Path("release-state.json"), **{"max_in_flight": 4, "max_queue_length": 32, **limits}
        )
    )


async def hold_slot(admission: AdmissionController, clock: Clock, seconds: float, cost: Cost = ONE_SECOND) -> None:
    async with admission.slot(cost, Deadline.after(60)):
        clock.now += seconds


async def admit_images(admission: AdmissionController, count: int, cost: Cost = ONE_SECOND) -> None:
    """Admit `count` images that do not end."""

    async def hold() -> None:
        async with admission.slot(cost, Deadline.after(3600)):
            await asyncio.sleep(3600)

    tasks = [asyncio.ensure_future(hold()) for _ in range(count)]
    await asyncio.sleep(0.01)
    failed = [task for task in tasks if task.done()]
    if failed:
        failed[0].result()


def run_scenario(scenario: Coroutine[None, None, None]) -> None:
    async def run() -> None:
        await scenario
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(run())


def test_admission_limits_the_queue_length(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=1000)
        await admit_images(admission, 36)
        with pytest.raises(OverloadedError, match="36 requests"):
            await hold_slot(admission, clock, 1)

    run_scenario(scenario())


def test_admission_rejects_when_expected_wait_is_too_long(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 8.0)  # four slots of 8 s each: one is free every 2 s
        await admit_images(admission, 13)
        assert admission.expected_wait_s() == pytest.approx(20.0)
        await admit_images(admission, 1)
        with pytest.raises(OverloadedError) as rejection:
            admission.check_capacity()
        assert rejection.value.retry_after_s == 11

    run_scenario(scenario())


def test_expected_wait_counts_the_cost_of_the_queue(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await admit_images(admission, 4)
        assert admission.expected_wait_s() == pytest.approx(0.25)  # four running images of 1 s, one free every 0.25 s
        await admit_images(admission, 1, Cost(4.0))
        assert admission.expected_wait_s() == pytest.approx(1.25)

    run_scenario(scenario())


def test_large_image_holds_several_slots(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=1000)
        await admit_images(admission, 1, Cost(18.0))
        assert not admission.has_spare_capacity()
        await admit_images(admission, 1)
        assert admission.expected_wait_s() > 0

    run_scenario(scenario())


def test_image_of_several_plates_keeps_the_wait_of_others(clock: Clock) -> None:
    async def process(plates: int, seconds: float) -> float:
        admission = make_admission(max_in_flight=1)
        async with admission.slot(ONE_SECOND, Deadline.after(60)) as image:
            image.report_plates(plates)
            clock.now += seconds
        await admit_images(admission, 3)
        return admission.expected_wait_s()

    assert asyncio.run(process(6, 12.0)) == pytest.approx(asyncio.run(process(1, 2.0)))


def test_running_image_counts_with_all_its_plates(clock: Clock) -> None:
    async def expected_wait_s(plates: int) -> float:
        admission = make_admission(max_in_flight=1)
        async with admission.slot(ONE_SECOND, Deadline.after(60)) as image:
            image.report_plates(plates)
            return admission.expected_wait_s()

    assert asyncio.run(expected_wait_s(6)) == pytest.approx(6 * asyncio.run(expected_wait_s(1)))


def test_admission_accepts_when_a_slot_is_free(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 59.0)
        await admit_images(admission, 3)
        assert admission.expected_wait_s() == 0
        await hold_slot(admission, clock, 1)

    run_scenario(scenario())


def test_wait_estimate_follows_recent_images(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        await hold_slot(admission, clock, 50.0)
        for _ in range(30):
            await hold_slot(admission, clock, 1.0)
        await admit_images(admission, 30)
        assert admission.expected_wait_s() < 10

    run_scenario(scenario())


def test_wait_estimate_falls_while_nothing_is_measured(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_wait_s=20)
        for _ in range(10):
            await hold_slot(admission, clock, 9.0)
        await admit_images(admission, 15)
        assert admission.expected_wait_s() > 20
        clock.now += 600
        admission.check_capacity()

    run_scenario(scenario())


def test_batch_counts_every_image(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_queue_length=12, max_queue_wait_s=1000)
        with admission.admit([ONE_SECOND] * 16), pytest.raises(OverloadedError, match="16 requests"):
            await hold_slot(admission, clock, 1)
        await hold_slot(admission, clock, 1)

    run_scenario(scenario())


def test_idle_facade_accepts_a_batch_above_the_queue(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_in_flight=1, max_queue_length=0)
        with admission.admit([ONE_SECOND] * 16) as images:
            assert len(images) == 16

    run_scenario(scenario())


def test_cancelled_image_leaves_the_queue(clock: Clock) -> None:
    async def scenario() -> None:
        admission = make_admission(max_in_flight=1)
        await admit_images(admission, 1)
        queued = asyncio.ensure_future(hold_slot(admission, clock, 1))
        await asyncio.sleep(0)
        before = admission.expected_wait_s()
        queued.cancel()
        await asyncio.gather(queued, return_exceptions=True)
        assert admission.expected_wait_s() < before

    run_scenario(scenario())
