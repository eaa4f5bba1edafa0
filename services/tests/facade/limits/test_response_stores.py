"""Contract of both response stores, and their bounds against rotating keys."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from tests.support.redis_process import RedisProcess
from thale.facade.limits.idempotency_key import ScopedKey
from thale.facade.limits.redis_response_store import FallbackResponseStore, RedisResponseStore
from thale.facade.limits.redis_store import STORE_FAILURES, connect
from thale.facade.limits.response_store import (
    MAX_AGE_S,
    Beginning,
    MemoryResponseStore,
    ResponseStore,
    StoredResponse,
)
from thale.facade.limits.store_circuit import StoreCircuit

RESPONSE = StoredResponse("request", "body", 200, ((b"content-type", b"image/png"),), b"\x00\n\xff" * 100)
MAX_CALLER_BYTES = 10 * RESPONSE.size_bytes
Run = Callable[[Callable[[ResponseStore, str], Awaitable[None]]], None]


class LostReplyStore(MemoryResponseStore):
    """Shared store that executes the first `begin`, and then loses the connection."""

    is_reply_lost = True

    async def begin(self, key: ScopedKey, token: str) -> Beginning:
        beginning = await super().begin(key, token)
        if self.is_reply_lost:
            self.is_reply_lost = False
            raise ConnectionResetError
        return beginning


def with_redis(server: RedisProcess, test: Callable[[RedisResponseStore, Redis], Awaitable[None]]) -> None:
    async def check() -> None:
        client = connect(server.url, server.password_path, timeout_s=30)
        try:
            await test(RedisResponseStore(client, 3600, MAX_CALLER_BYTES), client)
        finally:
            await client.aclose(close_connection_pool=True)

    asyncio.run(check())


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test with one of the stores and a caller that is new to it."""

    def run_test(test: Callable[[ResponseStore, str], Awaitable[None]]) -> None:
        if request.param == "memory":
            asyncio.run(test(MemoryResponseStore(max_caller_bytes=MAX_CALLER_BYTES), uuid.uuid4().hex))
        else:
            with_redis(request.getfixturevalue("redis_server"), lambda store, _: test(store, uuid.uuid4().hex))

    return run_test


def test_key_is_held_until_its_response_is_stored(run: Run) -> None:
    async def check(store: ResponseStore, caller: str) -> None:
        key = ScopedKey(caller, "k")
        assert await store.begin(key, "first") == "new"
        assert await store.begin(key, "second") == "running"
        assert await store.begin(ScopedKey(f"{caller}2", "k"), "other") == "new"
        assert not await store.save(key, "second", RESPONSE)
        assert await store.save(key, "first", RESPONSE)
        assert await store.begin(key, "third") == RESPONSE
        assert not await store.abandon(key, "first")
        assert await store.begin(key, "fourth") == RESPONSE

    run(check)


def test_abandoned_key_is_free(run: Run) -> None:
    async def check(store: ResponseStore, caller: str) -> None:
        key = ScopedKey(caller, "k")
        assert await store.begin(key, "first") == "new"
        assert not await store.abandon(key, "second")
        assert await store.abandon(key, "first")
        assert not await store.save(key, "first", RESPONSE)
        assert await store.begin(key, "second") == "new"

    run(check)


def test_new_responses_replace_the_oldest_of_the_caller(run: Run) -> None:
    async def check(store: ResponseStore, caller: str) -> None:
        other = ScopedKey(f"{caller}2", "k")
        await store.begin(other, "other")
        await store.save(other, "other", RESPONSE)
        for index in range(25):
            key = ScopedKey(caller, f"k{index:02}")
            await store.begin(key, str(index))
            assert await store.save(key, str(index), RESPONSE)
        found = [await store.begin(ScopedKey(caller, f"k{index:02}"), "retry") for index in range(25)]
        assert found == ["new"] * 15 + [RESPONSE] * 10
        assert await store.begin(other, "retry") == RESPONSE

    run(check)


def test_memory_is_bounded_with_rotating_keys() -> None:
    async def check() -> None:
        store = MemoryResponseStore(max_total_bytes=40 * RESPONSE.size_bytes, max_caller_bytes=MAX_CALLER_BYTES)
        for index in range(5000):
            key = ScopedKey(f"caller-{index % 50}", f"k{index}")
            await store.begin(key, "token")
            await store.save(key, "token", RESPONSE)
            assert store.total_bytes <= 40 * RESPONSE.size_bytes
        assert len(store) == 40
        assert len(store._keys_by_caller) == len(store._bytes_by_caller) == 40

    asyncio.run(check())


def test_expired_responses_are_removed() -> None:
    async def check() -> None:
        now = [0.0]
        store = MemoryResponseStore(lambda: now[0])
        key = ScopedKey("caller", "k")
        await store.begin(key, "token")
        await store.save(key, "token", RESPONSE)
        now[0] = MAX_AGE_S
        assert await store.begin(ScopedKey("other", "k"), "token") == "new"
        assert (len(store), store.total_bytes) == (1, 0)

    asyncio.run(check())


@pytest.mark.integration
def test_redis_keys_expire(redis_server: RedisProcess) -> None:
    async def check(store: RedisResponseStore, client: Redis) -> None:
        caller = uuid.uuid4().hex
        for name in ("stored", "held"):
            await store.begin(ScopedKey(caller, name), "token")
        await store.save(ScopedKey(caller, "stored"), "token", RESPONSE)
        keys = [key async for key in client.scan_iter(match=f"*{caller}*")]
        assert len(keys) == 4  # a response, a held key, the index and its size
        assert all(0 < ttl <= 3_600_000 for ttl in [await client.pttl(key) for key in keys])

    with_redis(redis_server, check)


@pytest.mark.integration
def test_two_facades_share_stored_responses(redis_server: RedisProcess) -> None:
    async def check(shared: RedisResponseStore, _: Redis) -> None:
        stores = [
            FallbackResponseStore(shared, MemoryResponseStore(), StoreCircuit(STORE_FAILURES, 30)) for _ in range(2)
        ]
        key = ScopedKey(uuid.uuid4().hex, "k")
        assert await stores[0].begin(key, "first") == "new"
        assert await stores[1].begin(key, "second") == "running"
        assert await stores[0].save(key, "first", RESPONSE)
        assert await stores[1].begin(key, "third") == RESPONSE

    with_redis(redis_server, check)


def test_response_is_stored_in_both_stores_after_a_lost_reply() -> None:
    """The request holds its key in both stores. Without a response, the key would stay held in the shared one."""

    async def check() -> None:
        shared = LostReplyStore()
        store, other_facade = (
            FallbackResponseStore(shared, MemoryResponseStore(), StoreCircuit(STORE_FAILURES, 30)) for _ in range(2)
        )
        key = ScopedKey("caller", "k")
        assert await store.begin(key, "first") == "new"
        assert await store.save(key, "first", RESPONSE)
        assert await store.begin(key, "second") == RESPONSE
        assert await other_facade.begin(key, "third") == RESPONSE

    asyncio.run(check())


def test_responses_are_stored_in_process_while_the_store_is_down() -> None:
    async def check() -> None:
        client = connect("redis://127.0.0.1:1/0", None, 5)
        shared = RedisResponseStore(client, 3600)
        store = FallbackResponseStore(shared, MemoryResponseStore(), StoreCircuit(STORE_FAILURES, 30))
        key = ScopedKey("caller", "k")
        assert await store.begin(key, "first") == "new"
        assert await store.begin(key, "second") == "running"
        assert await store.save(key, "first", RESPONSE)
        assert await store.begin(key, "third") == RESPONSE

    asyncio.run(check())
