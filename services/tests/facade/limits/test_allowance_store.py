"""Allowances of replicas: calls of a real Redis, exact limits over several replicas, and what a replica returns."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from tests.support.redis_process import RedisProcess
from thale.facade.limits import allowance_store
from thale.facade.limits.allowance_store import AllowanceLimitStore
from thale.facade.limits.fallback_store import FallbackLimitStore
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import SECOND_US, CallerLimits, Decision, Refund
from thale.facade.limits.redis_store import STORE_FAILURES, RedisLimitStore, caller_digest, connect
from thale.facade.limits.store_circuit import StoreCircuit

pytestmark = pytest.mark.integration

LIMITS = CallerLimits(
    interval_us=3600 * SECOND_US,  # no token returns during a test
    burst=400,
    concurrency=8,
    daily_requests=1000,
    daily_pixels=1000,
    lease_us=3600 * SECOND_US,
)
_CALLS = ("acquire_with_allowance", "charge_with_allowance", "release", "return_allowance")


class Replica(AllowanceLimitStore):
    """Store of one replica that counts its calls of Redis."""

    def __init__(self, client: Redis) -> None:
        shared = RedisLimitStore(client)
        self.calls = 0
        for name in _CALLS:
            setattr(shared, name, self._counted(getattr(shared, name)))
        self.circuit = StoreCircuit(STORE_FAILURES, 30)
        super().__init__(shared, FallbackLimitStore(shared, MemoryLimitStore(), self.circuit), self.circuit)

    def _counted(self, call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def counted(*arguments: object) -> object:
            self.calls += 1
            return await call(*arguments)

        return counted


def with_replicas(
    server: RedisProcess, count: int, test: Callable[[Sequence[Replica], Redis, str], Awaitable[None]]
) -> None:
    """Run a test with the stores of several replicas, and a caller that is new to them."""

    async def run() -> None:
        clients = [connect(server.url, server.password_path, timeout_s=30) for _ in range(count)]
        replicas = [Replica(client) for client in clients]
        try:
            await test(replicas, clients[0], f"key:{uuid.uuid4().hex}")
            for replica in replicas:
                await replica.close()
        finally:
            for client in clients:
                await client.aclose(close_connection_pool=True)

    asyncio.run(run())


async def acquire(store: Replica, caller: str, limits: CallerLimits = LIMITS) -> tuple[str, Decision]:
    lease = uuid.uuid4().hex
    return lease, await store.acquire(caller, lease, limits)


async def send(store: Replica, caller: str, limits: CallerLimits = LIMITS) -> Decision:
    """Acquire and release at once."""
    lease, decision = await acquire(store, caller, limits)
    if decision.exceeded is None:
        await store.release(caller, lease, Refund(decision.day))
    return decision


async def stored(client: Redis, caller: str) -> tuple[int, int, int]:
    """Return the requests, pixels and leases that Redis has counted."""
    prefix = f"thale:limits:{{{caller_digest(caller)}}}"
    requests, pixels = await client.hmget(f"{prefix}:counters", "requests", "pixels")
    return int(requests), int(pixels), await client.zcard(f"{prefix}:leases")


def test_replica_rarely_calls_redis_far_from_limits(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        [store] = replicas
        for _ in range(200):
            lease, decision = await acquire(store, caller)
            assert decision.exceeded is None
            assert (await store.charge(caller, 1, LIMITS)).is_admitted
            await store.release(caller, lease, Refund(decision.day))
            await asyncio.sleep(0)
        assert store.calls < 40, store.calls  # instead of 600

    with_replicas(redis_server, 1, check)


def test_decision_reports_the_same_rest_as_redis_alone(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        for index in range(100):
            decision = await send(replicas[0], caller)
            assert (decision.tokens, decision.slots, decision.requests) == (399 - index, 7, 999 - index)

    with_replicas(redis_server, 1, check)


@pytest.mark.parametrize("count", [1, 4])
def test_replicas_together_admit_exactly_the_limit(redis_server: RedisProcess, count: int) -> None:
    """One replica admits all of it; several may hold a part of it back, until they return it."""

    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        limits = replace(LIMITS, burst=57)
        choices = random.Random(5)

        async def admit_all(stores: Sequence[Replica]) -> int:
            admitted = 0
            while (await send(choices.choice(stores), caller, limits)).exceeded is None:
                admitted += 1
                assert admitted <= 57
                await asyncio.sleep(0)
            return admitted

        admitted = await admit_all(replicas)
        assert admitted == 57 or count > 1
        for replica in replicas:
            await replica.close()
        assert admitted + await admit_all(replicas[:1]) == 57

    with_replicas(redis_server, count, check)


def test_replicas_never_exceed_the_concurrency(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        running, peak, admitted = 0, 0, 0
        limits = replace(LIMITS, burst=100_000, daily_requests=100_000)

        async def send_in_turn(seed: int) -> None:
            nonlocal running, peak, admitted
            choices = random.Random(seed)
            for _ in range(40):
                store = choices.choice(replicas)
                lease, decision = await acquire(store, caller, limits)
                if decision.exceeded is not None:
                    assert decision.exceeded == "concurrency"
                    continue
                running += 1
                peak = max(peak, running)
                admitted += 1
                await asyncio.sleep(0.001 * choices.random())
                running -= 1
                await store.release(caller, lease, Refund(decision.day))

        await asyncio.gather(*(send_in_turn(seed) for seed in range(12)))
        assert peak <= limits.concurrency
        assert admitted > 40

    with_replicas(redis_server, 3, check)


def test_one_slot_is_free_before_the_response(redis_server: RedisProcess) -> None:
    """A caller with one slot sends its next request to another replica."""

    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        limits = replace(LIMITS, concurrency=1)
        decisions = [await send(replicas[index % 2], caller, limits) for index in range(20)]
        assert {decision.exceeded for decision in decisions} == {None}

    with_replicas(redis_server, 2, check)


def test_own_allowance_rejects_no_image_within_the_budget(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], client: Redis, caller: str) -> None:
        [store] = replicas
        lease, decision = await acquire(store, caller)
        charges = [await store.charge(caller, pixels, LIMITS) for pixels in (1001, 700, 301, 300, 1)]
        assert [charge.is_admitted for charge in charges] == [False, True, False, True, False]
        assert [charge.pixels for charge in charges] == [1000, 300, 300, 0, 0]
        await store.release(caller, lease, Refund(decision.day, requests=1, pixels=700))
        assert (await send(store, caller)).pixels == 700
        await store.close()
        assert await stored(client, caller) == (1, 300, 0)

    with_replicas(redis_server, 1, check)


def test_unused_allowance_and_lease_are_returned(redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance_store, "HOLD_S", 0.05)

    async def check(replicas: Sequence[Replica], client: Redis, caller: str) -> None:
        [store] = replicas
        for _ in range(5):
            await send(store, caller)
        counted = await stored(client, caller)
        assert counted[0] > 5
        assert counted[2] == 1
        deadline = time.monotonic() + 60
        while len(store):
            assert time.monotonic() < deadline, "the account was not removed"
            await asyncio.sleep(0.02)
        assert await stored(client, caller) == (5, 0, 0)
        assert (await send(store, caller)).tokens == 394  # the tokens are back as well

    with_replicas(redis_server, 1, check)


def test_close_returns_the_lease_and_the_allowance(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], client: Redis, caller: str) -> None:
        await send(replicas[0], caller)
        await replicas[0].close()
        assert await stored(client, caller) == (1, 0, 0)

    with_replicas(redis_server, 1, check)


def test_allowance_of_yesterday_is_not_used(redis_server: RedisProcess) -> None:
    async def check(replicas: Sequence[Replica], _: Redis, caller: str) -> None:
        [store] = replicas
        await send(store, caller)
        account = store._accounts[caller]
        calls = store.calls
        account.decided_at_s -= 86_400
        assert (await send(store, caller)).exceeded is None
        assert store.calls > calls

    with_replicas(redis_server, 1, check)
