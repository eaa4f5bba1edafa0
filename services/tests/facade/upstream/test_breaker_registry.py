"""Tests of the breaker registry: a version has one breaker while it keeps its role."""

from pathlib import Path

from prometheus_client import REGISTRY

from thale.facade.settings import FacadeSettings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.routing import Route
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
    for _ in range(SETTINGS.breaker_failures):
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
