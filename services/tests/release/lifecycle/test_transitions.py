import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_releases import ANNA, release, version
from thale.errors import PlanError
from thale.release.lifecycle import transitions
from thale.schemas import Release


def on_trial() -> Release:
    return transitions.canary(release(), version("1.1.0"), ANNA)


def test_a_canary_begins_at_the_first_step_and_is_mirrored() -> None:
    after = on_trial()
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.0.0", "1.1.0", 5, "1.1.0")
    assert set(after.versions) == {"1.0.0", "1.1.0"}
    assert transitions.canary(release(), version("1.1.0"), ANNA, shadow=False).shadow is None


def test_steps_lead_to_everything_and_no_further() -> None:
    after, shares = on_trial(), []
    for _ in range(3):
        after = transitions.step(after, ANNA)
        shares.append(after.weight_percent)
    assert shares == [25, 50, 100]
    with pytest.raises(PlanError, match="promote it"):
        transitions.step(after, ANNA)


def test_a_promoted_canary_is_stable_and_the_version_before_is_held_no_longer() -> None:
    after = transitions.promote(transitions.step(on_trial(), ANNA), ANNA)
    assert (after.stable, after.canary, after.weight_percent, after.shadow) == ("1.1.0", None, 0, None)
    assert set(after.versions) == {"1.1.0"}
    assert transitions.version_before(after) == "1.0.0"


def test_a_promoted_version_can_be_taken_back() -> None:
    promoted = transitions.promote(on_trial(), ANNA)
    after = transitions.roll_back(promoted, ANNA, version("1.0.0"))
    assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert transitions.version_before(after) is None
    with pytest.raises(PlanError, match="no version before"):
        transitions.roll_back(promoted, ANNA)
    with pytest.raises(PlanError, match="stable version already"):
        transitions.roll_back(promoted, ANNA, version("1.1.0"))


def test_a_version_that_was_rolled_back_is_tried_again_only_when_that_is_meant() -> None:
    after = transitions.roll_back(on_trial(), ANNA)
    assert (after.canary, after.shadow, after.weight_percent, set(after.versions)) == (None, None, 0, {"1.0.0"})
    with pytest.raises(PlanError, match="tried again"):
        transitions.canary(after, version("1.1.0"), ANNA)
    assert transitions.canary(after, version("1.1.0"), ANNA, again=True).canary == "1.1.0"


def test_an_aborted_version_may_be_tried_again() -> None:
    after = transitions.abort(on_trial(), ANNA)
    assert after.canary is None
    assert transitions.canary(after, version("1.1.0"), ANNA).canary == "1.1.0"


def test_a_shadow_comes_and_goes_without_answering() -> None:
    shadowed = transitions.mirror(release(), version("1.1.0"), ANNA)
    assert (shadowed.shadow, shadowed.weight_percent) == ("1.1.0", 0)
    tried = transitions.canary(shadowed, version("1.2.0"), ANNA, shadow=False)
    assert set(tried.versions) == {"1.0.0", "1.2.0"}
    assert transitions.mirror(shadowed, None, ANNA) == shadowed.model_copy(
        update={
            "shadow": None,
            "versions": release().versions,
            "history": transitions.mirror(shadowed, None, ANNA).history,
        }
    )


def test_what_makes_no_sense_is_refused_with_what_to_do() -> None:
    with pytest.raises(PlanError, match="on trial already"):
        transitions.canary(on_trial(), version("1.2.0"), ANNA)
    with pytest.raises(PlanError, match="stable version already"):
        transitions.canary(release(), version("1.0.0"), ANNA)
    for change in (transitions.step, transitions.promote, transitions.abort):
        with pytest.raises(PlanError, match="no canary"):
            change(release(), ANNA)
    with pytest.raises(PlanError, match="no canary to roll back"):
        transitions.roll_back(release(), ANNA)
    with pytest.raises(PlanError, match="on trial"):
        transitions.mirror(on_trial(), version("1.2.0"), ANNA)
    with pytest.raises(PlanError, match="no shadow"):
        transitions.mirror(release(), None, ANNA)


@pytest.mark.parametrize("steps", [(), (5, 5, 100), (50, 25, 100), (0, 100), (5, 50), (5, 120)])
def test_steps_that_lead_nowhere_are_refused(steps: tuple[float, ...]) -> None:
    with pytest.raises(PlanError, match=r"steps|less than or equal to 100"):
        transitions.canary(release(), version("1.1.0"), ANNA, steps=steps)


def test_every_change_leaves_a_line_that_says_who_and_why() -> None:
    after = transitions.roll_back(transitions.step(on_trial(), ANNA), ANNA)
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
    now, number = release(), 0
    for word in words:
        number += word in ("canary", "shadow")
        fresh = version(f"1.1.{number}")
        changes = {
            "canary": lambda now=now, fresh=fresh: transitions.canary(now, fresh, ANNA),
            "step": lambda now=now: transitions.step(now, ANNA),
            "promote": lambda now=now: transitions.promote(now, ANNA),
            "roll back": lambda now=now: transitions.roll_back(now, ANNA, version("1.0.0")),
            "abort": lambda now=now: transitions.abort(now, ANNA),
            "shadow": lambda now=now, fresh=fresh: transitions.mirror(now, fresh, ANNA),
            "no shadow": lambda now=now: transitions.mirror(now, None, ANNA),
        }
        try:
            now = changes[word]()
        except PlanError:
            continue
        assert Release.model_validate_json(now.model_dump_json()) == now
        assert {now.stable, now.canary, now.shadow} - {None} == set(now.versions)
        assert len(now.history) <= transitions.HISTORY_LIMIT
