"""History."""

from collections.abc import Sequence
from datetime import datetime

from thale.schemas import Change, Release


def rollout_began(release: Release) -> str:
    """Return when the canary's rollout began (ISO 8601), by the history; empty where that does not reach so far."""
    line = _last_line(release, ("canary",))
    return line.at if line is not None else ""


def step_began(release: Release) -> datetime | None:
    """Return when the canary got its present share, by the history; None where that does not reach so far."""
    line = _last_line(release, ("canary", "step"))
    return datetime.fromisoformat(line.at) if line is not None else None


def _last_line(release: Release, kinds: Sequence[str]) -> Change | None:
    lines = (line for line in reversed(release.history) if line.version == release.canary and line.what in kinds)
    return next(lines, None)
