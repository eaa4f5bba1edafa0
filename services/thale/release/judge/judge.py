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

from thale.errors import PlanError
from thale.monitoring import drift
from thale.release.judge.analysis_state import Trial
from thale.release.judge.checks import (
    AGREEMENT,
    QUESTIONS,
    Part,
    Question,
    canary_answers,
    expected_agreement,
    said,
    stable_answers,
)
from thale.release.judge.sequential_tests import Evidence, MeanTest, Tally
from thale.schemas import Finding, Release, Verdict
from thale.slo import Slo

_EVERYTHING = 100.0
_MEASURED_PLATES = "plates_plates"
_OFTEN_ENOUGH = 0.5
"""Of the agreements, those are asked for comfort that were measured at least so often as the commonest one."""


def judge(release: Release, trial: Trial, slo: Slo) -> Verdict:
    """Return the verdict on a release's canary, from what its trial has heard so far.

    Raises:
        PlanError: If there is no canary, or the trial is of another one.
    """
    if (trial.canary, trial.stable) != (release.canary, release.stable):
        raise PlanError(f"this trial is of {trial.model} {trial.canary}, which is not on trial now")
    findings = [_finding(question, trial, release, slo) for question in QUESTIONS]
    harmed = sorted((finding for finding in findings if finding.harm >= 1), key=lambda finding: -finding.harm)
    if harmed:
        reasons = [finding.words for finding in harmed]
        if trial.step.canary.breakers_open:
            reasons.append(f"{_facades(trial.step.canary.breakers_open)} stopped asking it")
        decision = "roll back"
    elif reasons := list(_too_little(release, trial, slo)):
        decision = "inconclusive"
    elif reasons := [*_suspicions(findings, slo), *_not_comfortable(findings), *_drifted(release, trial, slo)]:
        decision = "hold"
    else:
        decision, reasons = "promote", list(_good_news(release, trial, findings))
    return Verdict(
        model=trial.model,
        canary=trial.canary,
        stable=trial.stable,
        weight_percent=release.weight_percent,
        decision=decision,
        reasons=tuple(reasons),
        findings=tuple(findings),
    )


def _finding(question: Question, trial: Trial, release: Release, slo: Slo) -> Finding:
    """Return what a question has found: the weighted mean of its parts' e-values, as a part of what is needed."""
    policy = slo.judge
    needed = -math.log(policy.false_alarms * getattr(policy.shares, question.name))
    parts = [(part, found) for part, found in trial.parts(question, release, slo) if found.blocks]
    unheard = max(1.0 - math.fsum(part.weight for part, _ in parts), 0.0)
    harms = [found.log_harm for _, found in parts]
    terms = [math.log(part.weight) + harm for (part, _), harm in zip(parts, harms, strict=True)]
    harm = _log_sum([*terms, math.log(unheard)] if unheard > 1e-9 else terms)
    words = f"{question.name.replace('_', ' ')}: nothing heard"
    if parts:
        words = _words(question, *parts[max(range(len(parts)), key=harms.__getitem__)])
    return Finding(
        question=question.name,
        words=words,
        harm=max(harm / needed, 0.0) if parts else 0.0,
        comfort=_comfort(question, [found for _, found in parts]) / -math.log(policy.missed),
    )


def _words(question: Question, part: Part, found: Evidence) -> str:
    """Return what a part has found, with its numbers."""
    if isinstance(part.test, MeanTest):
        mean = found.score / max(found.canary.total, 1)
        return (
            f"{found.canary.total} {question.words}: {part.name} {mean:.3f} on average, "
            f"at least {part.test.least:.3f} is expected"
        )
    named = f" ({part.name})" if part.name else ""
    return f"{_share(found.canary)} {question.words}{named}; stable: {_share(found.stable)}"


def _comfort(question: Question, found: Sequence[Evidence]) -> float:
    """Return the logarithm of the evidence that the canary is not worse; NaN where it is not asked for."""
    if question.name in ("failing", "shadow_failing"):
        return max((evidence.log_comfort for evidence in found), default=math.nan)
    if question.name == "disagreeing" and found:
        most = max(evidence.canary.total for evidence in found)
        return min(evidence.log_comfort for evidence in found if evidence.canary.total >= _OFTEN_ENOUGH * most)
    return math.nan


def _too_little(release: Release, trial: Trial, slo: Slo) -> Iterator[str]:
    """Say what has not been heard yet."""
    least = slo.judge.least_answers
    answers = canary_answers(trial.step.canary).total
    if answers < least:
        yield f"only {answers} of {least} answers of the canary in this step"
    if release.weight_percent < _EVERYTHING:
        beside = stable_answers(trial.step).total
        if not beside:
            yield "the stable version has answered nothing in this step: there is nothing to compare with"
        cards = (release.versions[trial.canary].card, release.versions[trial.stable].card)
        if release.shadow == trial.canary and expected_agreement(*cards) and not _compared(trial):
            yield "no plate has been compared with the stable version's yet, though the canary is its shadow"


def _suspicions(findings: Sequence[Finding], slo: Slo) -> Iterator[str]:
    """Say what looks like harm, if not enough to roll back."""
    for finding in findings:
        if finding.harm >= slo.judge.suspicion:
            yield f"suspicious ({_percent(finding.harm)} of what rolls back): {finding.words}"


def _not_comfortable(findings: Sequence[Finding]) -> Iterator[str]:
    """Say what is not shown yet: that the canary fails no more often, and that it agrees."""
    by_name = {finding.question: finding for finding in findings}
    answers = [by_name[name] for name in ("failing", "shadow_failing")]
    surest = max(answers, key=lambda finding: finding.comfort if math.isfinite(finding.comfort) else -math.inf)
    if not surest.comfort >= 1:
        yield f"not sure yet that it fails no more often ({_percent(surest.comfort)} of the evidence): {surest.words}"
    agreement = by_name["disagreeing"]
    if agreement.comfort < 1:
        shown = _percent(agreement.comfort)
        yield f"not sure yet that it agrees as expected ({shown} of the evidence): {agreement.words}"


def _drifted(release: Release, trial: Trial, slo: Slo) -> Iterator[str]:
    """Say where the canary says something else than the stable version in the same step, and than its own card."""
    policy = slo.judge
    card = release.versions[trial.canary].card
    measured = round(card.metrics.get(_MEASURED_PLATES, 0))
    for name, ours in trial.step.canary.histograms.items():
        theirs = trial.step.stable.histograms.get(name)
        if name == "seconds" or name.startswith(AGREEMENT) or theirs is None:
            continue
        if min(ours.total, theirs.total) < policy.least_plates or ours.edges != theirs.edges:
            continue
        beside = drift.compare(ours, theirs, policy.series_plates)
        expected = card.references.get(name) if name in said(card) and measured else None
        if expected is not None and not _beyond(
            drift.against_quantiles(ours, expected, measured, policy.series_plates), slo
        ):
            continue
        if _beyond(beside, slo):
            yield (
                f"its {name} are others than the stable version's of the same time (PSI {beside.psi:.2f}, KS "
                f"{beside.ks:.2f}, p {beside.p_value:.1g}){'' if expected is None else ' and than its card says'}: "
                "look at plates of both, then promote or roll back by hand"
            )


def _beyond(found: drift.Drift, slo: Slo) -> bool:
    limits = slo.judge.drift
    return found.psi > limits.psi and found.p_value < limits.significance


def _good_news(release: Release, trial: Trial, findings: Sequence[Finding]) -> Iterator[str]:
    answers = canary_answers(trial.step.canary).total
    yield f"{answers} answers in this step without evidence of harm, and shown to be no worse by more than the margins"
    compared = _compared(trial)
    if compared:
        yield f"{compared} comparisons with the stable version's answers on the same plates"
    elif release.shadow is None:
        yield "not compared with the stable version plate by plate: it is no shadow"
    yield from (finding.words for finding in findings if finding.harm > 0)


def _compared(trial: Trial) -> int:
    counts = [found.canary.total for name, found in trial.evidence.items() if name.startswith("disagreeing ")]
    return max(counts, default=0)


def _share(tally: Tally) -> str:
    if not tally.total:
        return "none"
    return f"{tally.bad} of {tally.total} ({100 * tally.bad / tally.total:.3g} %)"


def _percent(part: float) -> str:
    return f"{100 * max(part, 0.0):.0f} %" if math.isfinite(part) else "0 %"


def _facades(count: int) -> str:
    return "1 facade has" if count == 1 else f"{count} facades have"


def _log_sum(logs: Sequence[float]) -> float:
    highest = max(logs)
    return highest + math.log(math.fsum(math.exp(log - highest) for log in logs))
