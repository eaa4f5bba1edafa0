"""Schemas of the status of releases, as `thale release status` and /v1/rollouts show it.

The rollout controller publishes a `ControllerReport` in its checkpoint. Readers of the report ignore its other fields.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

from pydantic import ConfigDict

from thale.schemas.fields import FrozenModel
from thale.schemas.release import Release, ReleaseEvent, Verdict
from thale.schemas.release_history import rollout_started_at, step_started_at


class VersionCounts(FrozenModel):
    """Requests of a version since the start of the current step."""

    requests: int
    """Requests of clients, over all facades."""
    errors: int
    """Requests that failed. A rejected image is not an error of the version."""
    fallbacks: int
    """Requests that fell back to the stable version."""


class RolloutReport(FrozenModel):
    """Last verdict of the controller about one rollout, with the counts of its current step."""

    model_config = ConfigDict(extra="ignore")

    verdict: Verdict
    rollout_started_at: str | None = None
    """Start of the judged rollout (ISO 8601). None in a report of an earlier version of the controller."""
    stable_counts: VersionCounts | None = None
    canary_counts: VersionCounts | None = None

    def is_current(self, release: Release) -> bool:
        """Return True if the verdict is about the current step of the release."""
        verdict = self.verdict
        return (verdict.canary, self.rollout_started_at, verdict.weight_percent) == (
            release.canary,
            rollout_started_at(release),
            release.weight_percent,
        )


class ControllerReport(FrozenModel):
    """Last report of the rollout controller about all rollouts."""

    model_config = ConfigDict(extra="ignore")

    leader: str
    saved_at: str
    rollouts: Mapping[str, RolloutReport]
    unreachable_facades: dict[str, str]
    """Reasons of failed scrapes, by facade."""


class ReleaseStatus(FrozenModel):
    """Release of one model, and the analysis of its canary."""

    model: str
    """Name of the model."""
    stable: str
    """The stable version."""
    canary: str | None
    """The version that is rolled out. None: no rollout."""
    weight_percent: float
    """Share of the requests that the canary serves."""
    shadow: str | None
    """The version that receives copies of requests."""
    steps: tuple[float, ...]
    """The weights of the canary during a rollout, in percent."""
    loaded_versions: tuple[str, ...]
    """The versions that the release contains."""
    unused_versions: tuple[str, ...] | None = ()
    """Loaded versions that the release does not contain. A change loads or unloads them, or left them behind. None: not
    known."""
    last_event: ReleaseEvent | None
    """The latest change."""
    step_started_at: str | None
    """Start of the current step (ISO 8601)."""
    stable_counts: VersionCounts | None = None
    """Requests of the stable version in this step. None: the controller has not reported them."""
    canary_counts: VersionCounts | None = None
    """Requests of the canary in this step. None: the controller has not reported them."""
    verdict: Verdict | None = None
    """Last verdict about this step. None: the controller has not reported one."""

    @classmethod
    def from_release(cls, release: Release, report: RolloutReport | None, unused: Sequence[str] | None = ()) -> Self:
        """Return the status of a release.

        Args:
            release: The release.
            report: Report of the controller. One about another rollout or step is ignored.
            unused: The loaded versions that the release does not contain. None: not known.
        """
        started_at = step_started_at(release)
        current = report if report is not None and report.is_current(release) else None
        return cls(
            model=release.name,
            stable=release.stable,
            canary=release.canary,
            weight_percent=release.weight_percent,
            shadow=release.shadow,
            steps=release.steps,
            loaded_versions=tuple(release.versions),
            unused_versions=None if unused is None else tuple(unused),
            last_event=release.history[-1] if release.history else None,
            step_started_at=started_at.isoformat() if started_at is not None else None,
            stable_counts=current.stable_counts if current is not None else None,
            canary_counts=current.canary_counts if current is not None else None,
            verdict=current.verdict if current is not None else None,
        )


class ReleaseStatusList(FrozenModel):
    """Status of the releases of all models."""

    models: tuple[ReleaseStatus, ...]
    """The releases in the order of the models' names."""
    leader: str | None
    """Author of the last report of the rollout controller. None: no report."""
    last_checkpoint_at: str | None
    """Time of the last report (ISO 8601). None: no report."""
    unreachable_facades: dict[str, str]
    """Facades whose counters the controller could not read, with the reasons."""

    @classmethod
    def from_releases(
        cls,
        releases: Mapping[str, Release],
        report: ControllerReport | None,
        unused: Mapping[str, Sequence[str]] | None = MappingProxyType({}),
    ) -> Self:
        """Return the status of releases.

        Args:
            releases: The releases by model.
            report: Report of the controller. Its parts about completed rollouts are ignored.
            unused: The loaded versions of each model that its release does not contain. None: not known.
        """
        rollouts = report.rollouts if report is not None else {}
        return cls(
            models=tuple(
                ReleaseStatus.from_release(
                    release, rollouts.get(model), unused.get(model, ()) if unused is not None else None
                )
                for model, release in sorted(releases.items())
            ),
            leader=report.leader if report is not None else None,
            last_checkpoint_at=report.saved_at if report is not None else None,
            unreachable_facades=report.unreachable_facades if report is not None else {},
        )
