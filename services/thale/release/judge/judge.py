"""Judge of canaries: a pure function from a release, its canary analysis and the limits to a verdict.

    roll back      the evidence of regression of a check exceeds the threshold of its share of the false rollback rate
    inconclusive   too few observations: no traffic is no evidence of quality
    hold           enough observations, but a suspected regression, no evidence of non-inferiority yet, or drift
    promote        enough requests, non-inferiority shown within the margins, no suspected regression, no drift

docs/judging.md has the nominal error rates, and the measured rates of false rollbacks and of detection.
"""

import math
from collections.abc import Iterator, Sequence

from thale.errors import InvalidTransitionError
from thale.monitoring import drift
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.checks import (
    AGREEMENT_PREFIX,
    CHECKS,
    REFERENCE_PLATES_METRIC,
    Check,
    Comparison,
    canary_outcomes,
    expected_agreement,
    output_references,
    stable_outcomes,
)
from thale.release.judge.policy import DriftLimits, JudgePolicy
from thale.release.judge.sequential_tests import Counts, Evidence, MeanTest
from thale.schemas import CheckResult, Release, Verdict
from thale.slo import Slo

_FULL_WEIGHT_PERCENT = 100.0
_MIN_COUNT_RATIO = 0.5
"""Non-inferiority is required of signals with at least this share of the count of the most frequent signal."""


def judge(release: Release, analysis: AnalysisState, slo: Slo, policy: JudgePolicy) -> Verdict:
    """Return the verdict on a release's canary from its analysis so far.

    Raises:
        InvalidTransitionError: If the analysis belongs to another canary or another stable version.
    """
    if (analysis.canary, analysis.stable) != (release.canary, release.stable):
        raise InvalidTransitionError(
            f"the analysis of {analysis.model} compares {analysis.canary} with {analysis.stable}, but the release has "
            "changed: start a new analysis"
        )
    results = [_check_result(check, analysis, release, slo, policy) for check in CHECKS]
    regressions = sorted(
        (result for result in results if result.regression_evidence >= 1),
        key=lambda result: -result.regression_evidence,
    )
    if regressions:
        reasons = [result.summary for result in regressions]
        if analysis.step_window.canary.breakers_open:
            reasons.append(f"circuit breaker open in {_format_facades(analysis.step_window.canary.breakers_open)}")
        decision = "roll back"
    elif reasons := list(_insufficient_data(release, analysis, policy)):
        decision = "inconclusive"
    elif reasons := [
        *_suspected_regressions(results, policy),
        *_pending_noninferiority(results),
        *_drift_reasons(release, analysis, policy),
    ]:
        decision = "hold"
    else:
        decision, reasons = "promote", list(_promotion_reasons(release, analysis, results))
    return Verdict(
        model=analysis.model,
        canary=analysis.canary,
        stable=analysis.stable,
        weight_percent=release.weight_percent,
        decision=decision,
        reasons=tuple(reasons),
        check_results=tuple(results),
    )


def _check_result(
    check: Check, analysis: AnalysisState, release: Release, slo: Slo, policy: JudgePolicy
) -> CheckResult:
    """Return the result of a check: the weighted mean of its e-values, as a fraction of the threshold."""
    log_threshold = -math.log(policy.false_rollback_rate * getattr(policy.shares, check.name))
    comparisons = [
        (comparison, evidence)
        for comparison, evidence in analysis.comparisons(check, release, slo, policy)
        if evidence.blocks
    ]
    unobserved_weight = max(1.0 - math.fsum(comparison.weight for comparison, _ in comparisons), 0.0)
    log_regressions = [evidence.log_regression for _, evidence in comparisons]
    weighted_logs = [
        math.log(comparison.weight) + log_regression
        for (comparison, _), log_regression in zip(comparisons, log_regressions, strict=True)
    ]
    log_regression = _log_sum_exp(
        [*weighted_logs, math.log(unobserved_weight)] if unobserved_weight > 1e-9 else weighted_logs
    )
    summary = f"{check.name.replace('_', ' ')}: no observations yet"
    if comparisons:
        summary = _summarize(check, *comparisons[max(range(len(comparisons)), key=log_regressions.__getitem__)])
    return CheckResult(
        check=check.name,
        summary=summary,
        regression_evidence=max(log_regression / log_threshold, 0.0) if comparisons else 0.0,
        noninferiority_evidence=_noninferiority_evidence(check, [evidence for _, evidence in comparisons])
        / -math.log(policy.false_promotion_rate),
    )


def _summarize(check: Check, comparison: Comparison, evidence: Evidence) -> str:
    """Return the result of a comparison as text, with its numbers."""
    if isinstance(comparison.test, MeanTest):
        mean = evidence.score_sum / max(evidence.canary.total, 1)
        return (
            f"{evidence.canary.total} {check.description}: mean {comparison.name} {mean:.3f}, "
            f"expected at least {comparison.test.min_mean:.3f}"
        )
    label = f" ({comparison.name})" if comparison.name else ""
    return f"{_format_rate(evidence.canary)} {check.description}{label}; stable: {_format_rate(evidence.stable)}"


def _noninferiority_evidence(check: Check, evidences: Sequence[Evidence]) -> float:
    """Return the log evidence of non-inferiority; NaN without observations or for checks that do not require it.

    Shadow disagreement counts the signal with the least evidence, among signals with enough values.
    """
    if check.name in ("failures", "shadow_failures"):
        return max((evidence.log_noninferiority for evidence in evidences), default=math.nan)
    if check.name == "shadow_disagreement" and evidences:
        max_count = max(evidence.canary.total for evidence in evidences)
        return min(
            evidence.log_noninferiority
            for evidence in evidences
            if evidence.canary.total >= _MIN_COUNT_RATIO * max_count
        )
    return math.nan


def _insufficient_data(release: Release, analysis: AnalysisState, policy: JudgePolicy) -> Iterator[str]:
    """Yield the observations that are still missing."""
    min_requests = policy.min_requests
    requests = canary_outcomes(analysis.step_window.canary).total
    if requests < min_requests:
        yield f"only {requests} of {min_requests} required canary responses in this step"
    if release.weight_percent < _FULL_WEIGHT_PERCENT:
        stable_requests = stable_outcomes(analysis.step_window).total
        if not stable_requests:
            yield "no responses of stable in this step: nothing to compare with"
        cards = (release.versions[analysis.canary].card, release.versions[analysis.stable].card)
        if release.shadow == analysis.canary and expected_agreement(*cards) and not _count_comparisons(analysis):
            yield "no shadow comparison yet, although the canary is the shadow"


def _suspected_regressions(results: Sequence[CheckResult], policy: JudgePolicy) -> Iterator[str]:
    """Yield the suspected regressions: evidence above the hold threshold, but below the rollback threshold."""
    for result in results:
        if result.regression_evidence >= policy.hold_threshold:
            percent = _format_percent(result.regression_evidence)
            yield f"possible regression ({percent} of the rollback threshold): {result.summary}"


def _pending_noninferiority(results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the checks whose non-inferiority is not shown yet.

    User requests or shadow requests are sufficient to show it for the failure rate.
    """
    result_by_check = {result.check: result for result in results}
    failure_results = [result_by_check[name] for name in ("failures", "shadow_failures")]
    strongest = max(
        failure_results,
        key=lambda result: (
            result.noninferiority_evidence if math.isfinite(result.noninferiority_evidence) else -math.inf
        ),
    )
    if not strongest.noninferiority_evidence >= 1:
        percent = _format_percent(strongest.noninferiority_evidence)
        yield f"failure rate not shown to be non-inferior yet ({percent} of the evidence): {strongest.summary}"
    agreement = result_by_check["shadow_disagreement"]
    if agreement.noninferiority_evidence < 1:
        percent = _format_percent(agreement.noninferiority_evidence)
        yield f"agreement not shown to be as expected yet ({percent} of the evidence): {agreement.summary}"


def _drift_reasons(release: Release, analysis: AnalysisState, policy: JudgePolicy) -> Iterator[str]:
    """Yield the outputs whose distribution differs from stable in the same step, and from the canary's card.

    Without a reference in the card, the difference from stable is sufficient. Distributions of fewer than `min_plates`
    plates are not compared.
    """
    card = release.versions[analysis.canary].card
    reference_plates = round(card.metrics.get(REFERENCE_PLATES_METRIC, 0))
    for name, canary_histogram in analysis.step_window.canary.histograms.items():
        stable_histogram = analysis.step_window.stable.histograms.get(name)
        if name == "seconds" or name.startswith(AGREEMENT_PREFIX) or stable_histogram is None:
            continue
        if (
            min(canary_histogram.total, stable_histogram.total) < policy.min_plates
            or canary_histogram.edges != stable_histogram.edges
        ):
            continue
        drift_from_stable = drift.compare_histograms(canary_histogram, stable_histogram, policy.plate_cluster_size)
        reference = card.references.get(name) if name in output_references(card) and reference_plates else None
        if reference is not None and not _exceeds_limits(
            drift.compare_to_reference(canary_histogram, reference, reference_plates, policy.plate_cluster_size),
            policy.drift,
        ):
            continue
        if _exceeds_limits(drift_from_stable, policy.drift):
            origin = "stable" if reference is None else "stable and from the card"
            yield (
                f"{name} drifted from {origin} "
                f"(PSI {drift_from_stable.psi:.2f}, KS {drift_from_stable.ks:.2f}, p {drift_from_stable.p_value:.1g}): "
                "inspect plates of both versions, then promote or roll back manually"
            )


def _exceeds_limits(result: drift.Drift, limits: DriftLimits) -> bool:
    return result.psi > limits.psi and result.p_value < limits.significance


def _promotion_reasons(release: Release, analysis: AnalysisState, results: Sequence[CheckResult]) -> Iterator[str]:
    requests = canary_outcomes(analysis.step_window.canary).total
    yield f"{requests} responses in this step: no evidence of regression, non-inferior within the margins"
    comparison_count = _count_comparisons(analysis)
    if comparison_count:
        yield f"{comparison_count} comparisons with stable on the same plates"
    elif release.shadow is None:
        yield "no comparison on the same plates: the canary is not a shadow"
    yield from (result.summary for result in results if result.regression_evidence > 0)


def _count_comparisons(analysis: AnalysisState) -> int:
    counts = [
        evidence.canary.total for name, evidence in analysis.evidence.items() if name.startswith("shadow_disagreement ")
    ]
    return max(counts, default=0)


def _format_rate(counts: Counts) -> str:
    if not counts.total:
        return "none"
    return f"{counts.bad} of {counts.total} ({100 * counts.bad / counts.total:.3g} %)"


def _format_percent(fraction: float) -> str:
    return f"{100 * max(fraction, 0.0):.0f} %" if math.isfinite(fraction) else "0 %"


def _format_facades(count: int) -> str:
    return "1 facade" if count == 1 else f"{count} facades"


def _log_sum_exp(logs: Sequence[float]) -> float:
    highest = max(logs)
    return highest + math.log(math.fsum(math.exp(log - highest) for log in logs))
