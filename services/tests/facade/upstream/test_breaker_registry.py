"""Whose breaker it is: a version's, for as long as it keeps its role."""

from pathlib import Path

from prometheus_client import REGISTRY

from thale.facade.settings import Settings
from thale.facade.upstream.breaker_registry import Breakers
from thale.facade.upstream.routing import Choice
from thale.schemas import Release, ReleaseRecord

STABLE, CANARY = "1.0.0", "1.1.0"
SETTINGS = Settings(record_path=Path("record.json"))
CHOICE = Choice("plate-seg", CANARY, "segmentation", "sha256:a", "sha256:w", ("background", "root"), role="canary")


def record(canary: str | None) -> ReleaseRecord:
    release = Release.model_construct(task="segmentation", stable=STABLE, versions={}, canary=canary)
    return ReleaseRecord.model_construct(models={"plate-seg": release})


def is_told_open() -> bool:
    return REGISTRY.get_sample_value("thale_model_breaker_open", {"model": "plate-seg", "version": CANARY}) == 1


def fail(breakers: Breakers) -> None:
    for _ in range(SETTINGS.breaker_failures):
        breakers.note(CHOICE, failed=True)


def test_a_version_that_keeps_its_role_keeps_its_breaker() -> None:
    breakers = Breakers(SETTINGS)
    breakers.follow(record(CANARY))
    fail(breakers)
    breakers.follow(record(CANARY))
    assert not breakers.admits(CHOICE)
    assert is_told_open()


def test_a_version_that_was_taken_back_is_asked_anew_when_it_is_tried_again() -> None:
    breakers = Breakers(SETTINGS)
    breakers.follow(record(CANARY))
    fail(breakers)
    breakers.follow(record(None))
    assert not is_told_open()
    fail(breakers)  # requests that were on their way
    assert not breakers.admits(CHOICE)
    assert not is_told_open()
    breakers.follow(record(CANARY))
    assert breakers.admits(CHOICE)
