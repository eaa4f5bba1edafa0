"""Serving benchmark: thale and five other servers with the same network, in turn, on the same machine.

Every server receives a photograph and returns its class map as PNG, at the training scale. All of them decode,
resample, tile and blend with thale's code. The peers run the network with torch, as a traced module, as their users
do; thale runs it with OpenVINO. Each server has the same number of workers with the same number of threads, and no
access log. The client is a process of its own on the same machine.

Servers are started in turn, one at a time, and in the opposite order in every other round. Memory is the
proportional set size (PSS) of all processes of a server after its last request. thale also holds its landmark model
in memory.

The first run creates a virtual environment for each peer: about 1.5 GB each.

    python benchmarks/serving.py --environments FOLDER [--sizes "512 px"] [--rounds 2] [--only thale BentoML]
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil
import urllib3

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving_peers.client import Load, send_for  # noqa: E402 (the repository root is added above)
from benchmarks.serving_peers.environments import PEERS, Peer, create_environment, peer_environment  # noqa: E402
from benchmarks.serving_peers.preparation import PHOTOGRAPHS, BenchmarkImage, prepare_models, prepare_peer  # noqa: E402

from thale.host.interpreter import python_command  # noqa: E402

THALE = "thale"
CONCURRENCY = (1, 4, 16)
START_TIMEOUT_S = 240.0
HTTP = urllib3.PoolManager(timeout=120.0, retries=False)


@dataclass(frozen=True)
class RunningServer:
    """A running server: its process, the URL without query, and the headers of a request."""

    process: psutil.Popen
    url: str
    headers: dict[str, str]
    has_json_body: bool = False

    def request(self, photograph: BenchmarkImage) -> tuple[str, bytes, dict[str, str]]:
        """Return URL, body and headers of a request. The headers repeat the options for servers that need them."""
        options = {"mm_per_px": str(photograph.mm_per_px), "region": "image"}
        headers = {**self.headers, **{f"X-{name}": value for name, value in options.items()}}
        if not self.has_json_body:
            return f"{self.url}?{urlencode(options)}", photograph.data(), headers
        content = base64.b64encode(photograph.data()).decode()
        return self.url, json.dumps({"photograph": content, **options}).encode(), headers

    def memory_mib(self) -> float:
        """Return the proportional set size of all processes."""
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in processes if process.is_running()) / 2**20


def main() -> None:
    """Run the benchmark and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="folder of the virtual environments")
    parser.add_argument("--sizes", nargs="+", choices=list(PHOTOGRAPHS), default=list(PHOTOGRAPHS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of each measurement")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="threads of a worker")
    parser.add_argument("--only", nargs="+", default=[THALE, *(peer.name for peer in PEERS)])
    options = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in options.only]
    pythons = {peer.name: create_environment(peer, options.environments) for peer in peers}
    loads: dict[tuple[str, str, int], list[Load]] = defaultdict(list)
    memory: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temp_dir:
        folder = Path(temp_dir)
        prepare_models(folder)
        names = [name for name in (THALE, *(peer.name for peer in peers)) if name in options.only]
        for turn in range(options.rounds):
            for name in names if turn % 2 == 0 else names[::-1]:
                peer = next((peer for peer in peers if peer.name == name), None)
                with start(peer, pythons, folder, options.workers, options.threads) as server:
                    for size in options.sizes:
                        for clients in CONCURRENCY:
                            load = measure(server, PHOTOGRAPHS[size], clients, options.seconds)
                            loads[size, name, clients].append(load)
                            sys.stdout.write(f"round {turn + 1}: {name}, {size}, {clients} clients: {load}\n")
                            sys.stdout.flush()
                    memory[name].append(server.memory_mib())
    for size in options.sizes:
        print_table(size, names, loads, memory)


def measure(server: RunningServer, photograph: BenchmarkImage, clients: int, seconds: float) -> Load:
    """Send photographs for some seconds, after one request per worker and client."""
    url, body, headers = server.request(photograph)
    asyncio.run(send_for(url, body, headers, clients, 0.0))
    return asyncio.run(send_for(url, body, headers, clients, seconds))


@contextmanager
def start(
    peer: Peer | None, pythons: dict[str, Path], folder: Path, workers: int, threads: int
) -> Iterator[RunningServer]:
    """Run a server until the context ends."""
    port = 18_600
    settings = {
        "SERVING_MODEL": str(folder / "model"),
        "SERVING_THREADS": str(threads),
        "SERVING_WORKERS": str(workers),
        "SERVING_ENGINE": "torch",
        "SERVING_PORT": str(port),
    }
    if peer is None:
        environment = {**os.environ, "THALE_WORKER_THREADS": str(threads), "THALE_FACADE_ACCESS_LOG": "false"}
        home = folder / "home"
        command = python_command("-m", "thale", "up", "--home", str(home), "--port", str(port))
        command += ["--workers", str(workers)]
        path, headers = "/v1/segment", {"Accept": "image/png", "Content-Type": "image/jpeg"}
    else:
        python = pythons[peer.name]
        environment = peer_environment(python, settings)
        own_folder = prepare_peer(peer, python, folder, port, workers)
        command = [part.format(python=python, port=port, folder=own_folder) for part in peer.command]
        media_type = "application/json" if peer.has_json_body else "application/octet-stream"
        path, headers = peer.path, {"Content-Type": media_type}
        environment |= {"LOG_LOCATION": str(own_folder), "METRICS_LOCATION": str(own_folder)}
    log = (folder / "server.log").open("wb")
    process = psutil.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    server = RunningServer(process, f"http://127.0.0.1:{port}{path}", headers, peer is not None and peer.has_json_body)
    try:
        wait_until_ready(server, folder / "server.log")
        yield server
    finally:
        processes = [process, *process.children(recursive=True)]
        process.terminate()
        _, survivors = psutil.wait_procs(processes, timeout=20)
        for survivor in survivors:
            survivor.kill()
        psutil.wait_procs(survivors, timeout=10)
        log.close()


def wait_until_ready(server: RunningServer, log: Path) -> None:
    """Wait for the first class map.

    Raises:
        RuntimeError: If the server ends, or returns no class map in time. The message has the end of its log.
    """
    url, body, headers = server.request(PHOTOGRAPHS["512 px"])
    deadline = time.monotonic() + START_TIMEOUT_S
    answer = "no answer"
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            response = HTTP.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            answer = repr(error)
        else:
            if response.status == 200 and response.data.startswith(b"\x89PNG"):
                return
            answer = f"{response.status} {response.data[:300]!r}"
        time.sleep(0.3)
    raise RuntimeError(f"{server.url} is not ready: {answer}\n{log.read_text(errors='replace')[-3000:]}")


def print_table(
    size: str,
    names: Sequence[str],
    loads: dict[tuple[str, str, int], list[Load]],
    memory: dict[str, list[float]],
) -> None:
    """Print requests per second, percentiles, memory, and thale's multiple of each server, for one size."""
    sys.stdout.write(f"\n{size}: requests/s (p50, p95 in ms) at {CONCURRENCY} clients; PSS; thale's multiple\n")
    for name in names:
        cells = []
        for clients in CONCURRENCY:
            runs = loads[size, name, clients]
            rate = statistics.median(run.requests_per_s for run in runs)
            p50, p95 = (statistics.median(run.percentile_ms(share) for run in runs) for share in (0.5, 0.95))
            own = loads.get((size, THALE, clients))
            multiple = f"{statistics.median(run.requests_per_s for run in own) / rate:.2f}x" if own and rate else "-"
            cells.append(f"{rate:7.2f} ({p50:6.0f}, {p95:6.0f}) {multiple:>6}")
        sys.stdout.write(f"{name:10}  {'   '.join(cells)}   {statistics.median(memory[name]):6.0f} MiB\n")


if __name__ == "__main__":
    main()
