"""Calls of the shared limit store, with a timeout and a circuit breaker: a store that hangs must not slow requests."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from thale.facade.upstream.circuit_breaker import BreakerConfig, CircuitBreaker
from thale.telemetry import metrics

logger = logging.getLogger(__name__)

_BREAKER = BreakerConfig(failures=3, window=5, open_s=1.0)
"""A store that hangs delays three requests by the timeout, and then one request per second."""
_Result = TypeVar("_Result")


class StoreCircuit:
    """Circuit to the shared store. All users of one store share it."""

    def __init__(
        self,
        failures: tuple[type[Exception], ...],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with a closed circuit.

        Args:
            failures: Errors of an unavailable store.
            timeout_s: Maximum time of one call.
            clock: Clock of the circuit breaker, in seconds.
        """
        self.timeout_s = timeout_s
        self._failures = failures
        self._breaker = CircuitBreaker(_BREAKER, clock)
        metrics.LIMIT_STORE_BREAKER_OPEN.set(0)

    @property
    def is_open(self) -> bool:
        """True if calls are skipped, except for one probe per second."""
        return self._breaker.is_open

    async def call(self, call: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Return the result of a call, or None if the store is unavailable."""
        if not self._breaker.allows():
            metrics.LIMIT_STORE_CALLS.labels("skipped").inc()
            return None
        try:
            async with asyncio.timeout(self.timeout_s):
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
