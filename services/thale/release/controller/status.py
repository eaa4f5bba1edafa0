"""How far every rollout is, for people and for machines: the releases, and what the watcher has noted down."""

from collections.abc import Mapping

from thale.release.controller.checkpoint import Checkpoint, RolloutCheckpoint
from thale.release.judge.version_metrics import VersionMetrics
from thale.release.lifecycle.history import rollout_started_at, step_started_at
from thale.schemas import FrozenModel, Release, ReleaseEvent, Verdict

_NON_ERROR_OUTCOMES = ("ok", "rejected")


class VersionCounts(FrozenModel):
    """What a version did since the present step began."""

    requests: int
    errors: int
    fallbacks: int
    """Answers that the stable version gave in its place."""

    @classmethod
    def from_metrics(cls, metrics: VersionMetrics) -> "VersionCounts":
        """Return the counts of all outcomes as three numbers; an image that is at fault is no error of the version."""
        requests = sum(metrics.requests.values())
        errors = requests - sum(metrics.requests.get(outcome, 0) for outcome in _NON_ERROR_OUTCOMES)
        return cls(requests=requests, errors=errors, fallbacks=sum(metrics.fallbacks.values()))


class ModelStatus(FrozenModel):
    """One model's release, and how its canary does."""

    model: str
    stable: str
    canary: str | None
    weight_percent: float
    shadow: str | None
    steps: tuple[float, ...]
    loaded_versions: tuple[str, ...]
    last_event: ReleaseEvent | None
    step_started_at: str | None
    """When the present step began."""
    stable_counts: VersionCounts | None = None
    canary_counts: VersionCounts | None = None
    verdict: Verdict | None = None


class Status(FrozenModel):
    """All models. Who watches, and when it last noted anything down; nobody has ever watched where these are None."""

    models: tuple[ModelStatus, ...]
    leader: str | None
    last_checkpoint_at: str | None
    unreachable_facades: dict[str, str]


def rollout_status(releases: Mapping[str, Release], checkpoint: Checkpoint | None) -> Status:
    """Return the status of releases; what was noted down of a rollout that is over does not count."""
    rollouts = checkpoint.rollouts if checkpoint is not None else {}
    return Status(
        models=tuple(_model_status(release, rollouts.get(model)) for model, release in sorted(releases.items())),
        leader=checkpoint.leader if checkpoint is not None else None,
        last_checkpoint_at=checkpoint.saved_at if checkpoint is not None else None,
        unreachable_facades=checkpoint.unreachable_facades if checkpoint is not None else {},
    )


def _model_status(release: Release, rollout: RolloutCheckpoint | None) -> ModelStatus:
    started_at = step_started_at(release)
    status = ModelStatus(
        model=release.name,
        stable=release.stable,
        canary=release.canary,
        weight_percent=release.weight_percent,
        shadow=release.shadow,
        steps=release.steps,
        loaded_versions=tuple(release.versions),
        last_event=release.history[-1] if release.history else None,
        step_started_at=started_at.isoformat() if started_at is not None else None,
    )
    if rollout is None or not _is_current(rollout, release):
        return status
    window = rollout.analysis.step_window
    counts = {
        "stable_counts": VersionCounts.from_metrics(window.stable),
        "canary_counts": VersionCounts.from_metrics(window.canary),
    }
    return status.model_copy(update={**counts, "verdict": rollout.verdict})


def _is_current(rollout: RolloutCheckpoint, release: Release) -> bool:
    analysis = rollout.analysis
    analysed_step = (analysis.canary, analysis.rollout_started_at, analysis.weight_percent)
    return analysed_step == (release.canary, rollout_started_at(release), release.weight_percent)
