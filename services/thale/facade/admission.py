"""Room for requests: how many are in, how many of them are at work, and when one more would wait too long.

A limit on requests alone does not hold under load that lasts. Where 32 may wait and each takes two seconds, the queue
fills until everybody waits for about as long as the deadline allows: what is accepted then fails, after it has waited
and often after its work was begun, while nobody is answered at all. So a request is also refused where those before it,
at the pace of the last answers, would keep it waiting too long.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.errors import OverloadedError
from thale.facade.deadline import Deadline
from thale.facade.settings import Settings
from thale.facade.stage_timing import stage
from thale.telemetry import metrics

_MIN_RETRY_AFTER_S = 2
_SMOOTHING_WEIGHT = 0.2
"""Weight of the newest image in the smoothed time of work."""


class AdmissionController:
    """The places at work, and those to wait."""

    def __init__(self, settings: Settings) -> None:
        self._max_in_flight = settings.max_in_flight
        self._max_admitted = settings.max_in_flight + settings.max_queue_length
        self._max_queue_wait_s = settings.max_queue_wait_s
        self._free_slots = asyncio.Semaphore(settings.max_in_flight)
        self._admitted = 0
        self._running = 0
        self._service_time_s = 0.0
        """Smoothed time that an image holds its place at work; 0 before the first."""
        metrics.ADMISSION_LIMITS.labels("running").set(settings.max_in_flight)
        metrics.ADMISSION_LIMITS.labels("queued").set(settings.max_queue_length)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Let a request in, body and all, for as long as the context lasts.

        Raises:
            OverloadedError: If so many are in that it would wait in vain.
        """
        expected_wait_s = self.expected_wait_s()
        if self._admitted >= self._max_admitted or expected_wait_s > self._max_queue_wait_s:
            raise OverloadedError(self._admitted, max(_MIN_RETRY_AFTER_S, math.ceil(expected_wait_s / 2)))
        self._admitted += 1
        metrics.IN_FLIGHT.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= 1
            metrics.IN_FLIGHT.set(self._admitted)

    @asynccontextmanager
    async def slot(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for one of the places at work, no longer than the deadline allows, and hold it.

        Raises:
            DeadlineExceededError: If none gets free in time.
        """
        try:
            with metrics.WAITING.track_inprogress(), stage("waiting"):
                async with asyncio.timeout(deadline.remaining()):
                    await self._free_slots.acquire()
        except TimeoutError as error:
            raise deadline.error() from error
        self._running += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._update_service_time(time.monotonic() - started)
            self._running -= 1
            self._free_slots.release()

    def expected_wait_s(self) -> float:
        """Return how long a request that came now would wait: those before it, at the pace of the last ones."""
        queued_ahead = max(0, self._admitted + 1 - self._max_in_flight)
        return queued_ahead * self._service_time_s / self._max_in_flight

    def has_spare_capacity(self) -> bool:
        """Whether users leave half of the places to others."""
        return 2 * self._running <= self._max_in_flight

    def _update_service_time(self, service_time_s: float) -> None:
        self._service_time_s += (service_time_s - self._service_time_s) * (
            _SMOOTHING_WEIGHT if self._service_time_s else 1.0
        )
