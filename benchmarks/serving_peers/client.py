"""Closed-loop client of the serving benchmark."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Load:
    """Latencies of the successful requests of one measurement, the number of failed ones, and the duration."""

    latencies_s: tuple[float, ...]
    failed: int
    duration_s: float

    @property
    def requests_per_s(self) -> float:
        """Successful requests per second."""
        return len(self.latencies_s) / self.duration_s

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies in ms; NaN without a successful request."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3 if ordered else float("nan")

    def __str__(self) -> str:
        p50, p95 = self.percentile_ms(0.5), self.percentile_ms(0.95)
        return f"{self.requests_per_s:.2f}/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, {self.failed} failed"


async def send_for(url: str, body: bytes, headers: Mapping[str, str], clients: int, seconds: float) -> Load:
    """Send requests from several clients for some seconds, at least one each. Each waits for its response."""
    latencies: list[float] = []
    failed = 0
    started_at = time.monotonic()

    async def run_client(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        while True:
            sent_at = time.monotonic()
            async with session.post(url, data=body, headers=headers) as response:
                content = await response.read()
            if response.status == 200 and content.startswith(b"\x89PNG"):
                latencies.append(time.monotonic() - sent_at)
            else:
                failed += 1
                await asyncio.sleep(0.1)
            if time.monotonic() - started_at >= seconds:
                return

    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(run_client(session) for _ in range(clients)))
    return Load(tuple(latencies), failed, time.monotonic() - started_at)
