"""Whole rollouts under steady load, through the real TorchServe, facade and watcher: no user may notice a bad one."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.rollout_environment import CANARY, STABLE, Stage, Users, eventually, running_stage
from thale.schemas import Change
from thale.slo import Slo, read_slo

RATE_HZ = 20.0
STEPS = (50.0, 100.0)
TROUBLE_AFTER = 20
"""Answers of a canary before its trouble begins: it was loaded and warm, and looked good."""
_PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="module")
def slo() -> Slo:
    """The limits that thale comes with, but sooner content: a test has a minute where a rollout has an hour."""
    told = read_slo().model_dump()
    told["judge"]["least_answers"] = 40
    told["judge"]["least_plates"] = 40
    told["judge"] |= {"series_plates": 1, "empty_series_plates": 1}
    told["judge"]["margins"] |= {"failing": 0.1, "shadow_failing": 0.1, "disagreeing": 0.1}
    return Slo.model_validate(told)


def last_change(stage: Stage) -> Change:
    return stage.release().history[-1]


def test_a_good_version_is_promoted_and_nobody_notices(stage: Stage, slo: Slo) -> None:
    stage.be("good")
    with Users(stage.url, RATE_HZ).asking() as users, stage.watched(slo):
        stage.start_trial(steps=STEPS)
        eventually(lambda: stage.release().stable == CANARY, _PATIENCE_S)
        served = len(users.statuses)
        eventually(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.troubles
    assert [change.what for change in stage.release().history[-3:]] == ["canary", "step", "promote"]
    assert set(users.versions) == {STABLE, CANARY}
    assert users.versions[-1] == CANARY
    stage.roll_back_to(stage.actuator.find("plate-seg", STABLE))


@pytest.mark.parametrize("mood", ["throws", "is slow", "sees nothing"])
def test_a_bad_version_is_taken_back_and_nobody_notices(stage: Stage, slo: Slo, mood: str) -> None:
    stage.be("good")
    with Users(stage.url, RATE_HZ).asking() as users, stage.watched(slo):
        stage.start_trial(steps=STEPS)
        eventually(lambda: users.versions.count(CANARY) > TROUBLE_AFTER)
        stage.be(mood)
        eventually(lambda: stage.release().canary is None, _PATIENCE_S)
        served = len(users.statuses)
        eventually(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.troubles
    assert (last_change(stage).what, last_change(stage).version) == ("roll back", CANARY)
    assert stage.release().stable == STABLE
    assert users.versions[-1] == STABLE


def test_a_version_whose_workers_die_is_taken_back_and_nobody_notices(stage: Stage, slo: Slo) -> None:
    stage.be("good")
    with Users(stage.url, RATE_HZ).asking() as users, stage.watched(slo):
        stage.start_trial(steps=STEPS)
        eventually(lambda: users.versions.count(CANARY) > TROUBLE_AFTER)
        over = threading.Event()
        while stage.release().canary is not None:
            stage.kill_canary_workers()
            over.wait(0.5)
        served = len(users.statuses)
        eventually(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.troubles
    assert last_change(stage).what == "roll back"


def test_what_was_taken_back_is_unloaded(stage: Stage) -> None:
    eventually(lambda: not stage.torchserve.worker_states("plate-seg", CANARY))
    assert stage.torchserve.worker_states("plate-seg", STABLE) == ["READY"]
