"""What the watcher tells Prometheus: gauges that know when their version is gone."""

from dataclasses import dataclass
from datetime import datetime

from thale.schemas import Release, Verdict
from thale.telemetry import controller_metrics
from thale.telemetry.labels import ACTION
from thale.telemetry.series_expiry import SeriesExpirer


@dataclass(frozen=True)
class RolloutProgress:
    """How far a model's rollout is."""

    release: Release
    step_age_s: float = 0.0
    """Since the canary got its present share."""
    stuck: bool = False

    def traffic_weights(self) -> dict[str, float]:
        """Return each version's share of the requests, 0 to 1."""
        release = self.release
        weights = {release.stable: (100.0 - release.weight_percent) / 100}
        if release.canary is not None:
            weights[release.canary] = release.weight_percent / 100
        return weights


class RolloutGauges:
    """The watcher's gauges. A series stays for as long as its version answers anybody or is on trial."""

    def __init__(self) -> None:
        self._progress_by_model: dict[str, RolloutProgress] = {}
        self._expirer = SeriesExpirer(controller_metrics.WATCHER_METRICS)

    def record_poll(self, *, is_leader: bool, at: datetime) -> None:
        """Tell that everything was looked at, and who leads."""
        controller_metrics.RELEASE_LEADER.set(is_leader)
        controller_metrics.RELEASE_LAST_POLL.set(at.timestamp())

    def record_unreachable_facades(self, count: int) -> None:
        """Tell how many facades cannot be asked."""
        controller_metrics.RELEASE_FACADES_UNREACHABLE.set(count)

    def record_verdict(self, verdict: Verdict) -> None:
        """Count a look at a canary."""
        controller_metrics.RELEASE_VERDICTS.labels(verdict.model, verdict.canary, verdict.decision).inc()

    def record_action(self, verdict: Verdict, action: str) -> None:
        """Count a change that was made of a verdict."""
        controller_metrics.RELEASE_CHANGES.labels(verdict.model, verdict.canary, action).inc()

    def update(self, model: str, progress: RolloutProgress) -> None:
        """Put a model's gauges to what is so now."""
        previous = self._progress_by_model.get(model)
        release = progress.release
        self._expirer.update({model: release.versions})
        for version, weight in progress.traffic_weights().items():
            controller_metrics.RELEASE_WEIGHT.labels(model, version).set(weight)
        if release.canary is not None:
            controller_metrics.RELEASE_STEP_SECONDS.labels(model, release.canary).set(progress.step_age_s)
            controller_metrics.RELEASE_STUCK.labels(model, release.canary).set(progress.stuck)
            for action in ACTION.values:  # told from 0 on: a counter that begins at 1 shows no rise
                controller_metrics.RELEASE_CHANGES.labels(model, release.canary, action)
        if previous is not None:
            _remove_series(model, previous, progress)
        self._progress_by_model[model] = progress

    def remove(self, model: str) -> None:
        """Take a model's gauges down."""
        if (previous := self._progress_by_model.pop(model, None)) is not None:
            _remove_series(model, previous, None)

    def clear(self) -> None:
        """Take all models' gauges down: another watcher's hold now."""
        for model in list(self._progress_by_model):
            self.remove(model)


def _remove_series(model: str, previous: RolloutProgress, current: RolloutProgress | None) -> None:
    for version in previous.traffic_weights().keys() - (current.traffic_weights() if current else {}).keys():
        controller_metrics.RELEASE_WEIGHT.remove(model, version)
    canary = previous.release.canary
    if canary is not None and (current is None or current.release.canary != canary):
        controller_metrics.RELEASE_STEP_SECONDS.remove(model, canary)
        controller_metrics.RELEASE_STUCK.remove(model, canary)
