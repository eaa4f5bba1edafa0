"""What the watcher tells Prometheus: gauges that know when their version is gone."""

from dataclasses import dataclass
from datetime import datetime

from thale.schemas import Release, Verdict
from thale.telemetry import controller_metrics
from thale.telemetry.labels import MOVE
from thale.telemetry.series_expiry import Remembered


@dataclass(frozen=True)
class Standing:
    """How far a model's rollout is."""

    release: Release
    step_s: float = 0.0
    """Since the canary got its present share."""
    stuck: bool = False

    def shares(self) -> dict[str, float]:
        """Return what percentage of the requests each version answers."""
        release = self.release
        shares = {release.stable: 100.0 - release.weight_percent}
        if release.canary is not None:
            shares[release.canary] = release.weight_percent
        return shares


class Board:
    """The watcher's gauges. A series stays for as long as its version answers anybody or is on trial."""

    def __init__(self) -> None:
        self._shown: dict[str, Standing] = {}
        self._remembered = Remembered(controller_metrics.WATCHER_METRICS)

    def polled(self, *, leads: bool, at: datetime) -> None:
        """Tell that everything was looked at, and who leads."""
        controller_metrics.RELEASE_LEADER.set(leads)
        controller_metrics.RELEASE_LAST_POLL.set(at.timestamp())

    def facades_away(self, count: int) -> None:
        """Tell how many facades cannot be asked."""
        controller_metrics.RELEASE_FACADES_AWAY.set(count)

    def judged(self, verdict: Verdict) -> None:
        """Count a look at a canary."""
        controller_metrics.RELEASE_VERDICTS.labels(verdict.model, verdict.canary, verdict.decision).inc()

    def moved(self, verdict: Verdict, what: str) -> None:
        """Count a change that was made of a verdict."""
        controller_metrics.RELEASE_CHANGES.labels(verdict.model, verdict.canary, what).inc()

    def show(self, model: str, standing: Standing) -> None:
        """Put a model's gauges to what is so now."""
        before = self._shown.get(model)
        release = standing.release
        self._remembered.follow({model: release.versions})
        for version, share in standing.shares().items():
            controller_metrics.RELEASE_WEIGHT.labels(model, version).set(share)
        if release.canary is not None:
            controller_metrics.RELEASE_STEP_SECONDS.labels(model, release.canary).set(standing.step_s)
            controller_metrics.RELEASE_STUCK.labels(model, release.canary).set(standing.stuck)
            for what in MOVE.values:  # told from 0 on: a counter that begins at 1 shows no rise
                controller_metrics.RELEASE_CHANGES.labels(model, release.canary, what)
        if before is not None:
            _take_down(model, before, standing)
        self._shown[model] = standing

    def remove(self, model: str) -> None:
        """Take a model's gauges down."""
        if (before := self._shown.pop(model, None)) is not None:
            _take_down(model, before, None)

    def clear(self) -> None:
        """Take all models' gauges down: another watcher's hold now."""
        for model in list(self._shown):
            self.remove(model)


def _take_down(model: str, before: Standing, after: Standing | None) -> None:
    for version in before.shares().keys() - (after.shares() if after else {}).keys():
        controller_metrics.RELEASE_WEIGHT.remove(model, version)
    canary = before.release.canary
    if canary is not None and (after is None or after.release.canary != canary):
        controller_metrics.RELEASE_STEP_SECONDS.remove(model, canary)
        controller_metrics.RELEASE_STUCK.remove(model, canary)
