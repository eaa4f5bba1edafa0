"""Times in the history of a release."""

from collections.abc import Sequence
from datetime import datetime

from thale.schemas.release import Release, ReleaseEvent


def rollout_started_at(release: Release) -> str:
    """Return the start of the rollout (ISO 8601); empty if the history no longer contains it."""
    event = _last_event(release, ("canary",))
    return event.at if event is not None else ""


def step_started_at(release: Release) -> datetime | None:
    """Return the start of the current step; None if the history no longer contains it."""
    event = _last_event(release, ("canary", "step"))
    return datetime.fromisoformat(event.at) if event is not None else None


def _last_event(release: Release, kinds: Sequence[str]) -> ReleaseEvent | None:
    events = (event for event in reversed(release.history) if event.version == release.canary and event.what in kinds)
    return next(events, None)
