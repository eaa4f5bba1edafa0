"""Complete rollouts under constant load on the real TorchServe, facade and controller. Users must see no errors."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.rollout_environment import (
    CANARY,
    STABLE,
    RolloutEnvironment,
    SimulatedUsers,
    run_rollout_environment,
    wait_until,
)
from thale.release.judge.policy import JudgePolicy, read_policy
from thale.schemas import ReleaseEvent

pytestmark = pytest.mark.integration

RATE_HZ = 20.0
STEPS = (50.0, 100.0)
GOOD_RESPONSES_BEFORE_FAULT = 20
"""Good responses of the canary before the fault, so that it is loaded and warm."""
STABLE_AGAIN = 20
"""Responses of the stable version in a row that show that the canary gets no more requests."""
_TIMEOUT_S = 240.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutEnvironment]:
    with run_rollout_environment(tmp_path_factory.mktemp("environment")) as running:
        yield running


@pytest.fixture(scope="module")
def policy() -> JudgePolicy:
    """Return the default policy with smaller samples and larger margins, because a test has only a minute."""
    values = read_policy().model_dump()
    values |= {"min_requests": 40, "min_plates": 40, "plate_cluster_size": 1, "empty_plate_cluster_size": 1}
    values["margins"] |= {"failures": 0.1, "shadow_failures": 0.1, "shadow_disagreement": 0.1}
    return JudgePolicy.model_validate(values)


def last_event(environment: RolloutEnvironment) -> ReleaseEvent:
    return environment.release().history[-1]


def test_rollout_promotes_a_good_version_without_user_errors(
    environment: RolloutEnvironment, policy: JudgePolicy
) -> None:
    environment.set_fault("good")
    with SimulatedUsers(environment.url, RATE_HZ).run() as users, environment.run_controller(policy):
        environment.start_canary(steps=STEPS)
        wait_until(lambda: environment.release().stable == CANARY, _TIMEOUT_S)
        served = len(users.statuses)
        wait_until(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.errors
    assert [event.what for event in environment.release().history[-3:]] == ["canary", "step", "promote"]
    assert set(users.versions) == {STABLE, CANARY}
    assert users.versions[-1] == CANARY
    environment.roll_back_to(environment.target.find("plate-seg", STABLE))


@pytest.mark.parametrize("fault", ["exception", "slow", "all background"])
def test_rollout_rolls_back_a_bad_version_without_user_errors(
    environment: RolloutEnvironment, policy: JudgePolicy, fault: str
) -> None:
    environment.set_fault("good")
    with SimulatedUsers(environment.url, RATE_HZ).run() as users, environment.run_controller(policy):
        environment.start_canary(steps=STEPS)
        wait_until(lambda: users.versions.count(CANARY) > GOOD_RESPONSES_BEFORE_FAULT)
        environment.set_fault(fault)
        wait_until(lambda: environment.release().canary is None, _TIMEOUT_S)
        # Slow responses of the canary that began before the rollback arrive after it.
        served = len(users.versions)
        wait_until(lambda: users.versions[served:].count(STABLE) >= STABLE_AGAIN)
        wait_until(lambda: set(users.versions[-STABLE_AGAIN:]) == {STABLE})
    assert set(users.statuses) == {200}, users.errors
    assert (last_event(environment).what, last_event(environment).version) == ("roll back", CANARY)
    assert environment.release().stable == STABLE


def test_rollout_rolls_back_a_version_with_crashing_workers(
    environment: RolloutEnvironment, policy: JudgePolicy
) -> None:
    environment.set_fault("good")
    with SimulatedUsers(environment.url, RATE_HZ).run() as users, environment.run_controller(policy):
        environment.start_canary(steps=STEPS)
        wait_until(lambda: users.versions.count(CANARY) > GOOD_RESPONSES_BEFORE_FAULT)
        never_set = threading.Event()
        while environment.release().canary is not None:
            environment.kill_canary_workers()
            never_set.wait(0.5)
        served = len(users.statuses)
        wait_until(lambda: len(users.statuses) > served + 20)
    assert set(users.statuses) == {200}, users.errors
    assert last_event(environment).what == "roll back"


def test_rollout_unloads_a_rolled_back_version(environment: RolloutEnvironment) -> None:
    wait_until(lambda: not environment.torchserve.worker_states("plate-seg", CANARY))
    assert environment.torchserve.worker_states("plate-seg", STABLE) == ["READY"]
