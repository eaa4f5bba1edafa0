"""Whole rollouts under steady load, through the real TorchServe, facade and watcher: no user may notice a bad one."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.rollout_environment import CANARY, STABLE, RolloutEnvironment, SimulatedUsers, wait_until, run_rollout_environment
from thale.schemas import ReleaseEvent
from thale.slo import Slo, read_slo

RATE_HZ = 20.0
STEPS = (50.0, 100.0)
GOOD_RESPONSES_BEFORE_FAULT = 20
"""Answers of a canary before its trouble begins: it was loaded and warm, and looked good."""
_TIMEOUT_S = 240.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutEnvironment]:
    with run_rollout_environment(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="module")
def slo() -> Slo:
    """The limits that thale comes with, but sooner content: a test has a minute where a rollout has an hour."""
    values = read_slo().model_dump()
    values["judge"]["least_answers"] = 40
    values["judge"]["least_plates"] = 40
    values["judge"] |= {"series_plates": 1, "empty_series_plates": 1}
    values["judge"]["margins"] |= {"failing": 0.1, "shadow_failing": 0.1, "disagreeing": 0.1}
    return Slo.model_validate(values)


def last_event(stage: RolloutEnvironment) -> ReleaseEvent:
    return stage.release().history[-1]


def test_a_good_version_is_promoted_and_nobody_notices(stage: RolloutEnvironment, slo: Slo) -> None:
    stage.set_fault("good")
    with SimulatedUsers(stage.url, RATE_HZ).run() as users, stage.run_controller(slo):
        stage.start_canary(steps=STEPS)
        wait_until(lambda: stage.release().stable == CANARY, _TIMEOUT_S)
        served = len(users.statuses)
        wait_until(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.errors
    assert [change.what for change in stage.release().history[-3:]] == ["canary", "step", "promote"]
    assert set(users.versions) == {STABLE, CANARY}
    assert users.versions[-1] == CANARY
    stage.roll_back_to(stage.target.find("plate-seg", STABLE))


@pytest.mark.parametrize("mood", ["throws", "is slow", "sees nothing"])
def test_a_bad_version_is_taken_back_and_nobody_notices(stage: RolloutEnvironment, slo: Slo, mood: str) -> None:
    stage.set_fault("good")
    with SimulatedUsers(stage.url, RATE_HZ).run() as users, stage.run_controller(slo):
        stage.start_canary(steps=STEPS)
        wait_until(lambda: users.versions.count(CANARY) > GOOD_RESPONSES_BEFORE_FAULT)
        stage.set_fault(mood)
        wait_until(lambda: stage.release().canary is None, _TIMEOUT_S)
        served = len(users.statuses)
        wait_until(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.errors
    assert (last_event(stage).what, last_event(stage).version) == ("roll back", CANARY)
    assert stage.release().stable == STABLE
    assert users.versions[-1] == STABLE


def test_a_version_whose_workers_die_is_taken_back_and_nobody_notices(stage: RolloutEnvironment, slo: Slo) -> None:
    stage.set_fault("good")
    with SimulatedUsers(stage.url, RATE_HZ).run() as users, stage.run_controller(slo):
        stage.start_canary(steps=STEPS)
        wait_until(lambda: users.versions.count(CANARY) > GOOD_RESPONSES_BEFORE_FAULT)
        over = threading.Event()
        while stage.release().canary is not None:
            stage.kill_canary_workers()
            over.wait(0.5)
        served = len(users.statuses)
        wait_until(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.errors
    assert last_event(stage).what == "roll back"


def test_what_was_taken_back_is_unloaded(stage: RolloutEnvironment) -> None:
    wait_until(lambda: not stage.torchserve.worker_states("plate-seg", CANARY))
    assert stage.torchserve.worker_states("plate-seg", STABLE) == ["READY"]
