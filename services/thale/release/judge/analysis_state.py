"""What has been heard of a canary since its rollout began: all that a watcher has to keep to go on after a restart."""

from collections.abc import Iterator
from typing import Self

from thale.errors import PlanError
from thale.monitoring.histogram import Binned
from thale.release.judge.checks import QUESTIONS, Heard, Part, Question
from thale.release.judge.sequential_tests import Evidence
from thale.release.judge.version_metrics import Window
from thale.release.lifecycle.history import rollout_began
from thale.schemas import Record, Release
from thale.slo import Slo


class Trial(Record):
    """A rollout as the judge remembers it: `model_dump_json()` to keep it, `model_validate_json()` to go on."""

    model: str
    canary: str
    stable: str
    began: str
    """When the canary was put on trial, as the release's history has it; empty if the history has lost it."""
    weight_percent: float
    step: Window = Window()
    """What has been heard since this step began."""
    stable_seconds: Binned | None = None
    """How long the stable version's answers took, since the rollout began."""
    evidence: dict[str, Evidence] = {}
    """By part of a question, since the rollout began."""

    @classmethod
    def begin(cls, release: Release) -> Self:
        """Return the trial of a release's canary, of which nothing has been heard yet.

        Raises:
            PlanError: If there is no canary.
        """
        if release.canary is None:
            raise PlanError(f"{release.name} has no canary to judge")
        return cls(
            model=release.name,
            canary=release.canary,
            stable=release.stable,
            began=rollout_began(release),
            weight_percent=release.weight_percent,
        )

    def heard(self, release: Release, window: Window, slo: Slo) -> Self:
        """Return the trial with what was heard since the last time.

        A release whose weight has changed begins a step anew: its first window belongs to the new step. One with
        another canary or another stable version begins a trial anew.

        Raises:
            PlanError: If there is no canary.
        """
        if (release.canary, release.stable, rollout_began(release)) != (self.canary, self.stable, self.began):
            return self.begin(release).heard(release, window, slo)
        step = self.step if release.weight_percent == self.weight_percent else Window()
        evidence = dict(self.evidence)
        for question in QUESTIONS:
            for part in question.parts(self.about(release, window, slo)):
                name = key(question, part)
                evidence[name] = part.heard(evidence.get(name, Evidence()))
        seconds, before = window.stable.histograms.get("seconds"), self.stable_seconds
        if seconds is not None:
            seconds = before.then(seconds) if before is not None else seconds
        changes = {
            "weight_percent": release.weight_percent,
            "step": step.then(window),
            "stable_seconds": seconds or before,
            "evidence": evidence,
        }
        return self.model_copy(update=changes)

    def about(self, release: Release, window: Window, slo: Slo) -> Heard:
        """Return what the questions are asked of."""
        cards = (release.versions[self.canary].card, release.versions[self.stable].card)
        return Heard(window, self.stable_seconds, *cards, slo)

    def parts(self, question: Question, release: Release, slo: Slo) -> Iterator[tuple[Part, Evidence]]:
        """Return the parts of a question that something has been heard of."""
        for part in question.parts(self.about(release, self.step, slo)):
            found = self.evidence.get(key(question, part))
            if found is not None:
                yield part, found


def key(question: Question, part: Part) -> str:
    """Return the name under which a part's evidence is kept."""
    return f"{question.name} {part.name}".rstrip()
