import pytest

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import InvalidTransitionError
from thale.release.controller.decision import Action, decide, guarded_transition
from thale.release.lifecycle import transitions
from thale.release.lifecycle.history import rollout_started_at, step_started_at
from thale.release.lifecycle.transitions import Author
from thale.schemas import Release, Verdict

WATCHER = Author(who="watcher", why="17 of 200 failed", at="2026-11-21T12:30:00+00:00")


def canary_release(weight: float = 5) -> Release:
    result = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    while result.weight_percent < weight:
        result = transitions.step(result, ANNA)
    return result


def verdict(decision: str, weight: float = 5) -> Verdict:
    return Verdict(
        model="plate-seg", canary="1.1.0", stable="1.0.0", weight_percent=weight, decision=decision, reasons=("so",)
    )


def step_by_hand(release: Release) -> Release:
    """Return the same rollout after a step by hand."""
    return transitions.step(release, Author(who="ben", why="by hand", at="2026-11-21T12:20:00+00:00"))


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
def test_going_forward_takes_the_word_of_every_facade_and_going_back_does_not(
    decision: str, weight: float, all_facades_scraped: bool, action: Action
) -> None:
    assert decide(canary_release(weight), verdict(decision, weight), all_facades_scraped=all_facades_scraped) == action


def test_a_step_that_is_not_among_the_release_s_leads_to_the_next_one() -> None:
    by_hand = canary_release().model_copy(update={"weight_percent": 33.0})
    assert decide(by_hand, verdict("promote", 33), all_facades_scraped=True) == "step"
    assert guarded_transition("step", by_hand, WATCHER, lambda: True)(by_hand).weight_percent == 50


@pytest.mark.parametrize(("action", "weight", "stable"), [("step", 25, "1.0.0"), ("roll back", 0, "1.0.0")])
def test_a_move_is_made_in_the_watcher_s_name(action: Action, weight: float, stable: str) -> None:
    after = guarded_transition(action, canary_release(), WATCHER, lambda: True)(canary_release())
    assert (after.weight_percent, after.stable) == (weight, stable)
    assert (after.history[-1].who, after.history[-1].why) == ("watcher", "17 of 200 failed")


def test_the_last_step_makes_the_canary_stable() -> None:
    after = guarded_transition("promote", canary_release(100), WATCHER, lambda: True)(canary_release(100))
    assert (after.stable, after.canary) == ("1.1.0", None)


@pytest.mark.parametrize("action", ["step", "promote", "roll back"])
def test_who_leads_no_more_changes_nothing(action: Action) -> None:
    with pytest.raises(InvalidTransitionError, match="another watcher"):
        guarded_transition(action, canary_release(), WATCHER, lambda: False)(canary_release())


@pytest.mark.parametrize("action", ["step", "promote"])
def test_a_release_that_somebody_changed_is_not_moved_forward(action: Action) -> None:
    with pytest.raises(InvalidTransitionError, match="judged anew"):
        guarded_transition(action, canary_release(), WATCHER, lambda: True)(step_by_hand(canary_release()))


def test_a_step_by_hand_does_not_save_a_bad_canary() -> None:
    assert (
        guarded_transition("roll back", canary_release(), WATCHER, lambda: True)(step_by_hand(canary_release())).canary
        is None
    )


@pytest.mark.parametrize("action", ["step", "promote", "roll back"])
def test_a_rollout_that_began_anew_is_another_one(action: Action) -> None:
    again = transitions.start_canary(
        transitions.abort(canary_release(), ANNA),
        make_version("1.1.0"),
        Author("ben", "again", "2026-11-21T12:25:00+00:00"),
    )
    for other in (again, transitions.abort(canary_release(), ANNA), transitions.promote(canary_release(), ANNA)):
        with pytest.raises(InvalidTransitionError, match="judged anew"):
            guarded_transition(action, canary_release(), WATCHER, lambda: True)(other)


def test_a_card_with_unknown_numbers_is_no_change() -> None:
    unknown = make_version("1.1.0")
    unknown = unknown.model_copy(update={"card": unknown.card.model_copy(update={"metrics": {"dice": float("nan")}})})
    judged = transitions.start_canary(make_release(), unknown, ANNA)
    now = Release.model_validate_json(judged.model_dump_json())
    assert guarded_transition("step", judged, WATCHER, lambda: True)(now).weight_percent == 25


def test_the_history_tells_when_rollout_and_step_began() -> None:
    trial = step_by_hand(canary_release())
    began = step_started_at(trial)
    assert began is not None
    assert (rollout_started_at(trial), began.isoformat()) == (ANNA.at, "2026-11-21T12:20:00+00:00")
    forgotten = trial.model_copy(update={"history": ()})
    assert (rollout_started_at(forgotten), step_started_at(forgotten)) == ("", None)
