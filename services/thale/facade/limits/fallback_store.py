"""Shared limit store with a fallback in process, for the time in which the shared store is unavailable.

Requests must not fail because a rate limiter is down, and must not pass without limits either. Each replica then
applies the limits on its own, so that N replicas admit up to N times the limits.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from thale.facade.limits.policy import CallerLimits, Charge, Decision, LimitStore, Refund
from thale.facade.upstream.circuit_breaker import BreakerConfig, CircuitBreaker
from thale.telemetry import metrics

logger = logging.getLogger(__name__)

_BREAKER = BreakerConfig(failures=3, window=5, open_s=1.0)
"""A store that hangs delays three requests by the timeout, and then one request per second."""
_Result = TypeVar("_Result")


class FallbackLimitStore:
    """Limit store that prefers the shared store. Implements `LimitStore` and raises no error of the shared store."""

    def __init__(
        self,
        shared: LimitStore,
        fallback: LimitStore,
        failures: tuple[type[Exception], ...],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compose the stores.

        Args:
            shared: The shared store.
            fallback: The store in process.
            failures: Errors of an unavailable shared store.
            timeout_s: Maximum time of one call of the shared store.
            clock: Clock of the circuit breaker, in seconds.
        """
        self._shared = shared
        self._fallback = fallback
        self._failures = failures
        self._timeout_s = timeout_s
        self._breaker = CircuitBreaker(_BREAKER, clock)
        metrics.LIMIT_STORE_BREAKER_OPEN.set(0)

    async def acquire(self, caller: str, lease: str, limits: CallerLimits) -> Decision:
        """Admit a request and count it, or reject it and count nothing."""
        decision = await self._call_shared(lambda: self._shared.acquire(caller, lease, limits))
        return decision or await self._fallback.acquire(caller, lease, limits)

    async def charge(self, caller: str, pixels: int, limits: CallerLimits) -> Charge:
        """Charge the pixels of an image against the daily budget, or reject it and charge nothing."""
        charge = await self._call_shared(lambda: self._shared.charge(caller, pixels, limits))
        return charge or await self._fallback.charge(caller, pixels, limits)

    async def release(self, caller: str, lease: str, refund: Refund) -> None:
        """End a request in both stores: a call that timed out may have reached the shared store."""
        await self._fallback.release(caller, lease, refund)
        await self._call_shared(lambda: self._shared.release(caller, lease, refund))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._shared.aclose()

    async def _call_shared(self, call: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Return the result of the shared store, or None if it is unavailable."""
        if not self._breaker.allows():
            metrics.LIMIT_STORE_CALLS.labels("skipped").inc()
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await call()
        except self._failures as error:
            self._record_failure(error)
            return None
        metrics.LIMIT_STORE_CALLS.labels("ok").inc()
        if self._breaker.is_open:
            logger.info("limit store available again")
        self._breaker.record_success()
        metrics.LIMIT_STORE_BREAKER_OPEN.set(0)
        return result

    def _record_failure(self, error: Exception) -> None:
        metrics.LIMIT_STORE_CALLS.labels("error").inc()
        was_open = self._breaker.is_open
        self._breaker.record_failure()
        metrics.LIMIT_STORE_BREAKER_OPEN.set(int(self._breaker.is_open))
        if self._breaker.is_open and not was_open:
            logger.warning("limit store unavailable", extra={"error": f"{type(error).__name__}: {error}"})
