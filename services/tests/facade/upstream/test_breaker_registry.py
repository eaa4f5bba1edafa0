"""Tests of the breaker registry: a version has one breaker while it keeps its role."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from thale.facade.settings import FacadeSettings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.routing import Route
from thale.release.judge.policy import read_policy
from thale.release.judge.sequential_tests import Counts, Evidence, RateTest
from thale.schemas import Release, ReleaseState

STABLE, CANARY = "1.0.0", "1.1.0"
SETTINGS = FacadeSettings(release_state_path=Path("release-state.json"))
ROUTE = Route("plate-seg", CANARY, "segmentation", "sha256:a", "sha256:w", ("background", "root"), role="canary")


def make_release_state(canary: str | None) -> ReleaseState:
    release = Release.model_construct(task="segmentation", stable=STABLE, versions={}, canary=canary)
    return ReleaseState.model_construct(models={"plate-seg": release})


def is_gauge_open() -> bool:
    return REGISTRY.get_sample_value("thale_model_breaker_open", {"model": "plate-seg", "version": CANARY}) == 1


def record_failures(breakers: BreakerRegistry) -> None:
    for _ in range(SETTINGS.canary_breaker_failures):
        breakers.record(ROUTE, is_failure=True)


def test_registry_keeps_the_breaker_of_an_unchanged_role() -> None:
    breakers = BreakerRegistry(SETTINGS)
    breakers.sync(make_release_state(CANARY))
    record_failures(breakers)
    breakers.sync(make_release_state(CANARY))
    assert not breakers.allows(ROUTE)
    assert is_gauge_open()


def test_registry_resets_the_breaker_after_a_rollback() -> None:
    breakers = BreakerRegistry(SETTINGS)
    breakers.sync(make_release_state(CANARY))
    record_failures(breakers)
    breakers.sync(make_release_state(None))
    assert not is_gauge_open()
    record_failures(breakers)  # requests in flight at the rollback
    assert not breakers.allows(ROUTE)
    assert not is_gauge_open()
    breakers.sync(make_release_state(CANARY))
    assert breakers.allows(ROUTE)


def test_stable_and_canary_have_thresholds_of_their_own() -> None:
    breakers = BreakerRegistry(SETTINGS)
    stable = replace(ROUTE, version=STABLE, role="stable")
    for route, failures in ((stable, SETTINGS.breaker_failures), (ROUTE, SETTINGS.canary_breaker_failures)):
        for _ in range(failures - 1):
            breakers.record(route, is_failure=True)
        assert breakers.allows(route)
        breakers.record(route, is_failure=True)
        assert not breakers.allows(route)


@pytest.mark.parametrize("good", [0, 10, 200, 500, 1000])
def test_breaker_opens_no_earlier_than_the_judge_decides(good: int) -> None:
    policy = read_policy()
    test, evidence = RateTest(policy.margins.failures), Evidence()
    for _ in range(good):
        evidence = test.update(evidence, Counts(0, 1), Counts(0, 3))
    breakers, failures = BreakerRegistry(SETTINGS), 0
    while breakers.allows(ROUTE):
        breakers.record(ROUTE, is_failure=True)
        evidence = test.update(evidence, Counts(1, 1), Counts(0, 3))
        failures += 1
    assert failures == SETTINGS.canary_breaker_failures
    assert evidence.log_regression > -math.log(policy.false_rollback_rate * policy.shares.failures)
