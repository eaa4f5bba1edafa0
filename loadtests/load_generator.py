"""Load generator of the benchmark: closed loop (a fixed number of clients) or open loop (a fixed request rate).

Locust simulates users. This module measures capacity. An open loop keeps its schedule when the server slows down, which
avoids coordinated omission: a slow response does not delay later requests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import aiohttp

from loadtests.authorization import authorization_headers
from loadtests.image_set import PlateImage
from loadtests.samples import NO_RESPONSE

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class RequestResult:
    """Result of one request."""

    size: str
    started_s: float
    """Send time on the monotonic clock."""
    duration_s: float
    status: int
    retry_after: str | None

    @property
    def ended_s(self) -> float:
        """End of the response on the monotonic clock."""
        return self.started_s + self.duration_s


def interleave_by_mix(images: Mapping[str, list[PlateImage]], mix: Mapping[str, float]) -> Iterator[PlateImage]:
    """Yield images of all size classes without end. Every short sequence has nearly the proportions of the mix.

    The order is a low-discrepancy sequence (Kronecker's, by multiples of the golden ratio), so that short load steps
    have nearly the same work.
    """
    for number in count():
        position, cumulative = (number * _GOLDEN_RATIO) % 1.0 * sum(mix.values()), 0.0
        for size, share in mix.items():
            cumulative += share
            if position < cumulative:
                yield images[size][number % len(images[size])]
                break


class LoadGenerator:
    """Sends images to one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator["LoadGenerator"]:
        """Yield a load generator without a limit on connections."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        connector, headers = aiohttp.TCPConnector(limit=0), authorization_headers()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            yield cls(session, url)

    async def send(self, image: PlateImage) -> RequestResult:
        """Send one image and wait for the response."""
        started_s = time.monotonic()
        status, retry_after = NO_RESPONSE, None
        try:
            data = image.file.read_bytes()
            async with self._session.post(f"{self._url}/v1/phenotype{image.query}", data=data) as response:
                await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError):
            pass  # the status stays NO_RESPONSE
        return RequestResult(image.size, started_s, time.monotonic() - started_s, status, retry_after)

    async def run_closed_loop(self, clients: int, seconds: float, images: Iterator[PlateImage]) -> list[RequestResult]:
        """Run clients without think time for a period, and return all results.

        A request in progress at the end of the period is completed.
        """
        deadline_s = time.monotonic() + seconds

        async def client() -> list[RequestResult]:
            results = []
            while time.monotonic() < deadline_s:
                results.append(await self.send(next(images)))
            return results

        return [result for results in await asyncio.gather(*(client() for _ in range(clients))) for result in results]

    async def run_open_loop(self, rps: float, seconds: float, images: Iterator[PlateImage]) -> list[RequestResult]:
        """Send requests at a constant rate for a period, and return the results of the completed ones.

        The requests in progress at the end of the period are cancelled.
        """
        started_s, tasks = time.monotonic(), []
        for number in range(round(rps * seconds)):
            await asyncio.sleep(max(0.0, started_s + number / rps - time.monotonic()))
            tasks.append(asyncio.ensure_future(self.send(next(images))))
        done, pending = await asyncio.wait(tasks, timeout=1 / rps)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return sorted((task.result() for task in done), key=lambda result: result.started_s)

    async def time_to_recover(self, image: PlateImage, threshold_s: float, timeout_s: float) -> float | None:
        """Send single requests until one takes up to `threshold_s`. Return the elapsed seconds, or None on timeout."""
        started_s = time.monotonic()
        while (elapsed_s := time.monotonic() - started_s) < timeout_s:
            result = await self.send(image)
            if result.status == 200 and result.duration_s <= threshold_s:
                return elapsed_s
            await asyncio.sleep(0.1)
        return None
