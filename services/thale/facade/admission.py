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

from thale.errors import BusyError
from thale.facade.deadline import Deadline
from thale.facade.settings import Settings
from thale.facade.stage_timing import stage
from thale.telemetry import metrics

_LEAST_RETRY_S = 2
_NEWEST = 0.2
"""Weight of the newest image in the smoothed time of work."""


class Places:
    """The places at work, and those to wait."""

    def __init__(self, settings: Settings) -> None:
        self._working = settings.max_in_flight
        self._all = settings.max_in_flight + settings.max_waiting
        self._longest_wait_s = settings.max_wait_s
        self._free = asyncio.Semaphore(settings.max_in_flight)
        self._present = 0
        self._at_work = 0
        self._work_s = 0.0
        """Smoothed time that an image holds its place at work; 0 before the first."""
        metrics.PLACES.labels("working").set(settings.max_in_flight)
        metrics.PLACES.labels("waiting").set(settings.max_waiting)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Let a request in, body and all, for as long as the context lasts.

        Raises:
            BusyError: If so many are in that it would wait in vain.
        """
        wait_s = self.expected_wait_s()
        if self._present >= self._all or wait_s > self._longest_wait_s:
            raise BusyError(self._present, max(_LEAST_RETRY_S, math.ceil(wait_s / 2)))
        self._present += 1
        metrics.IN_FLIGHT.set(self._present)
        try:
            yield
        finally:
            self._present -= 1
            metrics.IN_FLIGHT.set(self._present)

    @asynccontextmanager
    async def at_work(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for one of the places at work, no longer than the deadline allows, and hold it.

        Raises:
            DeadlineExceededError: If none gets free in time.
        """
        try:
            with metrics.WAITING.track_inprogress(), stage("waiting"):
                async with asyncio.timeout(deadline.remaining()):
                    await self._free.acquire()
        except TimeoutError as error:
            raise deadline.exceeded() from error
        self._at_work += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._note(time.monotonic() - began)
            self._at_work -= 1
            self._free.release()

    def expected_wait_s(self) -> float:
        """Return how long a request that came now would wait: those before it, at the pace of the last ones."""
        before = max(0, self._present + 1 - self._working)
        return before * self._work_s / self._working

    def calm(self) -> bool:
        """Whether users leave half of the places to others."""
        return 2 * self._at_work <= self._working

    def _note(self, spent_s: float) -> None:
        self._work_s += (spent_s - self._work_s) * (_NEWEST if self._work_s else 1.0)
