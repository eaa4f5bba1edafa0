"""Status of all rollouts, from the releases and the checkpoint of the controller."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from thale.release.controller.checkpoint import Checkpoint, RolloutCheckpoint
from thale.release.judge.version_metrics import VersionMetrics
from thale.release.lifecycle.history import rollout_started_at, step_started_at
from thale.schemas import FrozenModel, Release, ReleaseEvent, Verdict

_NON_ERROR_OUTCOMES = ("ok", "rejected")


class VersionCounts(FrozenModel):
    """Requests of a version since the start of the current step."""

    requests: int
    errors: int
    fallbacks: int
    """Requests that fell back to the stable version."""

    @classmethod
    def from_metrics(cls, metrics: VersionMetrics) -> "VersionCounts":
        """Return the counts over all outcomes. A rejected image is not an error of the version."""
        requests = sum(metrics.requests.values())
        errors = requests - sum(metrics.requests.get(outcome, 0) for outcome in _NON_ERROR_OUTCOMES)
        return cls(requests=requests, errors=errors, fallbacks=sum(metrics.fallbacks.values()))


class ModelStatus(FrozenModel):
    """Release of one model, and the analysis of its canary."""

    model: str
    stable: str
    canary: str | None
    weight_percent: float
    shadow: str | None
    steps: tuple[float, ...]
    loaded_versions: tuple[str, ...]
    unused_versions: tuple[str, ...] = ()
    """Loaded versions that the release does not contain. A change loads or unloads them, or left them behind."""
    last_event: ReleaseEvent | None
    step_started_at: str | None
    """Start of the current step (ISO 8601)."""
    stable_counts: VersionCounts | None = None
    canary_counts: VersionCounts | None = None
    verdict: Verdict | None = None


class Status(FrozenModel):
    """Status of all models. `leader` and `last_checkpoint_at` are None if no controller has run yet."""

    models: tuple[ModelStatus, ...]
    leader: str | None
    last_checkpoint_at: str | None
    unreachable_facades: dict[str, str]


def rollout_status(
    releases: Mapping[str, Release],
    checkpoint: Checkpoint | None,
    unused: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Status:
    """Return the status of releases.

    Args:
        releases: The releases by model.
        checkpoint: Checkpoint of the controller. Those of completed rollouts are ignored.
        unused: The loaded versions of each model that its release does not contain.
    """
    rollouts = checkpoint.rollouts if checkpoint is not None else {}
    return Status(
        models=tuple(
            _model_status(release, rollouts.get(model), unused.get(model, ()))
            for model, release in sorted(releases.items())
        ),
        leader=checkpoint.leader if checkpoint is not None else None,
        last_checkpoint_at=checkpoint.saved_at if checkpoint is not None else None,
        unreachable_facades=checkpoint.unreachable_facades if checkpoint is not None else {},
    )


def _model_status(release: Release, rollout: RolloutCheckpoint | None, unused: Sequence[str]) -> ModelStatus:
    started_at = step_started_at(release)
    status = ModelStatus(
        model=release.name,
        stable=release.stable,
        canary=release.canary,
        weight_percent=release.weight_percent,
        shadow=release.shadow,
        steps=release.steps,
        loaded_versions=tuple(release.versions),
        unused_versions=tuple(unused),
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
