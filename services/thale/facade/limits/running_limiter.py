"""Composition of the limiter and its store from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.facade.limits.caller_limiter import CallerLimiter
from thale.facade.limits.fallback_store import FallbackLimitStore
from thale.facade.limits.memory_store import MemoryLimitStore
from thale.facade.limits.policy import CallerLimits, LimitStore
from thale.facade.settings import FacadeSettings


@asynccontextmanager
async def running_limiter(settings: FacadeSettings) -> AsyncIterator[CallerLimiter]:
    """Yield the limiter. Close the connections of its store afterwards."""
    store = _build_store(settings)
    try:
        yield CallerLimiter(store, CallerLimits.from_settings(settings))
    finally:
        await store.aclose()


def _build_store(settings: FacadeSettings) -> LimitStore:
    if settings.limit_store_url is None:
        return MemoryLimitStore()
    # Imported here because redis-py is an optional dependency: the extra `redis`.
    from thale.facade.limits.redis_store import STORE_FAILURES, RedisLimitStore, connect

    timeout_s = settings.limit_store_timeout_s
    client = connect(settings.limit_store_url, settings.limit_store_password_path, timeout_s)
    return FallbackLimitStore(RedisLimitStore(client), MemoryLimitStore(), STORE_FAILURES, timeout_s)
