import pytest

from tests.support.sample_releases import ANNA, release, version
from thale.errors import PlanError
from thale.release.controller.decision import Move, decide, planned
from thale.release.lifecycle import transitions
from thale.release.lifecycle.history import rollout_began, step_began
from thale.release.lifecycle.transitions import Signature
from thale.schemas import Release, Verdict

WATCHER = Signature(who="watcher", why="17 of 200 failed", at="2026-11-21T12:30:00+00:00")


def on_trial(weight: float = 5) -> Release:
    trial = transitions.canary(release(), version("1.1.0"), ANNA)
    while trial.weight_percent < weight:
        trial = transitions.step(trial, ANNA)
    return trial


def verdict(decision: str, weight: float = 5) -> Verdict:
    return Verdict(
        model="plate-seg", canary="1.1.0", stable="1.0.0", weight_percent=weight, decision=decision, reasons=("so",)
    )


def later(release: Release) -> Release:
    """Return the same rollout after a step by hand."""
    return transitions.step(release, Signature(who="ben", why="by hand", at="2026-11-21T12:20:00+00:00"))


@pytest.mark.parametrize(
    ("decision", "weight", "everything_heard", "move"),
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
    decision: str, weight: float, everything_heard: bool, move: Move
) -> None:
    assert decide(on_trial(weight), verdict(decision, weight), everything_heard=everything_heard) == move


def test_a_step_that_is_not_among_the_release_s_leads_to_the_next_one() -> None:
    by_hand = on_trial().model_copy(update={"weight_percent": 33.0})
    assert decide(by_hand, verdict("promote", 33), everything_heard=True) == "step"
    assert planned("step", by_hand, WATCHER, lambda: True)(by_hand).weight_percent == 50


@pytest.mark.parametrize(("move", "weight", "stable"), [("step", 25, "1.0.0"), ("roll back", 0, "1.0.0")])
def test_a_move_is_made_in_the_watcher_s_name(move: Move, weight: float, stable: str) -> None:
    after = planned(move, on_trial(), WATCHER, lambda: True)(on_trial())
    assert (after.weight_percent, after.stable) == (weight, stable)
    assert (after.history[-1].who, after.history[-1].why) == ("watcher", "17 of 200 failed")


def test_the_last_step_makes_the_canary_stable() -> None:
    after = planned("promote", on_trial(100), WATCHER, lambda: True)(on_trial(100))
    assert (after.stable, after.canary) == ("1.1.0", None)


@pytest.mark.parametrize("move", ["step", "promote", "roll back"])
def test_who_leads_no_more_changes_nothing(move: Move) -> None:
    with pytest.raises(PlanError, match="another watcher"):
        planned(move, on_trial(), WATCHER, lambda: False)(on_trial())


@pytest.mark.parametrize("move", ["step", "promote"])
def test_a_release_that_somebody_changed_is_not_moved_forward(move: Move) -> None:
    with pytest.raises(PlanError, match="judged anew"):
        planned(move, on_trial(), WATCHER, lambda: True)(later(on_trial()))


def test_a_step_by_hand_does_not_save_a_bad_canary() -> None:
    assert planned("roll back", on_trial(), WATCHER, lambda: True)(later(on_trial())).canary is None


@pytest.mark.parametrize("move", ["step", "promote", "roll back"])
def test_a_rollout_that_began_anew_is_another_one(move: Move) -> None:
    again = transitions.canary(
        transitions.abort(on_trial(), ANNA), version("1.1.0"), Signature("ben", "again", "2026-11-21T12:25:00+00:00")
    )
    for other in (again, transitions.abort(on_trial(), ANNA), transitions.promote(on_trial(), ANNA)):
        with pytest.raises(PlanError, match="judged anew"):
            planned(move, on_trial(), WATCHER, lambda: True)(other)


def test_a_card_with_unknown_numbers_is_no_change() -> None:
    unknown = version("1.1.0")
    unknown = unknown.model_copy(update={"card": unknown.card.model_copy(update={"metrics": {"dice": float("nan")}})})
    judged = transitions.canary(release(), unknown, ANNA)
    now = Release.model_validate_json(judged.model_dump_json())
    assert planned("step", judged, WATCHER, lambda: True)(now).weight_percent == 25


def test_the_history_tells_when_rollout_and_step_began() -> None:
    trial = later(on_trial())
    began = step_began(trial)
    assert began is not None
    assert (rollout_began(trial), began.isoformat()) == (ANNA.at, "2026-11-21T12:20:00+00:00")
    forgotten = trial.model_copy(update={"history": ()})
    assert (rollout_began(forgotten), step_began(forgotten)) == ("", None)
