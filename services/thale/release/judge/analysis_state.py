"""What has been heard of a canary since its rollout began: all that a watcher has to keep to go on after a restart."""

from collections.abc import Iterator
from typing import Self

from thale.errors import InvalidTransitionError
from thale.monitoring.histogram import Histogram
from thale.release.judge.checks import CHECKS, Check, CheckInput, Comparison
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.sequential_tests import Evidence
from thale.release.judge.version_metrics import ComparisonWindow
from thale.release.lifecycle.history import rollout_started_at
from thale.schemas import FrozenModel, Release
from thale.slo import Slo


class AnalysisState(FrozenModel):
    """A rollout as the judge remembers it: `model_dump_json()` to keep it, `model_validate_json()` to go on."""

    model: str
    canary: str
    stable: str
    rollout_started_at: str
    """When the canary was put on trial, as the release's history has it; empty if the history has lost it."""
    weight_percent: float
    step_window: ComparisonWindow = ComparisonWindow()
    """What has been heard since this step began."""
    stable_latency_s: Histogram | None = None
    """How long the stable version's answers took, since the rollout began."""
    evidence: dict[str, Evidence] = {}
    """By part of a question, since the rollout began."""

    @classmethod
    def start(cls, release: Release) -> Self:
        """Return the trial of a release's canary, of which nothing has been heard yet.

        Raises:
            InvalidTransitionError: If there is no canary.
        """
        if release.canary is None:
            raise InvalidTransitionError(f"{release.name} has no canary to judge")
        return cls(
            model=release.name,
            canary=release.canary,
            stable=release.stable,
            rollout_started_at=rollout_started_at(release),
            weight_percent=release.weight_percent,
        )

    def update(self, release: Release, window: ComparisonWindow, slo: Slo, policy: JudgePolicy) -> Self:
        """Return the trial with what was heard since the last time.

        A release whose weight has changed begins a step anew: its first window belongs to the new step. One with
        another canary or another stable version begins a trial anew.

        Raises:
            InvalidTransitionError: If there is no canary.
        """
        if (release.canary, release.stable, rollout_started_at(release)) != (
            self.canary,
            self.stable,
            self.rollout_started_at,
        ):
            return self.start(release).update(release, window, slo, policy)
        step_window = self.step_window if release.weight_percent == self.weight_percent else ComparisonWindow()
        evidence = dict(self.evidence)
        for check in CHECKS:
            for comparison in check.comparisons(self.check_input(release, window, slo, policy)):
                name = evidence_key(check, comparison)
                evidence[name] = comparison.update(evidence.get(name, Evidence()))
        latency_s, previous = window.stable.histograms.get("seconds"), self.stable_latency_s
        if latency_s is not None:
            latency_s = previous.merge(latency_s) if previous is not None else latency_s
        changes = {
            "weight_percent": release.weight_percent,
            "step_window": step_window.merge(window),
            "stable_latency_s": latency_s or previous,
            "evidence": evidence,
        }
        return self.model_copy(update=changes)

    def check_input(self, release: Release, window: ComparisonWindow, slo: Slo, policy: JudgePolicy) -> CheckInput:
        """Return what the questions are asked of."""
        cards = (release.versions[self.canary].card, release.versions[self.stable].card)
        return CheckInput(window, self.stable_latency_s, *cards, slo, policy)

    def comparisons(
        self, check: Check, release: Release, slo: Slo, policy: JudgePolicy
    ) -> Iterator[tuple[Comparison, Evidence]]:
        """Return the parts of a question that something has been heard of."""
        for comparison in check.comparisons(self.check_input(release, self.step_window, slo, policy)):
            evidence = self.evidence.get(evidence_key(check, comparison))
            if evidence is not None:
                yield comparison, evidence


def evidence_key(check: Check, comparison: Comparison) -> str:
    """Return the name under which a part's evidence is kept."""
    return f"{check.name} {comparison.name}".rstrip()
