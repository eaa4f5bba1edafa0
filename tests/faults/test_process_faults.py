"""Faults of the processes of the local platform under load: killed, stopped and unloaded, each injected for real.

A response with status 200 is always the measurement without the fault. Every other response is a problem document that
names a temporary failure. The summary of the test run has the recovery times.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.bounded_load import NO_RESPONSE, BoundedLoad
from tests.support.local_platform import PlatformProcess, list_descendants, list_workers, run_platform, write_weights
from tests.support.rollout_environment import sample_plates

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(600)]

STOP_S = 30.0
"""Duration of a stop, as long as a slow disk or a paused virtual machine."""
TEMPORARY = {"model-unavailable", "model-failed", "deadline-exceeded", "overloaded"}
"""The problems after which a client may retry."""
_SUCCESSES = 12

Find = Callable[[int], list[psutil.Process]]


def find_java(pid: int) -> list[psutil.Process]:
    """Return TorchServe, which is the only Java program with workers."""
    return [process for process in list_descendants(pid) if process.name() == "java" and list_workers(process.pid)]


def find_facade(pid: int) -> list[psutil.Process]:
    """Return the facade's server process, without its guard and its worker processes."""
    facades = [process for process in list_descendants(pid) if process.cmdline()[-2:] == ["-m", "thale.facade"]]
    return [process for process in facades if "process_guard" not in " ".join(process.cmdline())]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[PlatformProcess]:
    with run_platform(tmp_path_factory.mktemp("home"), weights) as running:
        yield running


def inject(platform: PlatformProcess, fault: str, action: Callable[[], object], clients: int = 2) -> BoundedLoad:
    """Inject a fault under load, wait for the recovery, record it, and check what holds for every fault."""
    load = BoundedLoad(platform.url, sample_plates()[:4], clients)
    baseline = load.measure_baseline()
    with load.run():
        load.wait_for_successes(4)
        injected_at_s = time.monotonic()
        action()
        load.wait_for_successes(_SUCCESSES)
    load.report(fault, injected_at_s)
    assert load.wrong_measurements(baseline) == []
    assert {exchange.problem for exchange in load.failures() if exchange.status != NO_RESPONSE} <= TEMPORARY
    return load


def test_platform_recovers_when_a_worker_is_killed(platform: PlatformProcess) -> None:
    [*workers] = list_workers(platform.process.pid)
    load = inject(platform, "a killed worker", workers[0].kill)
    assert NO_RESPONSE not in {exchange.status for exchange in load.failures()}


def test_platform_recovers_when_the_jvm_is_killed(platform: PlatformProcess) -> None:
    [java] = find_java(platform.process.pid)
    load = inject(platform, "a killed JVM", java.kill)
    assert NO_RESPONSE not in {exchange.status for exchange in load.failures()}


def test_platform_recovers_when_the_facade_is_killed(platform: PlatformProcess) -> None:
    """Requests in flight end without a response. A retry returns the same measurement."""
    [facade] = find_facade(platform.process.pid)
    inject(platform, "a killed facade", facade.kill)


@pytest.fixture(scope="module")
def stopped_loads(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> dict[str, BoundedLoad]:
    """Stop one process of each of three platforms, all at the same time, because a stop costs no CPU time."""
    finders: dict[str, Find] = {"JVM": find_java, "worker": lambda pid: list_workers(pid)[:1], "facade": find_facade}

    def run(name: str, platform: PlatformProcess) -> BoundedLoad:
        fault = f"a {name} stopped for {STOP_S:g} s"
        return inject(platform, fault, lambda: _stop_for_a_while(*finders[name](platform.process.pid)), clients=1)

    with ExitStack() as stack:
        homes = [tmp_path_factory.mktemp(name) for name in finders]
        platforms = [stack.enter_context(run_platform(home, weights)) for home in homes]
        with ThreadPoolExecutor(len(finders)) as pool:
            return dict(zip(finders, pool.map(run, finders, platforms), strict=True))


@pytest.mark.parametrize("name", ["JVM", "worker", "facade"])
def test_platform_recovers_when_a_process_was_stopped(stopped_loads: dict[str, BoundedLoad], name: str) -> None:
    """A request that waits for a stopped process is answered after it continues: nothing accepted is lost."""
    assert NO_RESPONSE not in {exchange.status for exchange in stopped_loads[name].failures()}


def _stop_for_a_while(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        time.sleep(STOP_S)
    finally:
        os.kill(process.pid, signal.SIGCONT)
