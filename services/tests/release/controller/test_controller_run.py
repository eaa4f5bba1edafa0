"""Loop of the rollout controller: its lease, its poll interval and its end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import generate_latest

from tests.support.controller_harness import CANARY, STABLE, ControllerHarness
from tests.support.fake_facade import FakeFacade
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA
from thale.release.controller.controller import Intervals, RolloutController
from thale.release.controller.leader_election import FileLease
from thale.release.lifecycle import transitions
from thale.telemetry.controller_metrics import CONTROLLER_REGISTRY


@contextmanager
def run_in_background(controller: RolloutController) -> Iterator[None]:
    """Run a controller in a thread until the context ends."""
    stop = threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_controller_does_not_act_without_the_lease(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.lease.release()
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 100)
    assert harness.poll().canary == CANARY
    assert b"thale_release_leader 0.0" in generate_latest(CONTROLLER_REGISTRY)
    assert harness.lease.acquire_or_renew()
    facade.count_fallbacks(CANARY, STABLE, 100)
    harness.poll()
    assert b"thale_release_leader 1.0" in generate_latest(CONTROLLER_REGISTRY)


def test_controller_does_not_act_when_a_poll_loses_the_lease(
    harness: ControllerHarness, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
) -> None:
    facade.count_responses(STABLE, 1000)
    facade.count_fallbacks(CANARY, STABLE, 100)
    is_leader = iter([True])
    monkeypatch.setattr(harness.lease, "is_leader", lambda: next(is_leader, False))
    assert harness.poll().canary == CANARY


def test_controller_stops_on_request_and_releases_the_lease(harness: ControllerHarness) -> None:
    harness.lease.release()
    (harness.folder / "checkpoint.json").unlink()
    other = FileLease(harness.folder / "lease")
    with run_in_background(harness.controller):
        wait_for("the checkpoint", (harness.folder / "checkpoint.json").exists)
        assert not other.acquire_or_renew()
    assert other.acquire_or_renew()
    other.release()


@pytest.mark.slow
def test_controller_polls_at_the_poll_interval(harness: ControllerHarness, facade: FakeFacade) -> None:
    harness.lease.release()
    scrapes_before, started_at = facade.scrapes, time.monotonic()
    with run_in_background(harness.controller):
        wait_for("four polls", lambda: facade.scrapes >= scrapes_before + 4)
    assert time.monotonic() - started_at >= 3 * Intervals().poll_s


def test_controller_stops_when_idle(harness: ControllerHarness) -> None:
    harness.lease.release()
    harness.apply_manually(lambda now: transitions.abort(now, ANNA))
    harness.controller.run(threading.Event(), until_idle=True)
