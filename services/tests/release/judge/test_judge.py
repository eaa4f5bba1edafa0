from dataclasses import replace

import pytest

from tests.support.sample_releases import ANNA, release, version
from thale.errors import PlanError
from thale.monitoring.histogram import Binned
from thale.release.judge.analysis_state import Trial
from thale.release.judge.checks import canary_answers, expected_agreement, stable_answers
from thale.release.judge.judge import judge
from thale.release.judge.sequential_tests import Tally
from thale.release.judge.version_metrics import VersionSignals, Window
from thale.release.lifecycle import transitions
from thale.schemas import Release, ReleasedVersion, Verdict
from thale.slo import read_slo

SLO = read_slo()
DICE = (0.5, 0.8, 0.85, 0.9, 0.95, 1.0)
FAST, SLOW = Binned((0.1, 0.5), (0, 19, 0)), Binned((0.1, 0.5), (0, 0, 1))
QUARTILES = (0.86, 0.89, 0.91, 0.93, 0.97)


def candidate(references: dict[str, tuple[float, ...]], **metrics: float) -> ReleasedVersion:
    made = version("1.1.0")
    return made.model_copy(update={"card": made.card.model_copy(update={"references": references, "metrics": metrics})})


def on_trial(references: dict[str, tuple[float, ...]] | None = None) -> Release:
    return transitions.canary(release(), candidate(references or {}, agreement_plates=40, plates_plates=40), ANNA)


def good(answers: int = 1, stable: int = 19) -> Window:
    return Window(
        VersionSignals(requests={"ok": answers}, shadow_requests={"ok": stable}, plates=answers),
        VersionSignals(requests={"ok": stable}, plates=stable),
    )


def after(windows: list[Window], now: Release | None = None) -> Verdict:
    now = now or on_trial()
    trial = Trial.begin(now)
    for window in windows:
        trial = trial.heard(now, window, SLO)
    return judge(now, trial, SLO)


def test_no_traffic_is_inconclusive_not_good() -> None:
    verdict = after([Window()] * 10)
    assert verdict.decision == "inconclusive"
    assert "only 0 of 200 answers" in verdict.reasons[0]
    assert "nothing to compare with" in verdict.reasons[1]


def test_enough_good_answers_lead_to_the_next_step_and_say_what_was_not_looked_at() -> None:
    unshadowed = transitions.canary(release(), candidate({}), ANNA, shadow=False)
    verdict = after([good(2, 18)] * 300, unshadowed)
    assert verdict.decision == "promote"
    assert "600 answers in this step" in verdict.reasons[0]
    assert "not compared with the stable version plate by plate" in verdict.reasons[1]


def test_a_canary_that_throws_is_taken_back_after_two_or_three_answers_with_the_numbers() -> None:
    bad = Window(VersionSignals(requests={"failed": 1}, fallbacks={"failed": 1}), VersionSignals(requests={"ok": 20}))
    assert after([bad]).decision == "inconclusive"
    verdict = after([bad, bad, bad])
    assert verdict.decision == "roll back"
    assert verdict.reasons[0].startswith("3 of 3 (100 %) of the canary's answers had to be given by the stable version")
    assert "stable: 0 of 57 (0 %)" in verdict.reasons[0]


def test_an_open_breaker_is_evidence_and_is_named() -> None:
    turned_away = Window(VersionSignals(fallbacks={"open": 8}, breakers_open=2), VersionSignals(requests={"ok": 28}))
    assert canary_answers(turned_away.canary) == Tally(1, 1)
    verdict = after([turned_away] * 4)
    assert verdict.decision == "roll back"
    assert verdict.reasons[-1] == "2 facades have stopped asking it"


def test_what_neither_version_can_answer_is_the_images_fault() -> None:
    broken_image = Window(VersionSignals(requests={"failed": 1}), VersionSignals(requests={"ok": 18, "failed": 1}))
    assert after([broken_image] * 50).decision != "roll back"


def test_answers_that_the_stable_version_gives_in_the_canarys_place_are_not_its_own() -> None:
    window = Window(VersionSignals(fallbacks={"late": 3}), VersionSignals(requests={"ok": 10, "refused": 1, "late": 2}))
    assert stable_answers(window) == Tally(2, 10)


def test_all_background_is_seen_without_a_shadow() -> None:
    nothing = Window(
        VersionSignals(requests={"ok": 1}, plates=1, empty=1), VersionSignals(requests={"ok": 19}, plates=19)
    )
    verdict = after([nothing] * 200)
    assert verdict.decision == "roll back"
    assert "came out without a plant" in verdict.reasons[0]


def test_late_failures_hold_a_step_before_they_roll_it_back() -> None:
    bad = Window(VersionSignals(requests={"failed": 1}, fallbacks={"failed": 1}), VersionSignals(requests={"ok": 20}))
    decisions = [after([good()] * 250 + [bad] * failures).decision for failures in range(5)]
    assert decisions == ["promote", "promote", "promote", "hold", "roll back"]
    assert "suspicious (5" in after([good()] * 250 + [bad] * 3).reasons[0]


def test_a_series_before_germination_is_no_harm() -> None:
    nothing = Window(
        VersionSignals(requests={"ok": 1}, plates=1, empty=1), VersionSignals(requests={"ok": 19}, plates=19)
    )
    assert after([good()] * 50 + [nothing] * 60 + [good()] * 50).decision != "roll back"


def test_slower_answers_are_judged_by_those_of_the_stable_version_before() -> None:
    def window(canary: Binned) -> Window:
        plain = good()
        return Window(
            replace(plain.canary, histograms={"seconds": canary}), replace(plain.stable, histograms={"seconds": FAST})
        )

    as_fast = Binned((0.1, 0.5), (0, 1, 0))
    assert after([window(as_fast)] * 150).decision != "roll back"
    verdict = after([window(as_fast)] * 10 + [window(SLOW)] * 150)
    assert verdict.decision == "roll back"
    assert any("slower than 95 %" in reason for reason in verdict.reasons)


def agreeing(counts: tuple[int, ...]) -> Window:
    plain = good()
    return Window(replace(plain.canary, histograms={"agreement_dice_root": Binned(DICE, counts)}), plain.stable)


def test_masks_that_agree_less_than_the_card_expects_are_taken_back() -> None:
    now = on_trial({"agreement_dice_root": QUARTILES})
    as_expected, worse = agreeing((0, 0, 0, 5, 4, 1, 0)), agreeing((0, 0, 5, 5, 0, 0, 0))
    assert after([as_expected] * 200, now).decision == "promote"
    verdict = after([worse] * 100, now)
    assert verdict.decision == "roll back"
    assert "agreement_dice_root 0.850 on average" in verdict.reasons[0]


def test_a_card_without_agreement_is_held_to_the_product_of_the_dices() -> None:
    stable = release().versions["1.0.0"].card.model_copy(update={"metrics": {"plates_dice_root": 0.9}})
    canary = candidate({}, plates_dice_root=0.8).card
    expected = expected_agreement(canary, stable)
    assert list(expected) == ["agreement_dice_root"]
    assert expected["agreement_dice_root"].least("agreement_dice_root", DICE, 0.02) == (pytest.approx(0.72), 0.0)
    assert expected_agreement(version("1.1.0").card, stable) == {}


def test_a_shadow_that_was_never_compared_is_waited_for() -> None:
    verdict = after([good(2)] * 300, on_trial({"agreement_dice_root": QUARTILES}))
    assert verdict.decision == "inconclusive"
    assert "no plate has been compared" in verdict.reasons[0]


def test_a_canary_that_says_something_else_is_held_for_a_person() -> None:
    def saying(counts: tuple[int, int, int]) -> VersionSignals:
        return VersionSignals(requests={"ok": 10}, plates=10, histograms={"plants": Binned((3.0, 6.0), counts)})

    unshadowed = transitions.canary(release(), candidate({}), ANNA, shadow=False)
    same, other = Window(saying((2, 6, 2)), saying((2, 6, 2))), Window(saying((0, 2, 8)), saying((2, 6, 2)))
    assert after([same] * 100, unshadowed).decision == "promote"
    verdict = after([other] * 100, unshadowed)
    assert verdict.decision == "hold"
    assert "its plants are others than the stable version's of the same time (PSI" in verdict.reasons[0]


def test_a_trial_goes_on_after_a_restart_as_if_nothing_had_happened() -> None:
    now, windows = on_trial({"agreement_dice_root": QUARTILES}), [good(), agreeing((0, 0, 0, 5, 4, 1, 0))] * 20
    straight = interrupted = Trial.begin(now)
    for window in windows:
        straight = straight.heard(now, window, SLO)
        interrupted = Trial.model_validate_json(interrupted.model_dump_json()).heard(now, window, SLO)
    assert interrupted == straight
    assert judge(now, interrupted, SLO).model_dump_json() == judge(now, straight, SLO).model_dump_json()


def test_a_new_step_counts_its_answers_anew_and_keeps_the_evidence() -> None:
    now = on_trial()
    trial = Trial.begin(now)
    for _ in range(50):
        trial = trial.heard(now, good(), SLO)
    stepped = transitions.step(now, ANNA)
    after_step = trial.heard(stepped, good(3), SLO)
    assert after_step.step.canary.requests == {"ok": 3}
    assert after_step.evidence["failing"].canary == Tally(0, 53)


def test_another_canary_begins_a_trial_anew() -> None:
    now = on_trial()
    trial = Trial.begin(now).heard(now, good(5), SLO)
    again = transitions.canary(transitions.abort(now, ANNA), candidate({}), replace(ANNA, at="2026-11-22T12:00:00+00:00"))
    fresh = trial.heard(again, good(1), SLO)
    assert fresh.step.canary.requests == {"ok": 1}
    assert fresh.began == "2026-11-22T12:00:00+00:00"


def test_there_must_be_a_canary_and_its_own_trial() -> None:
    with pytest.raises(PlanError, match="no canary to judge"):
        Trial.begin(release())
    with pytest.raises(PlanError, match="not on trial now"):
        judge(transitions.canary(release(), version("1.2.0"), ANNA), Trial.begin(on_trial()), SLO)
