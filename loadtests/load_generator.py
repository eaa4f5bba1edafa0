"""Clients for measuring: so many at once without a pause (closed loop), or on a schedule that waits for nobody (open).

Locust plays people; this finds limits. A schedule goes on when the server slows down, so that no slow answer hides
the ones that should have been asked meanwhile (coordinated omission).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import aiohttp

from loadtests.image_set import PlateImage
from loadtests.samples import NO_RESPONSE

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class RequestResult:
    """A picture that was sent, and what came back."""

    size: str
    started_s: float
    """On the monotonic clock."""
    duration_s: float
    status: int
    retry_after: str | None

    @property
    def ended_s(self) -> float:
        """When the answer was there."""
        return self.started_s + self.duration_s


def interleave_by_mix(pictures: Mapping[str, list[PlateImage]], mix: Mapping[str, float]) -> Iterator[PlateImage]:
    """Yield pictures of all classes without end: every stretch of them has nearly the shares of the mix.

    The order is that of multiples of the golden ratio (Kronecker's low-discrepancy sequence), so that short steps of
    load do not differ by luck.
    """
    for number in count():
        position, cumulative = (number * _GOLDEN_RATIO) % 1.0 * sum(mix.values()), 0.0
        for size, share in mix.items():
            cumulative += share
            if position < cumulative:
                yield pictures[size][number % len(pictures[size])]
                break


class LoadGenerator:
    """Sends pictures to one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator["LoadGenerator"]:
        """Give a driver with as many connections as it takes."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            yield cls(session, url)

    async def send(self, picture: PlateImage) -> RequestResult:
        """Send one picture and wait for its answer."""
        started_s = time.monotonic()
        status, retry_after = NO_RESPONSE, None
        try:
            data = picture.file.read_bytes()
            async with self._session.post(f"{self._url}/v1/phenotype{picture.query}", data=data) as response:
                await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError):
            pass  # told by the status
        return RequestResult(picture.size, started_s, time.monotonic() - started_s, status, retry_after)

    async def run_closed_loop(
        self, clients: int, seconds: float, pictures: Iterator[PlateImage]
    ) -> list[RequestResult]:
        """Let clients send one picture after the other; return all, also those that end after the time."""
        deadline_s = time.monotonic() + seconds

        async def client() -> list[RequestResult]:
            results = []
            while time.monotonic() < deadline_s:
                results.append(await self.send(next(pictures)))
            return results

        return [result for results in await asyncio.gather(*(client() for _ in range(clients))) for result in results]

    async def run_open_loop(self, rps: float, seconds: float, pictures: Iterator[PlateImage]) -> list[RequestResult]:
        """Send so many a second, evenly; hang up on what is not answered when time is up."""
        started_s, tasks = time.monotonic(), []
        for number in range(round(rps * seconds)):
            await asyncio.sleep(max(0.0, started_s + number / rps - time.monotonic()))
            tasks.append(asyncio.ensure_future(self.send(next(pictures))))
        done, pending = await asyncio.wait(tasks, timeout=1 / rps)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return sorted((task.result() for task in done), key=lambda result: result.started_s)

    async def time_to_recover(self, picture: PlateImage, threshold_s: float, timeout_s: float) -> float | None:
        """Send one picture after the other until one is answered quickly; return when, None if never."""
        started_s = time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < timeout_s:
            result = await self.send(picture)
            if result.status == 200 and result.duration_s <= threshold_s:
                return elapsed_s
            await asyncio.sleep(0.1)
        return None
