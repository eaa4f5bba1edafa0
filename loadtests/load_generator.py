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

from loadtests.image_set import Picture
from loadtests.samples import NO_ANSWER

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Exchange:
    """A picture that was sent, and what came back."""

    size: str
    began_s: float
    """On the monotonic clock."""
    seconds: float
    status: int
    retry_after: str | None

    @property
    def ended_s(self) -> float:
        """When the answer was there."""
        return self.began_s + self.seconds


def in_turn(pictures: Mapping[str, list[Picture]], mix: Mapping[str, float]) -> Iterator[Picture]:
    """Yield pictures of all classes without end: every stretch of them has nearly the shares of the mix.

    The order is that of multiples of the golden ratio (Kronecker's low-discrepancy sequence), so that short steps of
    load do not differ by luck.
    """
    for number in count():
        place, reached = (number * _GOLDEN_RATIO) % 1.0 * sum(mix.values()), 0.0
        for size, share in mix.items():
            reached += share
            if place < reached:
                yield pictures[size][number % len(pictures[size])]
                break


class Driver:
    """Sends pictures to one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Driver"]:
        """Give a driver with as many connections as it takes."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            yield cls(session, url)

    async def send(self, picture: Picture) -> Exchange:
        """Send one picture and wait for its answer."""
        began = time.monotonic()
        status, retry_after = NO_ANSWER, None
        try:
            data = picture.file.read_bytes()
            async with self._session.post(f"{self._url}/v1/phenotype{picture.query}", data=data) as response:
                await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError):
            pass  # told by the status
        return Exchange(picture.size, began, time.monotonic() - began, status, retry_after)

    async def closed(self, clients: int, seconds: float, pictures: Iterator[Picture]) -> list[Exchange]:
        """Let clients send one picture after the other; return all, also those that end after the time."""
        until = time.monotonic() + seconds

        async def client() -> list[Exchange]:
            done = []
            while time.monotonic() < until:
                done.append(await self.send(next(pictures)))
            return done

        return [exchange for done in await asyncio.gather(*(client() for _ in range(clients))) for exchange in done]

    async def scheduled(self, rps: float, seconds: float, pictures: Iterator[Picture]) -> list[Exchange]:
        """Send so many a second, evenly; hang up on what is not answered when time is up."""
        began, tasks = time.monotonic(), []
        for number in range(round(rps * seconds)):
            await asyncio.sleep(max(0.0, began + number / rps - time.monotonic()))
            tasks.append(asyncio.ensure_future(self.send(next(pictures))))
        done, pending = await asyncio.wait(tasks, timeout=1 / rps)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return sorted((task.result() for task in done), key=lambda exchange: exchange.began_s)

    async def until_quick(self, picture: Picture, quick_s: float, limit_s: float) -> float | None:
        """Send one picture after the other until one is answered quickly; return when, None if never."""
        began = time.monotonic()
        while (passed_s := time.monotonic() - began) < limit_s:
            exchange = await self.send(picture)
            if exchange.status == 200 and exchange.seconds <= quick_s:
                return passed_s
            await asyncio.sleep(0.1)
        return None
