"""How far every rollout is, for people and for machines: the releases, and what the watcher has noted down."""

from collections.abc import Mapping

from thale.release.controller.checkpoint import Note, Page
from thale.release.judge.version_metrics import VersionSignals
from thale.release.lifecycle.history import rollout_began, step_began
from thale.schemas import Change, Record, Release, Verdict

_GOOD = ("ok", "refused")


class Heard(Record):
    """What a version did since the present step began."""

    requests: int
    errors: int
    fallbacks: int
    """Answers that the stable version gave in its place."""

    @classmethod
    def of(cls, signals: VersionSignals) -> "Heard":
        """Return the counts of all outcomes as three numbers; an image that is at fault is no error of the version."""
        requests = sum(signals.requests.values())
        errors = requests - sum(signals.requests.get(outcome, 0) for outcome in _GOOD)
        return cls(requests=requests, errors=errors, fallbacks=sum(signals.fallbacks.values()))


class ModelStatus(Record):
    """One model's release, and how its canary does."""

    model: str
    stable: str
    canary: str | None
    weight_percent: float
    shadow: str | None
    steps: tuple[float, ...]
    held: tuple[str, ...]
    last: Change | None
    since: str | None
    """When the present step began."""
    stable_heard: Heard | None = None
    canary_heard: Heard | None = None
    verdict: Verdict | None = None


class Status(Record):
    """All models. Who watches, and when it last noted anything down; nobody has ever watched where these are None."""

    models: tuple[ModelStatus, ...]
    watched_by: str | None
    watched_at: str | None
    facades_away: dict[str, str]


def status_of(releases: Mapping[str, Release], page: Page | None) -> Status:
    """Return the status of releases; what was noted down of a rollout that is over does not count."""
    rollouts = page.rollouts if page is not None else {}
    return Status(
        models=tuple(_model_status(release, rollouts.get(model)) for model, release in sorted(releases.items())),
        watched_by=page.who if page is not None else None,
        watched_at=page.at if page is not None else None,
        facades_away=page.away if page is not None else {},
    )


def _model_status(release: Release, note: Note | None) -> ModelStatus:
    began = step_began(release)
    status = ModelStatus(
        model=release.name,
        stable=release.stable,
        canary=release.canary,
        weight_percent=release.weight_percent,
        shadow=release.shadow,
        steps=release.steps,
        held=tuple(release.versions),
        last=release.history[-1] if release.history else None,
        since=began.isoformat() if began is not None else None,
    )
    if note is None or not _is_about(note, release):
        return status
    step = note.trial.step
    heard = {"stable_heard": Heard.of(step.stable), "canary_heard": Heard.of(step.canary)}
    return status.model_copy(update={**heard, "verdict": note.verdict})


def _is_about(note: Note, release: Release) -> bool:
    trial = note.trial
    noted = (trial.canary, trial.began, trial.weight_percent)
    return noted == (release.canary, rollout_began(release), release.weight_percent)
