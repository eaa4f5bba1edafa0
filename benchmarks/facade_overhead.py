"""Overhead of the facade: TorchServe directly, and the same TorchServe behind the facade, in turn.

Both receive the same JPEG of 66 kB with the same scale, and return the landmarks. The client is one process with
persistent connections: to the Unix domain socket of TorchServe, which the facade uses as well, and to the port of the
facade.

- Latency: one client and a tiny network, so that the model does not hide the facade. Single requests take turns.
  Goal: at most 0.5 ms more at p50.
- Throughput: the default landmark model with several clients, so that the model is the limit. Intervals of some
  seconds take turns. Goal: at least 0.97 of the direct throughput.
- CPU milliseconds of the facade's process per request, in the latency measurement.

    python benchmarks/facade_overhead.py [--requests 400] [--rounds 5] [--seconds 6] [--clients 4]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving_peers.preparation import BenchmarkImage  # noqa: E402 (in the repository root, added above)

from tests.support.local_platform import PlatformProcess, run_platform, write_weights  # noqa: E402
from thale.local.data_dir import DataDir  # noqa: E402
from thale.models.model_server_address import HTTP_HOST, socket_path  # noqa: E402

SIDE_PX = 976
MAX_ADDED_MS, MIN_SHARE = 0.5, 0.97
_WARM_UP = 20
DEFAULT_WEIGHTS = ROOT / "model-server" / "weights"


@dataclass(frozen=True)
class MeasuredServer:
    """Receiver of the photographs: TorchServe or the facade."""

    session: aiohttp.ClientSession
    url: str
    headers: dict[str, str]

    async def send(self, body: bytes) -> float:
        """Send the photograph, and return the seconds until the response is complete.

        Raises:
            RuntimeError: If the response is an error.
        """
        started_s = time.perf_counter()
        async with self.session.post(self.url, data=body, headers=self.headers) as response:
            content = await response.read()
        seconds = time.perf_counter() - started_s
        if response.status != 200:
            raise RuntimeError(f"{self.url} returned {response.status}: {content[:300]!r}")
        return seconds


def main() -> None:
    """Measure latency, then throughput, and print both with their goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="requests to each target for the latency")
    parser.add_argument("--rounds", type=int, default=5, help="intervals of each target for the throughput")
    parser.add_argument("--seconds", type=float, default=6.0, help="duration of an interval")
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    photograph = BenchmarkImage(SIDE_PX)
    body, mm_per_px = photograph.data(), photograph.mm_per_px
    sys.stdout.write(f"JPEG of {len(body) / 1e3:.0f} kB\n")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with run_platform(home / "tiny", write_weights(home / "weights")) as platform:
            # The tiny models have a training scale of 0.25 mm per px. With this scale, their image has one tile.
            asyncio.run(measure_latency(platform, body, 0.05, options.requests))
        with run_platform(home / "default", DEFAULT_WEIGHTS) as platform:
            asyncio.run(measure_throughput(platform, body, mm_per_px, options))


async def measure_latency(platform: PlatformProcess, body: bytes, mm_per_px: float, requests: int) -> None:
    """Send single requests in turn, and print the medians and the CPU time of the facade."""
    facade = _facade_process(platform)
    async with open_targets(platform, mm_per_px) as (direct, proxied):
        for target in (direct, proxied) * _WARM_UP:
            await target.send(body)
        pairs = []
        cpu_s = _cpu_seconds(facade)
        for turn in range(requests):
            first, second = (direct, proxied) if turn % 2 == 0 else (proxied, direct)
            seconds = {id(first): await first.send(body), id(second): await second.send(body)}
            pairs.append((seconds[id(direct)], seconds[id(proxied)]))
        cpu_ms = (_cpu_seconds(facade) - cpu_s) / requests * 1e3
    direct_ms, facade_ms = (statistics.median(values) * 1e3 for values in zip(*pairs, strict=True))
    added_ms = statistics.median(second - first for first, second in pairs) * 1e3
    low, high = np.percentile([(second - first) * 1e3 for first, second in pairs], (25, 75))
    sys.stdout.write(
        f"latency, p50 of {requests} requests each: direct {direct_ms:.2f} ms, facade {facade_ms:.2f} ms; difference "
        f"of pairs {added_ms:.2f} ms ({low:.2f} to {high:.2f}), goal {MAX_ADDED_MS} ms; "
        f"facade {cpu_ms:.2f} ms of CPU time per request\n"
    )


async def measure_throughput(
    platform: PlatformProcess, body: bytes, mm_per_px: float, options: argparse.Namespace
) -> None:
    """Send from several clients for intervals in turn, and print the ratio of the throughputs."""
    async with open_targets(platform, mm_per_px) as targets:
        rates: tuple[list[float], list[float]] = ([], [])
        for turn in range(options.rounds + 1):
            for index in (0, 1) if turn % 2 == 0 else (1, 0):
                rate = await send_for(targets[index], body, options.clients, options.seconds)
                if turn:  # the first round is the warm-up
                    rates[index].append(rate)
    direct, proxied = (statistics.median(values) for values in rates)
    share = statistics.median(second / first for first, second in zip(*rates, strict=True))
    sys.stdout.write(
        f"throughput of {options.clients} clients: direct {direct:.2f}/s, facade {proxied:.2f}/s; median ratio "
        f"{share:.3f}, goal {MIN_SHARE}\n"
    )


async def send_for(target: MeasuredServer, body: bytes, clients: int, seconds: float) -> float:
    """Return the requests per second of several clients. Each of them waits for its response."""
    started_s, completed = time.perf_counter(), 0

    async def run_client() -> None:
        nonlocal completed
        while time.perf_counter() - started_s < seconds:
            await target.send(body)
            completed += 1

    await asyncio.gather(*(run_client() for _ in range(clients)))
    return completed / (time.perf_counter() - started_s)


@asynccontextmanager
async def open_targets(
    platform: PlatformProcess, mm_per_px: float
) -> AsyncIterator[tuple[MeasuredServer, MeasuredServer]]:
    """Connect to TorchServe and to the facade of a platform."""
    running = DataDir(platform.home).find_running_platform()
    if running is None:
        raise RuntimeError("the platform has ended")
    path = socket_path(running.model_url)
    if path is None:
        raise RuntimeError(f"TorchServe listens on {running.model_url}, not on a socket")
    headers = {"Content-Type": "application/octet-stream"}
    direct_headers = headers | {"x-thale-mm-per-px": str(mm_per_px), "x-thale-region": "image"}
    query = f"mm_per_px={mm_per_px}&region=image"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path, limit=0)) as direct,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as proxied,
    ):
        yield (
            MeasuredServer(direct, f"http://{HTTP_HOST}/predictions/plate-landmarks/1.0.0", direct_headers),
            MeasuredServer(proxied, f"{platform.url}/v1/landmarks?{query}", headers | {"Content-Type": "image/jpeg"}),
        )


def _facade_process(platform: PlatformProcess) -> psutil.Process:
    """Return the process of the facade. Its guard has the same words in its command, and is older."""
    processes = psutil.Process(platform.process.pid).children(recursive=True)
    return max(
        (process for process in processes if process.cmdline()[-2:] == ["-m", "thale.facade"]),
        key=lambda process: process.create_time(),
    )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
