"""Shared limit store with its fallback: a store that hangs, a store that is killed, and two facades with one store."""

import asyncio
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.support.redis_process import run_redis
from thale.facade.limits.fallback_store import FallbackLimitStore
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import SECOND_US, CallerLimits, Charge, Decision, Refund
from thale.facade.limits.redis_store import STORE_FAILURES, RedisLimitStore, connect
from thale.facade.limits.store_circuit import StoreCircuit

LIMITS = CallerLimits(
    interval_us=3600 * SECOND_US,
    burst=10,
    concurrency=1000,
    daily_requests=100,
    daily_pixels=1000,
    lease_us=3600 * SECOND_US,
)


class SlowStore(MemoryLimitStore):
    """Store whose calls take a given time."""

    def __init__(self) -> None:
        super().__init__()
        self.delay_s = 0.0
        self.calls = 0

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        return await super().acquire(caller, lease, limits)


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def exceeded(store: FallbackLimitStore, caller: str = "key:1") -> str | None:
    return (await store.acquire(caller, uuid.uuid4().hex, LIMITS)).exceeded


def test_hanging_store_delays_three_requests_and_then_one_probe() -> None:
    async def check() -> None:
        shared, clock = SlowStore(), Clock()
        store = FallbackLimitStore(shared, MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 0.02, clock))
        shared.delay_s = 3600
        assert [await exceeded(store) for _ in range(8)] == [None] * 8
        assert shared.calls == 3
        clock.now += 1.01
        assert [await exceeded(store) for _ in range(4)] == [None, None, "rate", "rate"]
        assert shared.calls == 4

    asyncio.run(check())


def test_recovered_store_counts_again() -> None:
    async def check() -> None:
        shared, clock = SlowStore(), Clock()
        store = FallbackLimitStore(shared, MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 5, clock))
        await exceeded(store)
        shared.delay_s = 3600
        store._circuit.timeout_s = 0.02
        for _ in range(4):
            await exceeded(store)
        shared.delay_s, store._circuit.timeout_s = 0, 5
        clock.now += 1.01
        assert [await exceeded(store) for _ in range(10)] == [None] * 9 + ["rate"]

    asyncio.run(check())


def test_release_ends_the_lease_of_a_call_that_timed_out() -> None:
    async def check() -> None:
        shared = MemoryLimitStore()
        store = FallbackLimitStore(shared, MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 5))
        decision = await shared.acquire("key:1", "lease", LIMITS)
        await store.release("key:1", "lease", Refund(decision.day))
        assert (await shared.acquire("key:1", "next", LIMITS)).slots == 999

    asyncio.run(check())


def test_charge_falls_back() -> None:
    class BrokenStore(MemoryLimitStore):
        async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
            raise ConnectionError("no store")

    async def check() -> None:
        store = FallbackLimitStore(BrokenStore(), MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 5))
        charges = [await store.charge("key:1", pixels, LIMITS) for pixels in (900, 200)]
        assert [charge.is_admitted for charge in charges] == [True, False]

    asyncio.run(check())


@pytest.mark.integration
def test_two_facades_share_one_limit(tmp_path: Path) -> None:
    async def check(url: str, password_path: Path) -> None:
        clients = [connect(url, password_path, 60) for _ in range(2)]
        stores = [RedisLimitStore(client) for client in clients]
        calls = [stores[index % 2].acquire("key:1", str(index), LIMITS) for index in range(40)]
        decisions = await asyncio.gather(*calls)
        assert sum(decision.exceeded is None for decision in decisions) == LIMITS.burst
        for client in clients:
            await client.aclose(close_connection_pool=True)

    with run_redis(tmp_path) as redis:
        asyncio.run(check(redis.url, redis.password_path))


@pytest.mark.integration
def test_store_calls_succeed_while_redis_is_down(tmp_path: Path) -> None:
    """Redis is killed, started again, suspended and continued: no call fails, and the shared store is used again."""

    async def wait_until_shared(store: FallbackLimitStore) -> None:
        deadline = time.monotonic() + 60
        while store._circuit.is_open:
            assert time.monotonic() < deadline, "the store was not used again"
            await asyncio.sleep(0.1)
            await exceeded(store, uuid.uuid4().hex)

    async def fail_until_open(store: FallbackLimitStore) -> None:
        for _ in range(5):
            assert await exceeded(store, uuid.uuid4().hex) is None
        assert store._circuit.is_open

    async def check() -> None:
        client = connect(redis.url, redis.password_path, 10)
        store = FallbackLimitStore(RedisLimitStore(client), MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 10))
        assert await exceeded(store) is None
        assert not store._circuit.is_open
        redis.kill()
        await fail_until_open(store)
        redis.start()
        await wait_until_shared(store)
        assert await client.dbsize() > 0
        store._circuit.timeout_s = 0.05
        redis.process.send_signal(signal.SIGSTOP)
        await fail_until_open(store)
        redis.process.send_signal(signal.SIGCONT)
        store._circuit.timeout_s = 10
        await wait_until_shared(store)
        assert [await exceeded(store, "key:2") for _ in range(11)] == [None] * 10 + ["rate"]
        await client.aclose(close_connection_pool=True)

    with run_redis(tmp_path) as redis:
        asyncio.run(check())


@pytest.mark.integration
def test_wrong_password_falls_back(tmp_path: Path) -> None:
    async def check(url: str) -> None:
        (tmp_path / "wrong").write_text("wrong")
        client = connect(url, tmp_path / "wrong", 10)
        store = FallbackLimitStore(RedisLimitStore(client), MemoryLimitStore(), StoreCircuit(STORE_FAILURES, 10))
        assert [await exceeded(store) for _ in range(11)] == [None] * 10 + ["rate"]
        (tmp_path / "wrong").write_text((tmp_path / "password").read_text())  # a rotated password needs no restart
        store._circuit._breaker.record_success()
        assert await exceeded(store, "key:2") is None
        assert not store._circuit.is_open
        await client.aclose(close_connection_pool=True)

    with run_redis(tmp_path) as redis:
        asyncio.run(check(redis.url))
