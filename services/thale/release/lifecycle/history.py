"""History."""

from collections.abc import Sequence
from datetime import datetime

from thale.schemas import Release, ReleaseEvent


def rollout_started_at(release: Release) -> str:
    """Return when the canary's rollout began (ISO 8601), by the history; empty where that does not reach so far."""
    event = _last_event(release, ("canary",))
    return event.at if event is not None else ""


def step_started_at(release: Release) -> datetime | None:
    """Return when the canary got its present share, by the history; None where that does not reach so far."""
    event = _last_event(release, ("canary", "step"))
    return datetime.fromisoformat(event.at) if event is not None else None


def _last_event(release: Release, kinds: Sequence[str]) -> ReleaseEvent | None:
    events = (line for line in reversed(release.history) if line.version == release.canary and line.what in kinds)
    return next(events, None)
