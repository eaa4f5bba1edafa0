"""Admission control: limits the accepted requests by number and by expected wait.

A limit on the number alone fails under sustained overload. With 32 queued requests of two seconds each, every request
waits for about as long as its deadline. Accepted requests then time out after a part of the work is done. Admission
control therefore also rejects a request whose expected wait is too long (ADR 0017).
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thale.capacity.wait_estimate import WaitEstimate
from thale.errors import OverloadedError
from thale.facade.deadline import Deadline
from thale.facade.settings import FacadeSettings
from thale.facade.stage_timing import stage
from thale.telemetry import metrics

_MIN_RETRY_AFTER_S = 2


class AdmissionController:
    """Limits the number of running and of queued requests."""

    def __init__(self, settings: FacadeSettings) -> None:
        self._max_in_flight = settings.max_in_flight
        self._max_admitted = settings.max_in_flight + settings.max_queue_length
        self._max_queue_wait_s = settings.max_queue_wait_s
        self._free_slots = asyncio.Semaphore(settings.max_in_flight)
        self._admitted = 0
        self._running = 0
        self._wait_estimate = WaitEstimate()
        metrics.ADMISSION_LIMITS.labels("running").set(settings.max_in_flight)
        metrics.ADMISSION_LIMITS.labels("queued").set(settings.max_queue_length)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Accept a request, including its body, for the duration of the context.

        Raises:
            OverloadedError: If the queue is full or the expected wait is too long.
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
        """Wait for a processing slot and hold it for the duration of the context.

        Raises:
            DeadlineExceededError: If no slot is free before the deadline.
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
            self._wait_estimate.observe(time.monotonic() - started)
            self._running -= 1
            self._free_slots.release()

    def expected_wait_s(self) -> float:
        """Return the expected queueing time of a new request."""
        return self._wait_estimate.expected_wait_s(self._admitted, self._max_in_flight)

    def has_spare_capacity(self) -> bool:
        """Return True if client requests use at most half of the processing slots."""
        return 2 * self._running <= self._max_in_flight
