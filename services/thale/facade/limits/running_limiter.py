"""Composition of the limiter and the stored responses from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from thale.facade.limits.allowance_store import AllowanceLimitStore
from thale.facade.limits.caller_limiter import CallerLimiter
from thale.facade.limits.fallback_store import FallbackLimitStore
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import SECOND_US, CallerLimits
from thale.facade.limits.response_store import MemoryResponseStore, ResponseStore
from thale.facade.limits.store_circuit import StoreCircuit
from thale.facade.settings import FacadeSettings


@dataclass(frozen=True)
class RunningLimiter:
    """Limiter of callers, and their stored responses."""

    limiter: CallerLimiter
    responses: ResponseStore


@asynccontextmanager
async def running_limiter(settings: FacadeSettings) -> AsyncIterator[RunningLimiter]:
    """Yield the limiter, in process or with the shared store. Close its connections afterwards."""
    limits = CallerLimits.from_settings(settings)
    memory_store, memory_responses = MemoryLimitStore(), MemoryResponseStore()
    if settings.limit_store_url is None:
        yield RunningLimiter(CallerLimiter(memory_store, limits), memory_responses)
        return
    # Imported here because redis-py is an optional dependency: the extra `redis`.
    from thale.facade.limits.redis_response_store import FallbackResponseStore, RedisResponseStore
    from thale.facade.limits.redis_store import STORE_FAILURES, RedisLimitStore, connect

    client = connect(settings.limit_store_url, settings.limit_store_password_path, settings.limit_store_timeout_s)
    circuit = StoreCircuit(STORE_FAILURES, settings.limit_store_timeout_s)
    shared = RedisLimitStore(client)
    store = AllowanceLimitStore(shared, FallbackLimitStore(shared, memory_store, circuit), circuit)
    shared_responses = RedisResponseStore(client, hold_s=limits.lease_us / SECOND_US)
    try:
        yield RunningLimiter(
            CallerLimiter(store, limits), FallbackResponseStore(shared_responses, memory_responses, circuit)
        )
    finally:
        await store.close()
        await client.aclose(close_connection_pool=True)
