"""What should become of a canary now: next step, wait, or back. Pure: a release and its trial in, a verdict out.

    roll back      a question's evidence of harm is beyond its share of the false alarms
    inconclusive   too little has been heard: no traffic is not good news
    hold           enough has been heard, but not that the canary is as good, or it says something else
    promote        the canary has answered enough, is shown to be no worse by more than the margins, and nothing speaks
                   against it

How sure that is stands in docs/judging.md, with measured rates of false alarms and of detection.
"""

import math
from collections.abc import Iterator, Sequence

from thale.errors import InvalidTransitionError
from thale.monitoring import drift
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.checks import (
    AGREEMENT_PREFIX,
    CHECKS,
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
_REFERENCE_PLATES_METRIC = "plates_plates"
_MIN_COUNT_RATIO = 0.5
"""Of the agreements, those are asked for comfort that were measured at least so often as the commonest one."""


def judge(release: Release, analysis: AnalysisState, slo: Slo, policy: JudgePolicy) -> Verdict:
    """Return the verdict on a release's canary, from what its trial has heard so far.

    Raises:
        InvalidTransitionError: If there is no canary, or the trial is of another one.
    """
    if (analysis.canary, analysis.stable) != (release.canary, release.stable):
        raise InvalidTransitionError(f"this trial is of {analysis.model} {analysis.canary}, which is not on trial now")
    results = [_check_result(question, analysis, release, slo, policy) for question in CHECKS]
    regressions = sorted(
        (finding for finding in results if finding.regression_evidence >= 1),
        key=lambda finding: -finding.regression_evidence,
    )
    if regressions:
        reasons = [finding.summary for finding in regressions]
        if analysis.step_window.canary.breakers_open:
            reasons.append(f"{_format_facades(analysis.step_window.canary.breakers_open)} stopped asking it")
        decision = "roll back"
    elif reasons := list(_insufficient_data(release, analysis, policy)):
        decision = "inconclusive"
    elif reasons := [
        *_suspicious(results, policy),
        *_noninferiority_pending(results),
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
    """Return what a question has found: the weighted mean of its parts' e-values, as a part of what is needed."""
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
    summary = f"{check.name.replace('_', ' ')}: nothing heard"
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
    """Return what a part has found, with its numbers."""
    if isinstance(comparison.test, MeanTest):
        mean = evidence.score_sum / max(evidence.canary.total, 1)
        return (
            f"{evidence.canary.total} {check.description}: {comparison.name} {mean:.3f} on average, "
            f"at least {comparison.test.min_mean:.3f} is expected"
        )
    label = f" ({comparison.name})" if comparison.name else ""
    return f"{_format_rate(evidence.canary)} {check.description}{label}; stable: {_format_rate(evidence.stable)}"


def _noninferiority_evidence(check: Check, evidences: Sequence[Evidence]) -> float:
    """Return the logarithm of the evidence that the canary is not worse; NaN where it is not asked for."""
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
    """Say what has not been heard yet."""
    min_requests = policy.min_requests
    requests = canary_outcomes(analysis.step_window.canary).total
    if requests < min_requests:
        yield f"only {requests} of {min_requests} answers of the canary in this step"
    if release.weight_percent < _FULL_WEIGHT_PERCENT:
        stable_requests = stable_outcomes(analysis.step_window).total
        if not stable_requests:
            yield "the stable version has answered nothing in this step: there is nothing to compare with"
        cards = (release.versions[analysis.canary].card, release.versions[analysis.stable].card)
        if release.shadow == analysis.canary and expected_agreement(*cards) and not _count_comparisons(analysis):
            yield "no plate has been compared with the stable version's yet, though the canary is its shadow"


def _suspicious(results: Sequence[CheckResult], policy: JudgePolicy) -> Iterator[str]:
    """Say what looks like harm, if not enough to roll back."""
    for result in results:
        if result.regression_evidence >= policy.hold_threshold:
            yield f"suspicious ({_format_percent(result.regression_evidence)} of what rolls back): {result.summary}"


def _noninferiority_pending(results: Sequence[CheckResult]) -> Iterator[str]:
    """Say what is not shown yet: that the canary fails no more often, and that it agrees."""
    result_by_check = {finding.check: finding for finding in results}
    failure_results = [result_by_check[name] for name in ("failures", "shadow_failures")]
    strongest = max(
        failure_results,
        key=lambda finding: (
            finding.noninferiority_evidence if math.isfinite(finding.noninferiority_evidence) else -math.inf
        ),
    )
    if not strongest.noninferiority_evidence >= 1:
        yield f"not sure yet that it fails no more often ({_format_percent(strongest.noninferiority_evidence)} of the evidence): {strongest.summary}"
    agreement = result_by_check["shadow_disagreement"]
    if agreement.noninferiority_evidence < 1:
        percent = _format_percent(agreement.noninferiority_evidence)
        yield f"not sure yet that it agrees as expected ({percent} of the evidence): {agreement.summary}"


def _drift_reasons(release: Release, analysis: AnalysisState, policy: JudgePolicy) -> Iterator[str]:
    """Say where the canary says something else than the stable version in the same step, and than its own card."""
    card = release.versions[analysis.canary].card
    reference_plates = round(card.metrics.get(_REFERENCE_PLATES_METRIC, 0))
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
            yield (
                f"its {name} are others than the stable version's of the same time (PSI {drift_from_stable.psi:.2f}, KS "
                f"{drift_from_stable.ks:.2f}, p {drift_from_stable.p_value:.1g}){'' if reference is None else ' and than its card says'}: "
                "look at plates of both, then promote or roll back by hand"
            )


def _exceeds_limits(result: drift.Drift, limits: DriftLimits) -> bool:
    return result.psi > limits.psi and result.p_value < limits.significance


def _promotion_reasons(release: Release, analysis: AnalysisState, results: Sequence[CheckResult]) -> Iterator[str]:
    requests = canary_outcomes(analysis.step_window.canary).total
    yield f"{requests} answers in this step without evidence of harm, and shown to be no worse by more than the margins"
    comparison_count = _count_comparisons(analysis)
    if comparison_count:
        yield f"{comparison_count} comparisons with the stable version's answers on the same plates"
    elif release.shadow is None:
        yield "not compared with the stable version plate by plate: it is no shadow"
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
    return "1 facade has" if count == 1 else f"{count} facades have"


def _log_sum_exp(logs: Sequence[float]) -> float:
    highest = max(logs)
    return highest + math.log(math.fsum(math.exp(log - highest) for log in logs))
