"""Contract of both limit stores: the one in process with a fake clock, and the one in a real Redis."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from tests.support.redis_process import RedisProcess
from thale.facade.limits.memory_store import MemoryLimitStore, wall_clock_us
from thale.facade.limits.policy import DAY_US, SECOND_US, CallerLimits, Decision, LimitStore, Refund
from thale.facade.limits.policy import LIMITS as LIMIT_NAMES
from thale.facade.limits.redis_store import RedisLimitStore, caller_digest, connect

LIMITS = CallerLimits(
    interval_us=3600 * SECOND_US,  # no token returns during a test
    burst=5,
    concurrency=3,
    daily_requests=100,
    daily_pixels=1000,
    lease_us=3600 * SECOND_US,
)
_Result = TypeVar("_Result")


def with_redis(server: RedisProcess, test: Callable[[RedisLimitStore, Redis], Awaitable[_Result]]) -> _Result:
    """Run a test with a store in Redis."""

    async def run() -> _Result:
        client = connect(server.url, server.password_path, timeout_s=30)
        store = RedisLimitStore(client)
        try:
            return await test(store, client)
        finally:
            await client.aclose(close_connection_pool=True)

    return asyncio.run(run())


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[LimitStore, str], Awaitable[None]]], None]:
    """Run a test with one of the stores and a caller that is new to it."""

    def run_test(test: Callable[[LimitStore, str], Awaitable[None]]) -> None:
        caller = f"key:{uuid.uuid4().hex}"
        if request.param == "memory":
            asyncio.run(test(MemoryLimitStore(), caller))
        else:
            with_redis(request.getfixturevalue("redis_server"), lambda store, _: test(store, caller))

    return run_test


Run = Callable[[Callable[[LimitStore, str], Awaitable[None]]], None]


async def acquire(store: LimitStore, caller: str, limits: CallerLimits = LIMITS) -> tuple[str, Decision]:
    lease = uuid.uuid4().hex
    return lease, await store.acquire(caller, lease, limits)


async def release(store: LimitStore, caller: str, lease: str, decision: Decision, **refund: int) -> None:
    await store.release(caller, lease, Refund(decision.day, **refund))


def test_store_admits_a_burst_and_then_the_rate(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        decisions = []
        for _ in range(6):
            lease, decision = await acquire(store, caller)
            await release(store, caller, lease, decision)
            decisions.append(decision)
        assert [decision.exceeded for decision in decisions] == [None] * 5 + ["rate"]
        assert [decision.tokens for decision in decisions] == [4, 3, 2, 1, 0, 0]
        assert 3590 * SECOND_US < decisions[-1].retry_after_us <= 3600 * SECOND_US

    run(check)


def test_store_limits_concurrency_until_a_release(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        admitted = [await acquire(store, caller) for _ in range(3)]
        assert [decision.slots for _, decision in admitted] == [2, 1, 0]
        rejected = (await acquire(store, caller))[1]
        assert (rejected.exceeded, rejected.retry_after_us, rejected.tokens) == ("concurrency", SECOND_US, 2)
        await release(store, caller, *admitted[1])
        assert (await acquire(store, caller))[1].exceeded is None
        assert (await acquire(store, caller))[1].exceeded == "concurrency"

    run(check)


def test_store_drops_expired_leases(run: Run) -> None:
    limits = CallerLimits(1, 1000, 1, 100, 1000, lease_us=20_000)

    async def check(store: LimitStore, caller: str) -> None:
        assert (await acquire(store, caller, limits))[1].exceeded is None
        for _ in range(500):  # the lease of a killed facade ends by itself
            await asyncio.sleep(0.02)
            if (await acquire(store, caller, limits))[1].exceeded is None:
                return
        pytest.fail("the lease did not expire")

    run(check)


def test_store_limits_the_requests_of_a_day(run: Run) -> None:
    limits = CallerLimits(1, 1000, 1000, 3, 1000, lease_us=SECOND_US)

    async def check(store: LimitStore, caller: str) -> None:
        decisions = [(await acquire(store, caller, limits))[1] for _ in range(4)]
        assert [decision.exceeded for decision in decisions] == [None] * 3 + ["daily-requests"]
        assert [decision.requests for decision in decisions] == [2, 1, 0, 0]
        assert decisions[3].retry_after_us == DAY_US - decisions[3].now_us % DAY_US

    run(check)


def test_store_charges_pixels_up_to_the_daily_budget(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        await acquire(store, caller)
        charges = [await store.charge(caller, pixels, LIMITS) for pixels in (600, 401, 400, 1)]
        assert [charge.is_admitted for charge in charges] == [True, False, True, False]
        assert [charge.pixels for charge in charges] == [400, 400, 0, 0]
        assert (await acquire(store, caller))[1].exceeded == "daily-megapixels"

    run(check)


def test_store_refunds_the_budget_once(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        await acquire(store, caller)
        lease, decision = await acquire(store, caller)
        await store.charge(caller, 700, LIMITS)
        for _ in range(3):
            await release(store, caller, lease, decision, requests=1, pixels=700)
        following = (await acquire(store, caller))[1]
        assert (following.requests, following.pixels, following.tokens) == (98, 1000, 2)

    run(check)


def test_store_ignores_a_refund_of_another_day(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        lease, decision = await acquire(store, caller)
        await store.charge(caller, 700, LIMITS)
        await store.release(caller, lease, Refund(decision.day - 1, 1, 700))
        following = (await acquire(store, caller))[1]
        assert (following.requests, following.pixels) == (98, 300)

    run(check)


def test_store_separates_callers(run: Run) -> None:
    async def check(store: LimitStore, caller: str) -> None:
        for _ in range(3):
            await acquire(store, caller)
        assert (await acquire(store, caller))[1].exceeded == "concurrency"
        assert (await acquire(store, f"{caller}-2"))[1].tokens == 4

    run(check)


@pytest.mark.integration
def test_both_stores_return_the_same_decisions(redis_server: RedisProcess) -> None:
    """The store in process replays the calls at the times that Redis reports."""
    hour_us = 3600 * SECOND_US
    policies = [
        CallerLimits(300, 7, 4, 150, 40_000, lease_us=3000),  # time matters: tokens return and leases expire
        CallerLimits(hour_us, 40, 1000, 1000, 10**6, lease_us=hour_us),
        CallerLimits(1, 1000, 10, 1000, 10**6, lease_us=hour_us),
        CallerLimits(1, 1000, 1000, 50, 10**6, lease_us=hour_us),
        CallerLimits(1, 1000, 1000, 1000, 9000, lease_us=hour_us),
    ]

    async def check(store: RedisLimitStore, _: Redis) -> None:
        clock = [0]
        memory = MemoryLimitStore(lambda: clock[0])
        outcomes = set()
        for limits in policies:
            outcomes |= await compare(store, memory, clock, limits)
        assert outcomes == {None, *LIMIT_NAMES}

    async def compare(
        store: RedisLimitStore, memory: MemoryLimitStore, clock: list[int], limits: CallerLimits
    ) -> set[str | None]:
        caller, outcomes, leases = uuid.uuid4().hex, set(), []
        for index in range(200):
            lease = f"lease-{index}"
            decision = await store.acquire(caller, lease, limits)
            clock[0] = decision.now_us
            assert await memory.acquire(caller, lease, limits) == decision
            outcomes.add(decision.exceeded)
            if decision.exceeded is None:
                leases.append((lease, Refund(decision.day, int(index % 3 == 0), index % 5)))
                # Once the exact remainder: larger charges are rejected, so that a remainder would always be left.
                pixels = decision.pixels if index == 151 else index * 37 % 900
                charge = await store.charge(caller, pixels, limits)
                clock[0] = charge.now_us
                assert await memory.charge(caller, pixels, limits) == charge
            if index % 3 == 0 and leases:
                finished = leases.pop(index % len(leases))
                await store.release(caller, *finished)
                await memory.release(caller, *finished)
        return outcomes

    with_redis(redis_server, check)


@pytest.mark.integration
def test_redis_keys_expire_and_contain_no_identity(redis_server: RedisProcess) -> None:
    caller = "entra:11111111-2222-3333-4444-555555555555"

    async def check(store: RedisLimitStore, client: Redis) -> None:
        await acquire(store, caller)
        await store.charge(caller, 10, LIMITS)
        keys = [key async for key in client.scan_iter(match=f"*{caller_digest(caller)}*")]
        assert len(keys) == 2
        assert all(caller.encode() not in key for key in keys)
        assert all(0 < ttl <= 2 * 86_400_000 for ttl in [await client.pttl(key) for key in keys])

    with_redis(redis_server, check)


@pytest.mark.integration
def test_redis_store_recovers_from_a_clock_jump(redis_server: RedisProcess) -> None:
    """A caller whose counters are an hour ahead waits for one token, not for an hour."""
    limits = CallerLimits(50_000, 2, 1, 100, 1000, lease_us=50_000)
    ahead_us = wall_clock_us() + 3600 * SECOND_US

    async def check(store: RedisLimitStore, client: Redis) -> None:
        caller = uuid.uuid4().hex
        prefix = f"thale:limits:{{{caller_digest(caller)}}}"
        await client.hset(f"{prefix}:counters", mapping={"tat": ahead_us, "day": 1, "requests": 100, "pixels": 1000})
        await client.zadd(f"{prefix}:leases", {"before the jump": ahead_us})
        first = (await acquire(store, caller, limits))[1]
        assert (first.exceeded, first.tokens) == ("concurrency", 0)
        for _ in range(500):
            await asyncio.sleep(0.02)
            if (await acquire(store, caller, limits))[1].exceeded is None:
                return
        pytest.fail("the caller did not recover")

    with_redis(redis_server, check)
