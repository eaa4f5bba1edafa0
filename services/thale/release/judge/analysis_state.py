"""State of a canary analysis since the start of the rollout, from which a controller resumes after a restart."""

from collections.abc import Iterator
from typing import Self

from thale.errors import InvalidTransitionError
from thale.monitoring.histogram import Histogram
from thale.release.judge.checks import CHECKS, Check, CheckInput, Comparison
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.sequential_tests import Evidence
from thale.release.judge.version_metrics import ComparisonWindow
from thale.schemas import FrozenModel, Release
from thale.schemas.release_history import rollout_started_at
from thale.slo import Slo


class AnalysisState(FrozenModel):
    """Canary analysis of one rollout. `model_dump_json()` saves it, and `model_validate_json()` restores it."""

    model: str
    canary: str
    stable: str
    rollout_started_at: str
    """Start of the rollout in the release history (ISO 8601). Empty if the history no longer contains it."""
    weight_percent: float
    step_window: ComparisonWindow = ComparisonWindow()
    """Observations since the start of this step."""
    stable_latency_s: Histogram | None = None
    """Response times of stable since the start of the rollout."""
    evidence: dict[str, Evidence] = {}
    """Evidence since the start of the rollout, by the key of the comparison."""

    @classmethod
    def start(cls, release: Release) -> Self:
        """Return the analysis of a release's canary without observations.

        Raises:
            InvalidTransitionError: If there is no canary.
        """
        if release.canary is None:
            raise InvalidTransitionError(f"{release.name} has no canary to judge: start one first")
        return cls(
            model=release.name,
            canary=release.canary,
            stable=release.stable,
            rollout_started_at=rollout_started_at(release),
            weight_percent=release.weight_percent,
        )

    def update(self, release: Release, window: ComparisonWindow, slo: Slo, policy: JudgePolicy) -> Self:
        """Return the analysis with the observations of another window added.

        A changed weight starts a new step, and this window belongs to the new step. Another canary or another stable
        version starts a new analysis.

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
        """Return the input of the checks."""
        cards = (release.versions[self.canary].card, release.versions[self.stable].card)
        return CheckInput(window, self.stable_latency_s, *cards, slo, policy)

    def comparisons(
        self, check: Check, release: Release, slo: Slo, policy: JudgePolicy
    ) -> Iterator[tuple[Comparison, Evidence]]:
        """Yield the comparisons of a check that have evidence."""
        for comparison in check.comparisons(self.check_input(release, self.step_window, slo, policy)):
            evidence = self.evidence.get(evidence_key(check, comparison))
            if evidence is not None:
                yield comparison, evidence


def evidence_key(check: Check, comparison: Comparison) -> str:
    """Return the key of a comparison's evidence."""
    return f"{check.name} {comparison.name}".rstrip()
