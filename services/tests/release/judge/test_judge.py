from dataclasses import replace

import pytest

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import InvalidTransitionError
from thale.monitoring.histogram import Histogram
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.checks import canary_outcomes, expected_agreement, stable_outcomes
from thale.release.judge.judge import judge
from thale.release.judge.policy import read_policy
from thale.release.judge.sequential_tests import Counts
from thale.release.judge.version_metrics import ComparisonWindow, VersionMetrics
from thale.release.lifecycle import transitions
from thale.schemas import Release, Verdict, VersionManifest
from thale.slo import read_slo

SLO, POLICY = read_slo(), read_policy()
DICE = (0.5, 0.8, 0.85, 0.9, 0.95, 1.0)
FAST, SLOW = Histogram((0.1, 0.5), (0, 19, 0)), Histogram((0.1, 0.5), (0, 0, 1))
QUARTILES = (0.86, 0.89, 0.91, 0.93, 0.97)


def make_candidate(references: dict[str, tuple[float, ...]], **metrics: float) -> VersionManifest:
    manifest = make_version("1.1.0")
    return manifest.model_copy(
        update={"card": manifest.card.model_copy(update={"references": references, "metrics": metrics})}
    )


def canary_release(references: dict[str, tuple[float, ...]] | None = None) -> Release:
    return transitions.start_canary(
        make_release(), make_candidate(references or {}, agreement_plates=40, plates_plates=40), ANNA
    )


def good_window(answers: int = 1, stable: int = 19) -> ComparisonWindow:
    return ComparisonWindow(
        VersionMetrics(requests={"ok": answers}, shadow_requests={"ok": stable}, plates=answers),
        VersionMetrics(requests={"ok": stable}, plates=stable),
    )


def verdict_after(windows: list[ComparisonWindow], now: Release | None = None) -> Verdict:
    now = now or canary_release()
    trial = AnalysisState.start(now)
    for window in windows:
        trial = trial.update(now, window, SLO, POLICY)
    return judge(now, trial, SLO, POLICY)


def test_no_traffic_is_inconclusive_not_good() -> None:
    verdict = verdict_after([ComparisonWindow()] * 10)
    assert verdict.decision == "inconclusive"
    assert "only 0 of 200 answers" in verdict.reasons[0]
    assert "nothing to compare with" in verdict.reasons[1]


def test_enough_good_answers_lead_to_the_next_step_and_say_what_was_not_looked_at() -> None:
    unshadowed = transitions.start_canary(make_release(), make_candidate({}), ANNA, shadow=False)
    verdict = verdict_after([good_window(2, 18)] * 300, unshadowed)
    assert verdict.decision == "promote"
    assert "600 answers in this step" in verdict.reasons[0]
    assert "not compared with the stable version plate by plate" in verdict.reasons[1]


def test_a_canary_that_throws_is_taken_back_after_two_or_three_answers_with_the_numbers() -> None:
    bad = ComparisonWindow(
        VersionMetrics(requests={"error": 1}, fallbacks={"error": 1}), VersionMetrics(requests={"ok": 20})
    )
    assert verdict_after([bad]).decision == "inconclusive"
    verdict = verdict_after([bad, bad, bad])
    assert verdict.decision == "roll back"
    assert verdict.reasons[0].startswith("3 of 3 (100 %) of the canary's answers had to be given by the stable version")
    assert "stable: 0 of 57 (0 %)" in verdict.reasons[0]


def test_an_open_breaker_is_evidence_and_is_named() -> None:
    turned_away = ComparisonWindow(
        VersionMetrics(fallbacks={"open": 8}, breakers_open=2), VersionMetrics(requests={"ok": 28})
    )
    assert canary_outcomes(turned_away.canary) == Counts(1, 1)
    verdict = verdict_after([turned_away] * 4)
    assert verdict.decision == "roll back"
    assert verdict.reasons[-1] == "2 facades have stopped asking it"


def test_what_neither_version_can_answer_is_the_images_fault() -> None:
    broken_image = ComparisonWindow(
        VersionMetrics(requests={"error": 1}), VersionMetrics(requests={"ok": 18, "error": 1})
    )
    assert verdict_after([broken_image] * 50).decision != "roll back"


def test_answers_that_the_stable_version_gives_in_the_canarys_place_are_not_its_own() -> None:
    window = ComparisonWindow(
        VersionMetrics(fallbacks={"timeout": 3}), VersionMetrics(requests={"ok": 10, "rejected": 1, "timeout": 2})
    )
    assert stable_outcomes(window) == Counts(2, 10)


def test_all_background_is_seen_without_a_shadow() -> None:
    nothing = ComparisonWindow(
        VersionMetrics(requests={"ok": 1}, plates=1, empty=1), VersionMetrics(requests={"ok": 19}, plates=19)
    )
    verdict = verdict_after([nothing] * 200)
    assert verdict.decision == "roll back"
    assert "came out without a plant" in verdict.reasons[0]


def test_late_failures_hold_a_step_before_they_roll_it_back() -> None:
    bad = ComparisonWindow(
        VersionMetrics(requests={"error": 1}, fallbacks={"error": 1}), VersionMetrics(requests={"ok": 20})
    )
    decisions = [verdict_after([good_window()] * 250 + [bad] * failures).decision for failures in range(5)]
    assert decisions == ["promote", "promote", "promote", "hold", "roll back"]
    assert "suspicious (5" in verdict_after([good_window()] * 250 + [bad] * 3).reasons[0]


def test_a_series_before_germination_is_no_harm() -> None:
    nothing = ComparisonWindow(
        VersionMetrics(requests={"ok": 1}, plates=1, empty=1), VersionMetrics(requests={"ok": 19}, plates=19)
    )
    assert verdict_after([good_window()] * 50 + [nothing] * 60 + [good_window()] * 50).decision != "roll back"


def test_slower_answers_are_judged_by_those_of_the_stable_version_before() -> None:
    def window(canary: Histogram) -> ComparisonWindow:
        plain = good_window()
        return ComparisonWindow(
            replace(plain.canary, histograms={"seconds": canary}), replace(plain.stable, histograms={"seconds": FAST})
        )

    as_fast = Histogram((0.1, 0.5), (0, 1, 0))
    assert verdict_after([window(as_fast)] * 150).decision != "roll back"
    verdict = verdict_after([window(as_fast)] * 10 + [window(SLOW)] * 150)
    assert verdict.decision == "roll back"
    assert any("slower than 95 %" in reason for reason in verdict.reasons)


def window_with_agreement(counts: tuple[int, ...]) -> ComparisonWindow:
    plain = good_window()
    return ComparisonWindow(
        replace(plain.canary, histograms={"agreement_dice_root": Histogram(DICE, counts)}), plain.stable
    )


def test_masks_that_agree_less_than_the_card_expects_are_taken_back() -> None:
    now = canary_release({"agreement_dice_root": QUARTILES})
    as_expected, worse = window_with_agreement((0, 0, 0, 5, 4, 1, 0)), window_with_agreement((0, 0, 5, 5, 0, 0, 0))
    assert verdict_after([as_expected] * 200, now).decision == "promote"
    verdict = verdict_after([worse] * 100, now)
    assert verdict.decision == "roll back"
    assert "agreement_dice_root 0.850 on average" in verdict.reasons[0]


def test_a_card_without_agreement_is_held_to_the_product_of_the_dices() -> None:
    stable = make_release().versions["1.0.0"].card.model_copy(update={"metrics": {"plates_dice_root": 0.9}})
    canary = make_candidate({}, plates_dice_root=0.8).card
    expected = expected_agreement(canary, stable)
    assert list(expected) == ["agreement_dice_root"]
    assert expected["agreement_dice_root"].min_score("agreement_dice_root", DICE, 0.02) == (pytest.approx(0.72), 0.0)
    assert expected_agreement(make_version("1.1.0").card, stable) == {}


def test_a_shadow_that_was_never_compared_is_waited_for() -> None:
    verdict = verdict_after([good_window(2)] * 300, canary_release({"agreement_dice_root": QUARTILES}))
    assert verdict.decision == "inconclusive"
    assert "no plate has been compared" in verdict.reasons[0]


def test_a_canary_that_says_something_else_is_held_for_a_person() -> None:
    def saying(counts: tuple[int, int, int]) -> VersionMetrics:
        return VersionMetrics(requests={"ok": 10}, plates=10, histograms={"plants": Histogram((3.0, 6.0), counts)})

    unshadowed = transitions.start_canary(make_release(), make_candidate({}), ANNA, shadow=False)
    same, other = (
        ComparisonWindow(saying((2, 6, 2)), saying((2, 6, 2))),
        ComparisonWindow(saying((0, 2, 8)), saying((2, 6, 2))),
    )
    assert verdict_after([same] * 100, unshadowed).decision == "promote"
    verdict = verdict_after([other] * 100, unshadowed)
    assert verdict.decision == "hold"
    assert "its plants are others than the stable version's of the same time (PSI" in verdict.reasons[0]


def test_a_trial_goes_on_after_a_restart_as_if_nothing_had_happened() -> None:
    now, windows = (
        canary_release({"agreement_dice_root": QUARTILES}),
        [good_window(), window_with_agreement((0, 0, 0, 5, 4, 1, 0))] * 20,
    )
    straight = interrupted = AnalysisState.start(now)
    for window in windows:
        straight = straight.update(now, window, SLO, POLICY)
        interrupted = AnalysisState.model_validate_json(interrupted.model_dump_json()).update(now, window, SLO, POLICY)
    assert interrupted == straight
    assert judge(now, interrupted, SLO, POLICY).model_dump_json() == judge(now, straight, SLO, POLICY).model_dump_json()


def test_a_new_step_counts_its_answers_anew_and_keeps_the_evidence() -> None:
    now = canary_release()
    trial = AnalysisState.start(now)
    for _ in range(50):
        trial = trial.update(now, good_window(), SLO, POLICY)
    stepped = transitions.step(now, ANNA)
    after_step = trial.update(stepped, good_window(3), SLO, POLICY)
    assert after_step.step_window.canary.requests == {"ok": 3}
    assert after_step.evidence["failures"].canary == Counts(0, 53)


def test_another_canary_begins_a_trial_anew() -> None:
    now = canary_release()
    trial = AnalysisState.start(now).update(now, good_window(5), SLO, POLICY)
    again = transitions.start_canary(
        transitions.abort(now, ANNA), make_candidate({}), replace(ANNA, at="2026-11-22T12:00:00+00:00")
    )
    fresh = trial.update(again, good_window(1), SLO, POLICY)
    assert fresh.step_window.canary.requests == {"ok": 1}
    assert fresh.rollout_started_at == "2026-11-22T12:00:00+00:00"


def test_there_must_be_a_canary_and_its_own_trial() -> None:
    with pytest.raises(InvalidTransitionError, match="no canary to judge"):
        AnalysisState.start(make_release())
    with pytest.raises(InvalidTransitionError, match="not on trial now"):
        judge(
            transitions.start_canary(make_release(), make_version("1.2.0"), ANNA),
            AnalysisState.start(canary_release()),
            SLO,
            POLICY,
        )
