"""Room is made by time as well as by number: what is let in can be answered, and refusals say when to come back."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from thale.errors import BusyError
from thale.facade import admission
from thale.facade.admission import Places
from thale.facade.deadline import Deadline
from thale.facade.settings import Settings


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(admission, "time", made)
    return made


def make(**limits: float) -> Places:
    return Places(Settings(record_path=Path("record.json"), **{"max_in_flight": 4, "max_waiting": 32, **limits}))


async def work(room: Places, clock: Clock, seconds: float) -> None:
    async with room.admit(), room.at_work(Deadline.after(60)):
        clock.now += seconds


async def fill(room: Places, count: int) -> list["asyncio.Task[None]"]:
    """Let so many in, who stay."""

    async def stay() -> None:
        async with room.admit():
            await asyncio.sleep(3600)

    tasks = [asyncio.ensure_future(stay()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def play(story: Coroutine[None, None, None]) -> None:
    async def told() -> None:
        await story
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(told())


def test_before_the_first_image_only_the_number_counts(clock: Clock) -> None:
    async def story() -> None:
        room = make()
        await fill(room, 36)
        with pytest.raises(BusyError, match="36 requests"):
            await work(room, clock, 1)

    play(story())


def test_who_would_wait_too_long_at_the_present_pace_is_refused(clock: Clock) -> None:
    async def story() -> None:
        room = make(max_wait_s=20)
        await work(room, clock, 8.0)  # four places, 8 s each: one gets free every 2 s
        await fill(room, 13)
        assert room.expected_wait_s() == pytest.approx(20.0)
        await fill(room, 1)
        with pytest.raises(BusyError) as refused:
            await work(room, clock, 1)
        assert refused.value.retry_after_s == 11

    play(story())


def test_quick_images_may_fill_all_places(clock: Clock) -> None:
    async def story() -> None:
        room = make(max_wait_s=20)
        await work(room, clock, 0.5)
        await fill(room, 36)
        with pytest.raises(BusyError) as refused:
            await work(room, clock, 1)
        assert refused.value.retry_after_s == 3

    play(story())


def test_nobody_waits_where_a_place_is_free_however_slow_the_last_image_was(clock: Clock) -> None:
    async def story() -> None:
        room = make(max_wait_s=20)
        await work(room, clock, 10_000.0)
        await fill(room, 3)
        assert room.expected_wait_s() == 0
        await work(room, clock, 1)

    play(story())


def test_the_pace_follows_what_images_take_now(clock: Clock) -> None:
    async def story() -> None:
        room = make(max_wait_s=20)
        await work(room, clock, 60.0)
        for _ in range(30):
            await work(room, clock, 1.0)
        await fill(room, 30)
        assert room.expected_wait_s() < 10

    play(story())
