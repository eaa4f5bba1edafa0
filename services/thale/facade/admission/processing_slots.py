"""Processing slots: a semaphore in order of arrival, of which an expensive image holds several slots."""

import asyncio
from collections import deque


class ProcessingSlots:
    """A fixed number of slots, granted in order of arrival. A request for several slots is not overtaken."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def busy(self) -> int:
        """Number of slots that are held."""
        return self._count - self._free

    async def acquire(self, slots: int) -> None:
        """Wait for slots, at most the total number."""
        granted = asyncio.get_running_loop().create_future()
        self._queue.append((slots, granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # granted at the same moment
                self.release(slots)
            else:
                self._grant()
            raise

    def release(self, slots: int) -> None:
        """Return slots."""
        self._free += slots
        self._grant()

    def _grant(self) -> None:
        while self._queue and (self._queue[0][1].cancelled() or self._queue[0][0] <= self._free):
            slots, granted = self._queue.popleft()
            if not granted.cancelled():
                self._free -= slots
                granted.set_result(None)
