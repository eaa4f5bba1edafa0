import pytest

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import InvalidTransitionError
from thale.release.controller.decision import Action, decide, guarded_transition
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.schemas import Release, Verdict

CONTROLLER = Author(who="controller", why="17 of 200 failed", at="2026-11-21T12:30:00+00:00")


def canary_release(weight: float = 5) -> Release:
    release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    while release.weight_percent < weight:
        release = transitions.step(release, ANNA)
    return release


def verdict(decision: str, weight: float = 5) -> Verdict:
    return Verdict(
        model="plate-seg", canary="1.1.0", stable="1.0.0", weight_percent=weight, decision=decision, reasons=("so",)
    )


def manual_step(release: Release) -> Release:
    """Return the same rollout after a manual step."""
    return transitions.step(release, Author(who="ben", why="manual", at="2026-11-21T12:20:00+00:00"))


@pytest.mark.parametrize(
    ("decision", "weight", "all_facades_scraped", "action"),
    [
        ("promote", 5, True, "step"),
        ("promote", 50, True, "step"),
        ("promote", 100, True, "promote"),
        ("promote", 5, False, "wait"),
        ("promote", 100, False, "wait"),
        ("hold", 5, True, "wait"),
        ("inconclusive", 100, True, "wait"),
        ("roll back", 5, True, "roll back"),
        ("roll back", 100, False, "roll back"),
    ],
)
def test_decide_requires_all_facades_except_for_a_rollback(
    decision: str, weight: float, all_facades_scraped: bool, action: Action
) -> None:
    assert decide(canary_release(weight), verdict(decision, weight), all_facades_scraped=all_facades_scraped) == action


def test_decide_steps_from_a_manual_weight_to_the_next_step() -> None:
    release = canary_release().model_copy(update={"weight_percent": 33.0})
    assert decide(release, verdict("promote", 33), all_facades_scraped=True) == "step"
    assert guarded_transition("step", release, CONTROLLER, lambda: True)(release).weight_percent == 50


@pytest.mark.parametrize(("action", "weight", "stable"), [("step", 25, "1.0.0"), ("roll back", 0, "1.0.0")])
def test_guarded_transition_records_the_author(action: Action, weight: float, stable: str) -> None:
    after = guarded_transition(action, canary_release(), CONTROLLER, lambda: True)(canary_release())
    assert (after.weight_percent, after.stable) == (weight, stable)
    assert (after.history[-1].who, after.history[-1].why) == ("controller", "17 of 200 failed")


def test_guarded_transition_promotes_after_the_last_step() -> None:
    after = guarded_transition("promote", canary_release(100), CONTROLLER, lambda: True)(canary_release(100))
    assert (after.stable, after.canary) == ("1.1.0", None)


@pytest.mark.parametrize("action", ["step", "promote", "roll back"])
def test_guarded_transition_raises_without_leadership(action: Action) -> None:
    with pytest.raises(InvalidTransitionError, match="no longer the leader"):
        guarded_transition(action, canary_release(), CONTROLLER, lambda: False)(canary_release())


@pytest.mark.parametrize("action", ["step", "promote"])
def test_guarded_transition_raises_when_the_release_changed(action: Action) -> None:
    with pytest.raises(InvalidTransitionError, match="judges it again"):
        guarded_transition(action, canary_release(), CONTROLLER, lambda: True)(manual_step(canary_release()))


def test_guarded_transition_rolls_back_after_a_manual_step() -> None:
    assert (
        guarded_transition("roll back", canary_release(), CONTROLLER, lambda: True)(
            manual_step(canary_release())
        ).canary
        is None
    )


@pytest.mark.parametrize("action", ["step", "promote", "roll back"])
def test_guarded_transition_raises_for_another_rollout(action: Action) -> None:
    restarted = transitions.start_canary(
        transitions.abort(canary_release(), ANNA),
        make_version("1.1.0"),
        Author("ben", "again", "2026-11-21T12:25:00+00:00"),
    )
    for other in (restarted, transitions.abort(canary_release(), ANNA), transitions.promote(canary_release(), ANNA)):
        with pytest.raises(InvalidTransitionError, match="judges it again"):
            guarded_transition(action, canary_release(), CONTROLLER, lambda: True)(other)


def test_guarded_transition_accepts_nan_in_an_unchanged_card() -> None:
    version = make_version("1.1.0")
    version = version.model_copy(update={"card": version.card.model_copy(update={"metrics": {"dice": float("nan")}})})
    judged = transitions.start_canary(make_release(), version, ANNA)
    restored = Release.model_validate_json(judged.model_dump_json())
    assert guarded_transition("step", judged, CONTROLLER, lambda: True)(restored).weight_percent == 25
