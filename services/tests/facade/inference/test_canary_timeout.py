"""Tests of the timeout of canaries relative to the stable version's latency."""

from pathlib import Path

import pytest

from tests.support.sample_releases import make_version
from thale.facade.inference.canary_timeout import CanaryTimeout
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.routing import Route

STABLE = Route.from_manifest(make_version("1.0.0").model_copy(update={"url": "http://stable"}))
CANARY = Route.from_manifest(
    make_version("1.1.0").model_copy(update={"url": "http://canary"}), role="canary", fallback=STABLE
)


def make_timeout() -> CanaryTimeout:
    return CanaryTimeout(FacadeSettings(release_state_path=Path("release-state.json")))


def test_canary_timeout_is_the_minimum_for_a_fast_stable() -> None:
    timeout = make_timeout()
    assert timeout.seconds(CANARY) == 10
    for _ in range(100):
        timeout.record(STABLE, 0.3)
    assert timeout.seconds(CANARY) == 10


def test_canary_timeout_follows_a_slow_stable() -> None:
    """With a constant timeout of 10 s, each response of an equally slow canary would be late."""
    timeout = make_timeout()
    for number in range(100):
        timeout.record(STABLE, 12.0 if number % 2 else 3.0)
    assert timeout.seconds(CANARY) == 36
    for _ in range(300):
        timeout.record(STABLE, 1.0)
    assert timeout.seconds(CANARY) == 10


def test_canary_timeout_ignores_the_latency_of_canaries() -> None:
    timeout = make_timeout()
    timeout.record(CANARY, 50.0)
    assert timeout.seconds(CANARY) == 10


def test_canary_timeout_ignores_a_single_slow_response() -> None:
    timeout = make_timeout()
    for number in range(200):
        timeout.record(STABLE, 50.0 if number == 7 else 4.0)
    assert timeout.seconds(CANARY) == 12


@pytest.mark.parametrize(
    ("stable_s", "allowed_s", "is_full"), [(0.3, 10, True), (0.3, 9, False), (12, 20, False), (12, 29, True)]
)
def test_full_attempt_is_relative_to_the_timeout(stable_s: float, allowed_s: float, *, is_full: bool) -> None:
    """A hung canary must open its circuit breaker, although the deadline ends before its timeout."""
    timeout = make_timeout()
    timeout.record(STABLE, stable_s)
    assert timeout.is_full_attempt(CANARY, allowed_s) == is_full


def test_p99_of_100_responses_excludes_the_slowest() -> None:
    timeout = make_timeout()
    for seconds in (*[12.0] * 99, 50.0):
        timeout.record(STABLE, seconds)
    assert timeout.seconds(CANARY) == 36
