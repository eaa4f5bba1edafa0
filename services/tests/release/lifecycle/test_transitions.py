import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import InvalidTransitionError
from thale.release.lifecycle import transitions
from thale.schemas import Release


def canary_release() -> Release:
    return transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)


def test_a_canary_begins_at_the_first_step_and_is_mirrored() -> None:
    after = canary_release()
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.0.0", "1.1.0", 5, "1.1.0")
    assert set(after.versions) == {"1.0.0", "1.1.0"}
    assert transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, shadow=False).shadow is None


def test_steps_lead_to_everything_and_no_further() -> None:
    after, shares = canary_release(), []
    for _ in range(3):
        after = transitions.step(after, ANNA)
        shares.append(after.weight_percent)
    assert shares == [25, 50, 100]
    with pytest.raises(InvalidTransitionError, match="promote it"):
        transitions.step(after, ANNA)


def test_a_promoted_canary_is_stable_and_the_version_before_is_held_no_longer() -> None:
    after = transitions.promote(transitions.step(canary_release(), ANNA), ANNA)
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.1.0", None, 0, None)
    assert set(after.versions) == {"1.1.0"}
    assert transitions.previous_stable(after) == "1.0.0"


def test_a_promoted_version_can_be_taken_back() -> None:
    promoted = transitions.promote(canary_release(), ANNA)
    after = transitions.roll_back(promoted, ANNA, make_version("1.0.0"))
    assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert transitions.previous_stable(after) is None
    with pytest.raises(InvalidTransitionError, match="no version before"):
        transitions.roll_back(promoted, ANNA)
    with pytest.raises(InvalidTransitionError, match="stable version already"):
        transitions.roll_back(promoted, ANNA, make_version("1.1.0"))


def test_a_version_that_was_rolled_back_is_tried_again_only_when_that_is_meant() -> None:
    after = transitions.roll_back(canary_release(), ANNA)
    assert (after.canary, after.shadow, after.weight_percent, set(after.versions)) == (None, None, 0, {"1.0.0"})
    with pytest.raises(InvalidTransitionError, match="tried again"):
        transitions.start_canary(after, make_version("1.1.0"), ANNA)
    assert transitions.start_canary(after, make_version("1.1.0"), ANNA, allow_rolled_back=True).canary == "1.1.0"


def test_an_aborted_version_may_be_tried_again() -> None:
    after = transitions.abort(canary_release(), ANNA)
    assert after.canary is None
    assert transitions.start_canary(after, make_version("1.1.0"), ANNA).canary == "1.1.0"


def test_a_shadow_comes_and_goes_without_answering() -> None:
    shadowed = transitions.set_shadow(make_release(), make_version("1.1.0"), ANNA)
    assert (shadowed.shadow, shadowed.weight_percent) == ("1.1.0", 0)
    tried = transitions.start_canary(shadowed, make_version("1.2.0"), ANNA, shadow=False)
    assert set(tried.versions) == {"1.0.0", "1.2.0"}
    assert transitions.set_shadow(shadowed, None, ANNA) == shadowed.model_copy(
        update={
            "shadow": None,
            "versions": make_release().versions,
            "history": transitions.set_shadow(shadowed, None, ANNA).history,
        }
    )


def test_what_makes_no_sense_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidTransitionError, match="on trial already"):
        transitions.start_canary(canary_release(), make_version("1.2.0"), ANNA)
    with pytest.raises(InvalidTransitionError, match="stable version already"):
        transitions.start_canary(make_release(), make_version("1.0.0"), ANNA)
    for change in (transitions.step, transitions.promote, transitions.abort):
        with pytest.raises(InvalidTransitionError, match="no canary"):
            change(make_release(), ANNA)
    with pytest.raises(InvalidTransitionError, match="no canary to roll back"):
        transitions.roll_back(make_release(), ANNA)
    with pytest.raises(InvalidTransitionError, match="on trial"):
        transitions.set_shadow(canary_release(), make_version("1.2.0"), ANNA)
    with pytest.raises(InvalidTransitionError, match="no shadow"):
        transitions.set_shadow(make_release(), None, ANNA)


@pytest.mark.parametrize("steps", [(), (5, 5, 100), (50, 25, 100), (0, 100), (5, 50), (5, 120)])
def test_steps_that_lead_nowhere_are_refused(steps: tuple[float, ...]) -> None:
    with pytest.raises(InvalidTransitionError, match=r"steps|less than or equal to 100"):
        transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, steps=steps)


def test_every_change_leaves_a_line_that_says_who_and_why() -> None:
    after = transitions.roll_back(transitions.step(canary_release(), ANNA), ANNA)
    assert [(line.what, line.version, line.weight_percent) for line in after.history] == [
        ("canary", "1.1.0", 5),
        ("step", "1.1.0", 25),
        ("roll back", "1.1.0", 0),
    ]
    assert {(line.who, line.why, line.at) for line in after.history} == {(ANNA.who, ANNA.why, ANNA.at)}


@given(
    st.lists(st.sampled_from(["canary", "step", "promote", "roll back", "abort", "shadow", "no shadow"]), max_size=80)
)
def test_whatever_is_asked_in_whatever_order_the_release_stays_whole(words: list[str]) -> None:
    now, number = make_release(), 0
    for word in words:
        number += word in ("canary", "shadow")
        fresh = make_version(f"1.1.{number}")
        changes = {
            "canary": lambda now=now, fresh=fresh: transitions.start_canary(now, fresh, ANNA),
            "step": lambda now=now: transitions.step(now, ANNA),
            "promote": lambda now=now: transitions.promote(now, ANNA),
            "roll back": lambda now=now: transitions.roll_back(now, ANNA, make_version("1.0.0")),
            "abort": lambda now=now: transitions.abort(now, ANNA),
            "shadow": lambda now=now, fresh=fresh: transitions.set_shadow(now, fresh, ANNA),
            "no shadow": lambda now=now: transitions.set_shadow(now, None, ANNA),
        }
        try:
            now = changes[word]()
        except InvalidTransitionError:
            continue
        assert Release.model_validate_json(now.model_dump_json()) == now
        assert {now.stable, now.canary, now.shadow} - {None} == set(now.versions)
        assert len(now.history) <= transitions.HISTORY_LIMIT
