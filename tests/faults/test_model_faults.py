"""Faults of a model version and of facades under load: a slow model, errors, one of two facades killed, a clock jump.

The stack is a real TorchServe with stub models and real facade processes. The summary of the test run has the recovery
times.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import libfaketime
import pytest

from tests.support import stub_segmenter
from tests.support.bounded_load import NO_RESPONSE, BoundedLoad
from tests.support.rollout_environment import STABLE, RolloutEnvironment, run_rollout_environment, sample_plates
from tests.support.torchserve_process import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(600)]

_SETTINGS = {"THALE_REQUEST_TIMEOUT_S": "8"}
_PLATES = 4


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutEnvironment]:
    with run_rollout_environment(tmp_path_factory.mktemp("stack"), _SETTINGS) as running:
        yield running


def test_facade_serves_the_rest_when_one_in_ten_fails(environment: RolloutEnvironment) -> None:
    """An error of the stable version fails its own request, and opens no circuit breaker."""
    load = BoundedLoad(environment.url, sample_plates()[:_PLATES])
    baseline = load.measure_baseline()
    with load.run():
        load.wait_for_successes(4)
        injected_at_s = time.monotonic()
        environment.set_fault("intermittent exception", STABLE)
        _wait_for_exchanges(load, 60)
        environment.set_fault("good", STABLE)
        load.wait_for_successes(12)
    load.report("one error in ten", injected_at_s)
    failures = load.failures(injected_at_s)
    assert load.wrong_measurements(baseline) == []
    assert {(exchange.status, exchange.problem) for exchange in failures} == {(502, "model-failed")}
    assert 3 <= len(failures) <= 12


def test_facade_rejects_in_time_when_a_model_is_slow(environment: RolloutEnvironment) -> None:
    """Clients get a measurement or a temporary failure within the deadline, never a hanging connection."""
    load = BoundedLoad(environment.url, sample_plates()[:_PLATES], clients=6)
    baseline = load.measure_baseline()
    with load.run():
        load.wait_for_successes(4)
        injected_at_s = time.monotonic()
        environment.set_fault("slow", STABLE)
        time.sleep(8 * stub_segmenter.DELAY_S)
        environment.set_fault("good", STABLE)
        repaired_at_s = time.monotonic()
        load.wait_for_successes(12)
    load.report("a slow model", repaired_at_s)
    failures = load.failures(injected_at_s)
    assert failures
    assert load.wrong_measurements(baseline) == []
    assert {exchange.problem for exchange in failures} <= {"deadline-exceeded", "overloaded", "model-unavailable"}
    assert max(exchange.ended_s - exchange.started_s for exchange in load.exchanges) < 40


def test_other_facade_serves_when_one_of_two_is_killed(environment: RolloutEnvironment) -> None:
    """A client that retries at the other facade gets the same measurement."""
    with _second_facade(environment) as (url, process):
        first, second = (
            BoundedLoad(address, sample_plates()[:_PLATES], clients=1) for address in (environment.url, url)
        )
        baseline = first.measure_baseline()
        assert second.measure_baseline() == baseline
        with first.run():
            with second.run():
                first.wait_for_successes(4)
                second.wait_for_successes(4)
                killed_at_s = time.monotonic()
                process.send_signal(signal.SIGKILL)
                process.wait(60)
            first.wait_for_successes(12)
        first.report("a killed facade of two, at the other", killed_at_s)
    assert first.failures() == []
    assert {exchange.status for exchange in second.failures()} <= {NO_RESPONSE}
    assert first.wrong_measurements(baseline) + second.wrong_measurements(baseline) == []


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_facade_serves_when_the_clock_jumps(environment: RolloutEnvironment, jump: str) -> None:
    """Deadlines, circuit breakers and limits use the monotonic clock."""
    offset = environment.folder / "clock-offset"
    offset.write_text("+0")
    clock = {
        "LD_PRELOAD": str(Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with _second_facade(environment, **clock) as (url, _):
        load = BoundedLoad(url, sample_plates()[:_PLATES])
        baseline = load.measure_baseline()
        with load.run():
            load.wait_for_successes(4)
            jumped_at_s = time.monotonic()
            offset.write_text(jump)
            assert abs(_clock_offset_h(url) - {"+1d": 24, "-1d": -24}[jump]) < 1, "the clock did not jump"
            load.wait_for_successes(12)
        load.report(f"a clock jump of {jump}", jumped_at_s)
    assert load.failures() == []
    assert load.wrong_measurements(baseline) == []


@contextmanager
def _second_facade(
    environment: RolloutEnvironment, **variables: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run another facade on the same release state and model server."""
    port, metrics_port = free_ports(2)
    torchserve = environment.torchserve
    settings = {
        **os.environ,
        **_SETTINGS,
        "THALE_RELEASE_STATE_PATH": str(environment.folder / "release-state.json"),
        "THALE_PORT": str(port),
        "THALE_METRICS_PORT": str(metrics_port),
        "THALE_MODEL_URL": f"http://127.0.0.1:{torchserve.inference_port}",
        "THALE_MANAGEMENT_URL": f"http://127.0.0.1:{torchserve.management_port}",
        **variables,
    }
    log_path = environment.folder / "second-facade.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=settings, stderr=log)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health/ready", log_path)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait(60)


def _wait_until_ready(url: str, log_path: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            pass  # not listening, or not ready
        time.sleep(0.1)
    raise AssertionError(log_path.read_text())


def _clock_offset_h(url: str) -> float:
    """Return the difference in hours between the clock of a facade and the clock of this process."""
    request = Request(f"{url}/v1/phenotype", data=sample_plates()[0])
    with urlopen(request, timeout=60) as response:
        created = datetime.fromisoformat(json.load(response)["provenance"]["created"])
    return (created - datetime.now(UTC)).total_seconds() / 3600


def _wait_for_exchanges(load: BoundedLoad, count: int) -> None:
    """Wait until the clients have finished this many more requests."""
    last, deadline = len(load.exchanges) + count, time.monotonic() + 240
    while len(load.exchanges) < last:
        assert time.monotonic() < deadline
        time.sleep(0.05)
