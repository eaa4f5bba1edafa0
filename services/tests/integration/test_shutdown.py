"""Integration tests of the end of `thale up`: accepted requests are completed, and a second Ctrl-C ends it at once."""

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.support.local_platform import (
    TIMEOUT_S,
    PlatformProcess,
    list_descendants,
    run_platform,
    wait_for,
    wait_until_all_exited,
)
from tests.support.sample_images import png
from thale.local.data_dir import DataDir
from thale.local.platform import FACADE_GRACE_S
from thale.local.process_guard import GRACE_PERIOD_S

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]

_PLATES = 4


@pytest.fixture
def busy(tmp_path: Path, weights: Path) -> Iterator[tuple[PlatformProcess, list["Future[int]"], psutil.Process]]:
    """Run a platform with four plates in flight, which wait for a stopped TorchServe."""
    with run_platform(tmp_path / "home", weights) as platform, ThreadPoolExecutor(_PLATES) as pool:
        java = next(each for each in list_descendants(platform.process.pid) if each.name() == "java")
        java.suspend()
        try:
            responses = [pool.submit(request_phenotype, platform.url) for _ in range(_PLATES)]
            wait_for("the requests in flight", lambda: count_in_flight(platform.home) == _PLATES)
            yield platform, responses, java
        finally:
            if java.is_running():
                java.resume()


def request_phenotype(url: str) -> int:
    headers = {"Content-Type": "image/png"}
    request = Request(f"{url}/v1/phenotype?mm_per_px=0.25", data=png(), headers=headers)
    with urlopen(request, timeout=TIMEOUT_S) as response:
        return int(response.status)


def count_in_flight(home: Path) -> int:
    running = DataDir(home).find_running_platform()
    assert running is not None
    with urlopen(running.metrics_url, timeout=TIMEOUT_S) as response:
        lines = response.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("thale_facade_in_flight "))))


def refuses_connections(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=TIMEOUT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_up_completes_requests_in_flight_on_sigterm(
    busy: tuple[PlatformProcess, list["Future[int]"], psutil.Process],
) -> None:
    platform, responses, java = busy
    processes = list_descendants(platform.process.pid)
    platform.process.terminate()
    started_s = time.monotonic()
    wait_for("a refused connection", lambda: refuses_connections(platform.url))
    assert not any(response.done() for response in responses)
    java.resume()
    assert [response.result(TIMEOUT_S) for response in responses] == [200] * _PLATES
    assert platform.process.wait(TIMEOUT_S) == 0
    seconds = time.monotonic() - started_s
    print(f"end of the platform with {_PLATES} plates in flight: {seconds:.1f} s")  # noqa: T201
    assert seconds < FACADE_GRACE_S + GRACE_PERIOD_S
    assert wait_until_all_exited(processes)


def test_up_stops_at_once_on_second_interrupt(
    busy: tuple[PlatformProcess, list["Future[int]"], psutil.Process],
) -> None:
    platform, responses, _ = busy
    processes = list_descendants(platform.process.pid)
    platform.process.send_signal(signal.SIGINT)
    started_s = time.monotonic()
    wait_for("a refused connection", lambda: refuses_connections(platform.url))
    platform.process.send_signal(signal.SIGINT)
    platform.process.wait(TIMEOUT_S)
    assert wait_until_all_exited(processes)
    assert time.monotonic() - started_s < FACADE_GRACE_S  # a first interrupt takes at least the facade's own 10 s
    assert all(response.exception(TIMEOUT_S) for response in responses)
