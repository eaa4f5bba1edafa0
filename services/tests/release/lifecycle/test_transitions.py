"""Tests of the transitions of a release, also in any sequence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import InvalidTransitionError
from thale.release.lifecycle import transitions
from thale.schemas import Release


def canary_release() -> Release:
    return transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)


def test_start_canary_begins_at_the_first_step_with_shadow() -> None:
    after = canary_release()
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.0.0", "1.1.0", 5, "1.1.0")
    assert set(after.versions) == {"1.0.0", "1.1.0"}
    assert transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, shadow=False).shadow is None


def test_step_raises_after_the_last_step() -> None:
    after, weights = canary_release(), []
    for _ in range(3):
        after = transitions.step(after, ANNA)
        weights.append(after.weight_percent)
    assert weights == [25, 50, 100]
    with pytest.raises(InvalidTransitionError, match="promote it"):
        transitions.step(after, ANNA)


def test_promote_replaces_and_unloads_stable() -> None:
    after = transitions.promote(transitions.step(canary_release(), ANNA), ANNA)
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.1.0", None, 0, None)
    assert set(after.versions) == {"1.1.0"}
    assert transitions.previous_stable(after) == "1.0.0"


def test_roll_back_returns_to_the_previous_stable() -> None:
    promoted = transitions.promote(canary_release(), ANNA)
    after = transitions.roll_back(promoted, ANNA, make_version("1.0.0"))
    assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert transitions.previous_stable(after) is None
    with pytest.raises(InvalidTransitionError, match="no version before"):
        transitions.roll_back(promoted, ANNA)
    with pytest.raises(InvalidTransitionError, match="already the stable version"):
        transitions.roll_back(promoted, ANNA, make_version("1.1.0"))


def test_start_canary_rejects_a_rolled_back_version_by_default() -> None:
    after = transitions.roll_back(canary_release(), ANNA)
    assert (after.canary, after.shadow, after.weight_percent, set(after.versions)) == (None, None, 0, {"1.0.0"})
    with pytest.raises(InvalidTransitionError, match="pass --again"):
        transitions.start_canary(after, make_version("1.1.0"), ANNA)
    assert transitions.start_canary(after, make_version("1.1.0"), ANNA, allow_rolled_back=True).canary == "1.1.0"


def test_start_canary_accepts_an_aborted_version() -> None:
    after = transitions.abort(canary_release(), ANNA)
    assert after.canary is None
    assert transitions.start_canary(after, make_version("1.1.0"), ANNA).canary == "1.1.0"


def test_set_shadow_starts_and_ends_shadow_traffic() -> None:
    shadowed = transitions.set_shadow(make_release(), make_version("1.1.0"), ANNA)
    assert (shadowed.shadow, shadowed.weight_percent) == ("1.1.0", 0)
    release = transitions.start_canary(shadowed, make_version("1.2.0"), ANNA, shadow=False)
    assert set(release.versions) == {"1.0.0", "1.2.0"}
    assert transitions.set_shadow(shadowed, None, ANNA) == shadowed.model_copy(
        update={
            "shadow": None,
            "versions": make_release().versions,
            "history": transitions.set_shadow(shadowed, None, ANNA).history,
        }
    )


def test_invalid_transitions_raise_with_a_remedy() -> None:
    with pytest.raises(InvalidTransitionError, match="already a canary"):
        transitions.start_canary(canary_release(), make_version("1.2.0"), ANNA)
    with pytest.raises(InvalidTransitionError, match="already the stable version"):
        transitions.start_canary(make_release(), make_version("1.0.0"), ANNA)
    for transition in (transitions.step, transitions.promote, transitions.abort):
        with pytest.raises(InvalidTransitionError, match="no canary"):
            transition(make_release(), ANNA)
    with pytest.raises(InvalidTransitionError, match="no canary to roll back"):
        transitions.roll_back(make_release(), ANNA)
    with pytest.raises(InvalidTransitionError, match="is a canary"):
        transitions.set_shadow(canary_release(), make_version("1.2.0"), ANNA)
    with pytest.raises(InvalidTransitionError, match="no shadow"):
        transitions.set_shadow(make_release(), None, ANNA)


@pytest.mark.parametrize("steps", [(), (5, 5, 100), (50, 25, 100), (0, 100), (5, 50), (5, 120)])
def test_start_canary_rejects_invalid_steps(steps: tuple[float, ...]) -> None:
    with pytest.raises(InvalidTransitionError, match=r"steps|less than or equal to 100"):
        transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, steps=steps)


def test_each_transition_adds_an_event_with_its_author() -> None:
    after = transitions.roll_back(transitions.step(canary_release(), ANNA), ANNA)
    assert [(event.what, event.version, event.weight_percent) for event in after.history] == [
        ("canary", "1.1.0", 5),
        ("step", "1.1.0", 25),
        ("roll back", "1.1.0", 0),
    ]
    assert {(event.who, event.why, event.at) for event in after.history} == {(ANNA.who, ANNA.why, ANNA.at)}


@given(
    st.lists(st.sampled_from(["canary", "step", "promote", "roll back", "abort", "shadow", "no shadow"]), max_size=80)
)
def test_any_sequence_of_transitions_keeps_the_release_valid(names: list[str]) -> None:
    release, number = make_release(), 0
    for name in names:
        number += name in ("canary", "shadow")
        new = make_version(f"1.1.{number}")
        calls = {
            "canary": lambda release=release, new=new: transitions.start_canary(release, new, ANNA),
            "step": lambda release=release: transitions.step(release, ANNA),
            "promote": lambda release=release: transitions.promote(release, ANNA),
            "roll back": lambda release=release: transitions.roll_back(release, ANNA, make_version("1.0.0")),
            "abort": lambda release=release: transitions.abort(release, ANNA),
            "shadow": lambda release=release, new=new: transitions.set_shadow(release, new, ANNA),
            "no shadow": lambda release=release: transitions.set_shadow(release, None, ANNA),
        }
        try:
            release = calls[name]()
        except InvalidTransitionError:
            continue
        assert Release.model_validate_json(release.model_dump_json()) == release
        assert {release.stable, release.canary, release.shadow} - {None} == set(release.versions)
        assert len(release.history) <= transitions.HISTORY_LIMIT


def saved_release(at: str = "2026-11-21T13:00:00+00:00") -> Release:
    canary = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, steps=(10, 100))
    promoted = transitions.promote(canary, replace(ANNA, at=at))
    return transitions.start_canary(promoted, make_version("1.2.0"), replace(ANNA, at=at))


def test_restore_returns_to_the_saved_stable_version() -> None:
    saved = saved_release()
    after = transitions.restore(make_release(), saved, ANNA)
    assert (after.stable, set(after.versions), after.canary, after.shadow) == ("1.1.0", {"1.1.0"}, None, None)
    assert (after.steps, after.weight_percent) == ((10, 100), 0)
    assert after.history[:-1] == saved.history
    assert (after.history[-1].what, after.history[-1].version) == ("restore", "1.1.0")
    assert transitions.contains(after, saved)
    assert not transitions.contains(make_release(), saved)


def test_restore_refuses_to_lose_later_changes() -> None:
    current = transitions.promote(canary_release(), replace(ANNA, at="2026-11-21T14:00:00+00:00"))
    with pytest.raises(InvalidTransitionError, match=r"2026-11-21T14.*--overwrite"):
        transitions.restore(current, saved_release(), ANNA)
    with pytest.raises(InvalidTransitionError, match="--overwrite"):
        transitions.restore(current, make_release(), ANNA)
    assert transitions.restore(current, make_release(), ANNA, overwrite=True).stable == "1.0.0"


def test_restore_refuses_a_running_rollout() -> None:
    with pytest.raises(InvalidTransitionError, match="abort it before a restoration"):
        transitions.restore(canary_release(), saved_release(), ANNA, overwrite=True)
