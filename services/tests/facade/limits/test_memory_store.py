"""Limit store in process: the rate over time, clock jumps, the change of the day, and the number of callers."""

import asyncio
import math
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from thale.facade.limits.memory_store import MAX_CALLERS, MemoryLimitStore
from thale.facade.limits.policy import DAY_US, SECOND_US, CallerLimits, Decision, Refund

START_US = 20_000 * DAY_US + 5 * 3600 * SECOND_US
LIMITS = CallerLimits(
    interval_us=SECOND_US // 4,
    burst=6,
    concurrency=3,
    daily_requests=50,
    daily_pixels=1000,
    lease_us=60 * SECOND_US,
)


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        return self.now_us


class LimitedCaller(RuleBasedStateMachine):
    """One caller that sends, finishes and waits at random, against a model of what it may do."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = MemoryLimitStore(self.clock)
        self.admitted_at: list[int] = []
        self.running: dict[str, int] = {}
        self.used_requests: dict[int, int] = {}
        self.used_pixels: dict[int, int] = {}
        self.count = 0

    @rule(pixels=st.integers(0, 400))
    def send(self, pixels: int) -> None:
        self.count += 1
        lease = str(self.count)
        decision = asyncio.run(self.store.acquire("key:1", lease, LIMITS))
        if decision.exceeded is not None:
            assert decision.retry_after_us > 0
            return
        self.admitted_at.append(self.clock.now_us)
        self.running[lease] = decision.day
        self.used_requests[decision.day] = self.used_requests.get(decision.day, 0) + 1
        if asyncio.run(self.store.charge("key:1", pixels, LIMITS)).is_admitted:
            self.used_pixels[decision.day] = self.used_pixels.get(decision.day, 0) + pixels

    @rule(is_failed=st.booleans())
    def finish(self, is_failed: bool) -> None:
        if self.running:
            lease, day = self.running.popitem()
            asyncio.run(self.store.release("key:1", lease, Refund(day, int(is_failed))))
            self.used_requests[day] -= is_failed

    @rule(seconds=st.sampled_from([0.1, 0.25, 0.3, 1, 7, 45]))
    def wait(self, seconds: float) -> None:
        self.clock.now_us += int(seconds * SECOND_US)
        self.running = {lease: day for lease, day in self.running.items() if self.is_leased(lease)}

    @rule()
    def wait_for_the_next_day(self) -> None:
        self.clock.now_us += DAY_US - self.clock.now_us % DAY_US
        self.running.clear()

    def is_leased(self, lease: str) -> bool:
        return lease in self.store._counters["key:1"].leases and (
            self.store._counters["key:1"].leases[lease] > self.clock.now_us
        )

    @invariant()
    def admits_at_most_the_burst_and_the_rate(self) -> None:
        for start in range(len(self.admitted_at)):
            elapsed_us = self.admitted_at[-1] - self.admitted_at[start]
            admitted = len(self.admitted_at) - start
            assert admitted <= LIMITS.burst + math.floor(elapsed_us / LIMITS.interval_us)

    @invariant()
    def runs_at_most_the_concurrency(self) -> None:
        assert len(self.running) <= LIMITS.concurrency

    @invariant()
    def uses_at_most_the_daily_budget(self) -> None:
        assert max(self.used_requests.values(), default=0) <= LIMITS.daily_requests
        assert max(self.used_pixels.values(), default=0) <= LIMITS.daily_pixels


LimitedCaller.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLimitedCaller = pytest.mark.slow(LimitedCaller.TestCase)


def acquire(store: MemoryLimitStore, lease: str, limits: CallerLimits = LIMITS) -> Decision:
    return asyncio.run(store.acquire("key:1", lease, limits))


def test_rejected_caller_is_admitted_after_retry_after() -> None:
    clock = Clock()
    store = MemoryLimitStore(clock)
    limits = CallerLimits(SECOND_US, 2, 100, 100, 1000, lease_us=SECOND_US)
    decisions = [acquire(store, str(index), limits) for index in range(3)]
    assert decisions[-1].retry_after_us == SECOND_US
    clock.now_us += SECOND_US - 1
    assert acquire(store, "early", limits).exceeded == "rate"
    clock.now_us += 1
    assert acquire(store, "in time", limits).exceeded is None


def test_budget_is_new_on_the_next_utc_day() -> None:
    clock = Clock()
    store = MemoryLimitStore(clock)
    limits = CallerLimits(1, 100, 100, 1, 1000, lease_us=SECOND_US)
    acquire(store, "1", limits)
    rejected = acquire(store, "2", limits)
    assert (rejected.exceeded, rejected.retry_after_us) == ("daily-requests", 19 * 3600 * SECOND_US)
    clock.now_us += rejected.retry_after_us
    assert acquire(store, "3", limits).exceeded is None


def test_clock_jump_backwards_costs_at_most_one_bucket() -> None:
    clock = Clock()
    store = MemoryLimitStore(clock)
    acquire(store, "1")
    clock.now_us -= 3600 * SECOND_US
    assert acquire(store, "2").exceeded == "rate"
    clock.now_us += LIMITS.interval_us
    assert acquire(store, "3").exceeded is None
    clock.now_us += LIMITS.lease_us - LIMITS.interval_us
    assert acquire(store, "4").slots == 1  # the lease of before the jump has expired, the one after it has not


def test_clock_jump_forwards_grants_at_most_one_bucket() -> None:
    clock = Clock()
    store = MemoryLimitStore(clock)
    limits = CallerLimits(SECOND_US, 3, 100, 100, 1000, lease_us=SECOND_US)
    for index in range(4):
        acquire(store, str(index), limits)
    clock.now_us += 400 * DAY_US
    admitted = [acquire(store, f"after-{index}", limits).exceeded is None for index in range(5)]
    assert admitted == [True] * 3 + [False] * 2


@pytest.mark.slow
def test_callers_without_counters_are_removed() -> None:
    clock = Clock()
    store = MemoryLimitStore(clock)

    async def send_as(caller: str) -> None:
        decision = await store.acquire(caller, "1", LIMITS)
        await store.release(caller, "1", Refund(decision.day))

    for index in range(1000):
        asyncio.run(send_as(f"key:{index}"))
    assert len(store) == 1000  # their daily budgets count
    clock.now_us += DAY_US
    for _ in range(1000):
        asyncio.run(send_as("key:again"))
    assert len(store) == 1


@pytest.mark.slow
def test_memory_is_bounded_with_many_callers() -> None:
    async def send(store: MemoryLimitStore, first: int, count: int) -> None:
        for index in range(first, first + count):
            await store.acquire(f"entra:{index:036}", f"{index:032x}", LIMITS)

    store = MemoryLimitStore(Clock())
    tracemalloc.start()
    try:
        asyncio.run(send(store, 0, MAX_CALLERS))
        full_bytes, _ = tracemalloc.get_traced_memory()
        asyncio.run(send(store, MAX_CALLERS, 10_000))
        later_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == MAX_CALLERS
    assert full_bytes < 30e6, full_bytes
    assert later_bytes < full_bytes * 1.1, (full_bytes, later_bytes)
