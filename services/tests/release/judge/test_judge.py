"""Tests of the judge and of the canary analysis that it reads."""

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


def make_canary(references: dict[str, tuple[float, ...]], **metrics: float) -> VersionManifest:
    manifest = make_version("1.1.0")
    return manifest.model_copy(
        update={"card": manifest.card.model_copy(update={"references": references, "metrics": metrics})}
    )


def canary_release(references: dict[str, tuple[float, ...]] | None = None) -> Release:
    return transitions.start_canary(
        make_release(), make_canary(references or {}, agreement_plates=40, plates_plates=40), ANNA
    )


def good_window(canary: int = 1, stable: int = 19) -> ComparisonWindow:
    return ComparisonWindow(
        VersionMetrics(requests={"ok": canary}, shadow_requests={"ok": stable}, plates=canary),
        VersionMetrics(requests={"ok": stable}, plates=stable),
    )


def verdict_after(windows: list[ComparisonWindow], release: Release | None = None) -> Verdict:
    release = release or canary_release()
    analysis = AnalysisState.start(release)
    for window in windows:
        analysis = analysis.update(release, window, SLO, POLICY)
    return judge(release, analysis, SLO, POLICY)


def test_judge_is_inconclusive_without_traffic() -> None:
    verdict = verdict_after([ComparisonWindow()] * 10)
    assert verdict.decision == "inconclusive"
    assert "only 0 of 200 required canary responses" in verdict.reasons[0]
    assert "nothing to compare with" in verdict.reasons[1]


def test_judge_promotes_a_good_canary_and_lists_missing_checks() -> None:
    without_shadow = transitions.start_canary(make_release(), make_canary({}), ANNA, shadow=False)
    verdict = verdict_after([good_window(2, 18)] * 300, without_shadow)
    assert verdict.decision == "promote"
    assert "600 responses in this step" in verdict.reasons[0]
    assert "no comparison on the same plates" in verdict.reasons[1]


def test_judge_rolls_back_after_three_failures_with_counts() -> None:
    bad = ComparisonWindow(
        VersionMetrics(requests={"error": 1}, fallbacks={"error": 1}), VersionMetrics(requests={"ok": 20})
    )
    assert verdict_after([bad]).decision == "inconclusive"
    verdict = verdict_after([bad, bad, bad])
    assert verdict.decision == "roll back"
    assert verdict.reasons[0].startswith("3 of 3 (100 %) of the canary's requests fell back to stable")
    assert "stable: 0 of 57 (0 %)" in verdict.reasons[0]


def test_judge_rolls_back_a_canary_with_an_open_breaker() -> None:
    rejected = ComparisonWindow(
        VersionMetrics(fallbacks={"open": 8}, breakers_open=2), VersionMetrics(requests={"ok": 28})
    )
    assert canary_outcomes(rejected.canary) == Counts(1, 1)
    verdict = verdict_after([rejected] * 4)
    assert verdict.decision == "roll back"
    assert verdict.reasons[-1] == "circuit breaker open in 2 facades"


def test_judge_ignores_requests_that_both_versions_fail() -> None:
    broken_image = ComparisonWindow(
        VersionMetrics(requests={"error": 1}), VersionMetrics(requests={"ok": 18, "error": 1})
    )
    assert verdict_after([broken_image] * 50).decision != "roll back"


def test_stable_outcomes_exclude_fallbacks_of_the_canary() -> None:
    window = ComparisonWindow(
        VersionMetrics(fallbacks={"timeout": 3}), VersionMetrics(requests={"ok": 10, "rejected": 1, "timeout": 2})
    )
    assert stable_outcomes(window) == Counts(2, 10)


def test_judge_rolls_back_all_background_without_shadow() -> None:
    no_plants = ComparisonWindow(
        VersionMetrics(requests={"ok": 1}, plates=1, empty=1), VersionMetrics(requests={"ok": 19}, plates=19)
    )
    verdict = verdict_after([no_plants] * 200)
    assert verdict.decision == "roll back"
    assert "have no plants" in verdict.reasons[0]


@pytest.mark.slow
def test_judge_holds_then_rolls_back_on_late_failures() -> None:
    bad = ComparisonWindow(
        VersionMetrics(requests={"error": 1}, fallbacks={"error": 1}), VersionMetrics(requests={"ok": 20})
    )
    decisions = [verdict_after([good_window()] * 250 + [bad] * failures).decision for failures in range(5)]
    assert decisions == ["promote", "promote", "promote", "hold", "roll back"]
    assert "possible regression (5" in verdict_after([good_window()] * 250 + [bad] * 3).reasons[0]


def test_judge_tolerates_a_series_before_germination() -> None:
    no_plants = ComparisonWindow(
        VersionMetrics(requests={"ok": 1}, plates=1, empty=1), VersionMetrics(requests={"ok": 19}, plates=19)
    )
    assert verdict_after([good_window()] * 50 + [no_plants] * 60 + [good_window()] * 50).decision != "roll back"


def test_judge_compares_latency_with_earlier_stable_latency() -> None:
    def window(canary: Histogram) -> ComparisonWindow:
        plain = good_window()
        return ComparisonWindow(
            replace(plain.canary, histograms={"seconds": canary}), replace(plain.stable, histograms={"seconds": FAST})
        )

    equally_fast = Histogram((0.1, 0.5), (0, 1, 0))
    assert verdict_after([window(equally_fast)] * 150).decision != "roll back"
    verdict = verdict_after([window(equally_fast)] * 10 + [window(SLOW)] * 150)
    assert verdict.decision == "roll back"
    assert any("slower than stable's 95th percentile" in reason for reason in verdict.reasons)


def window_with_agreement(counts: tuple[int, ...]) -> ComparisonWindow:
    plain = good_window()
    return ComparisonWindow(
        replace(plain.canary, histograms={"agreement_dice_root": Histogram(DICE, counts)}), plain.stable
    )


def test_judge_rolls_back_when_agreement_is_below_the_card() -> None:
    release = canary_release({"agreement_dice_root": QUARTILES})
    as_expected, worse = window_with_agreement((0, 0, 0, 5, 4, 1, 0)), window_with_agreement((0, 0, 5, 5, 0, 0, 0))
    assert verdict_after([as_expected] * 200, release).decision == "promote"
    verdict = verdict_after([worse] * 100, release)
    assert verdict.decision == "roll back"
    assert "mean agreement_dice_root 0.850" in verdict.reasons[0]


def test_expected_agreement_defaults_to_the_product_of_dice() -> None:
    stable = make_release().versions["1.0.0"].card.model_copy(update={"metrics": {"plates_dice_root": 0.9}})
    canary = make_canary({}, plates_dice_root=0.8).card
    expected = expected_agreement(canary, stable)
    assert list(expected) == ["agreement_dice_root"]
    assert expected["agreement_dice_root"].min_score("agreement_dice_root", DICE, 0.02) == (pytest.approx(0.72), 0.0)
    assert expected_agreement(make_version("1.1.0").card, stable) == {}


def test_judge_is_inconclusive_without_shadow_comparisons() -> None:
    verdict = verdict_after([good_window(2)] * 300, canary_release({"agreement_dice_root": QUARTILES}))
    assert verdict.decision == "inconclusive"
    assert "no shadow comparison yet" in verdict.reasons[0]


def test_judge_holds_a_canary_whose_outputs_drift() -> None:
    def metrics_with(counts: tuple[int, int, int]) -> VersionMetrics:
        return VersionMetrics(requests={"ok": 10}, plates=10, histograms={"plants": Histogram((3.0, 6.0), counts)})

    without_shadow = transitions.start_canary(make_release(), make_canary({}), ANNA, shadow=False)
    same, other = (
        ComparisonWindow(metrics_with((2, 6, 2)), metrics_with((2, 6, 2))),
        ComparisonWindow(metrics_with((0, 2, 8)), metrics_with((2, 6, 2))),
    )
    assert verdict_after([same] * 100, without_shadow).decision == "promote"
    verdict = verdict_after([other] * 100, without_shadow)
    assert verdict.decision == "hold"
    assert "plants drifted from stable (PSI" in verdict.reasons[0]


def test_analysis_state_resumes_from_json_unchanged() -> None:
    release, windows = (
        canary_release({"agreement_dice_root": QUARTILES}),
        [good_window(), window_with_agreement((0, 0, 0, 5, 4, 1, 0))] * 20,
    )
    uninterrupted = restored = AnalysisState.start(release)
    for window in windows:
        uninterrupted = uninterrupted.update(release, window, SLO, POLICY)
        restored = AnalysisState.model_validate_json(restored.model_dump_json()).update(release, window, SLO, POLICY)
    assert restored == uninterrupted
    verdicts = [judge(release, analysis, SLO, POLICY) for analysis in (restored, uninterrupted)]
    assert verdicts[0].model_dump_json() == verdicts[1].model_dump_json()


def test_analysis_state_resets_counts_and_keeps_evidence_on_step() -> None:
    release = canary_release()
    analysis = AnalysisState.start(release)
    for _ in range(50):
        analysis = analysis.update(release, good_window(), SLO, POLICY)
    stepped = transitions.step(release, ANNA)
    after_step = analysis.update(stepped, good_window(3), SLO, POLICY)
    assert after_step.step_window.canary.requests == {"ok": 3}
    assert after_step.evidence["failures"].canary == Counts(0, 53)


def test_analysis_state_restarts_for_a_new_rollout() -> None:
    release = canary_release()
    analysis = AnalysisState.start(release).update(release, good_window(5), SLO, POLICY)
    restarted = transitions.start_canary(
        transitions.abort(release, ANNA), make_canary({}), replace(ANNA, at="2026-11-22T12:00:00+00:00")
    )
    fresh = analysis.update(restarted, good_window(1), SLO, POLICY)
    assert fresh.step_window.canary.requests == {"ok": 1}
    assert fresh.rollout_started_at == "2026-11-22T12:00:00+00:00"


def test_judge_requires_a_canary_and_its_own_analysis() -> None:
    with pytest.raises(InvalidTransitionError, match="no canary to judge"):
        AnalysisState.start(make_release())
    with pytest.raises(InvalidTransitionError, match=r"compares 1\.1\.0 with 1\.0\.0, but .* start a new analysis"):
        judge(
            transitions.start_canary(make_release(), make_version("1.2.0"), ANNA),
            AnalysisState.start(canary_release()),
            SLO,
            POLICY,
        )
