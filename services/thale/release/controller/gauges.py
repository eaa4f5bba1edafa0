"""Gauges of the rollouts. The series of a version are removed when the version is removed."""

from dataclasses import dataclass
from datetime import datetime

from thale.schemas import Release, Verdict
from thale.telemetry import controller_metrics
from thale.telemetry.labels import ACTION
from thale.telemetry.series_expiry import SeriesExpirer


@dataclass(frozen=True)
class RolloutProgress:
    """Progress of a model's rollout."""

    release: Release
    step_age_s: float = 0.0
    """Age of the current step."""
    stuck: bool = False

    def traffic_weights(self) -> dict[str, float]:
        """Return each version's share of the requests, 0 to 1."""
        release = self.release
        weights = {release.stable: (100.0 - release.weight_percent) / 100}
        if release.canary is not None:
            weights[release.canary] = release.weight_percent / 100
        return weights


class RolloutGauges:
    """Gauges of the controller. A series exists as long as its version is the stable version or the canary."""

    def __init__(self) -> None:
        self._progress_by_model: dict[str, RolloutProgress] = {}
        self._expirer = SeriesExpirer(controller_metrics.CONTROLLER_METRICS)

    def record_poll(self, *, is_leader: bool, at: datetime) -> None:
        """Record the time of a poll, and whether this process is the leader."""
        controller_metrics.RELEASE_LEADER.set(is_leader)
        controller_metrics.RELEASE_LAST_POLL.set(at.timestamp())

    def record_unreachable_facades(self, count: int) -> None:
        """Record the number of facades that cannot be scraped."""
        controller_metrics.RELEASE_FACADES_UNREACHABLE.set(count)

    def record_verdict(self, verdict: Verdict) -> None:
        """Count a verdict."""
        controller_metrics.RELEASE_VERDICTS.labels(verdict.model, verdict.canary, verdict.decision).inc()

    def record_action(self, verdict: Verdict, action: str) -> None:
        """Count a change of a release after a verdict."""
        controller_metrics.RELEASE_CHANGES.labels(verdict.model, verdict.canary, action).inc()

    def update(self, model: str, progress: RolloutProgress) -> None:
        """Set the gauges of a model, and remove those of removed versions."""
        previous = self._progress_by_model.get(model)
        release = progress.release
        self._expirer.update({model: release.versions})
        for version, weight in progress.traffic_weights().items():
            controller_metrics.RELEASE_WEIGHT.labels(model, version).set(weight)
        if release.canary is not None:
            controller_metrics.RELEASE_STEP_SECONDS.labels(model, release.canary).set(progress.step_age_s)
            controller_metrics.RELEASE_STUCK.labels(model, release.canary).set(progress.stuck)
            for action in ACTION.values:  # initialised to 0 so that rate() sees the first increment
                controller_metrics.RELEASE_CHANGES.labels(model, release.canary, action)
        if previous is not None:
            _remove_series(model, previous, progress)
        self._progress_by_model[model] = progress

    def remove(self, model: str) -> None:
        """Remove the gauges of a model."""
        if (previous := self._progress_by_model.pop(model, None)) is not None:
            _remove_series(model, previous, None)

    def clear(self) -> None:
        """Remove the gauges of all models, because another controller exports them now."""
        for model in list(self._progress_by_model):
            self.remove(model)


def _remove_series(model: str, previous: RolloutProgress, current: RolloutProgress | None) -> None:
    for version in previous.traffic_weights().keys() - (current.traffic_weights() if current else {}).keys():
        controller_metrics.RELEASE_WEIGHT.remove(model, version)
    canary = previous.release.canary
    if canary is not None and (current is None or current.release.canary != canary):
        controller_metrics.RELEASE_STEP_SECONDS.remove(model, canary)
        controller_metrics.RELEASE_STUCK.remove(model, canary)
