"""Optimistic update of one release: read, transition, apply, and audit log."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from thale.errors import ConflictError
from thale.release.lifecycle.transitions import Author
from thale.release.targets import ReleaseTarget, VersionedRelease
from thale.schemas import Release

logger = logging.getLogger(__name__)
audit = logging.getLogger("thale.audit")

_MAX_ATTEMPTS = 5


def update_release(target: ReleaseTarget, model: str, transition: Callable[[Release], Release]) -> VersionedRelease:
    """Apply a transition to the present release, and retry if the release changes concurrently.

    Args:
        target: The target of the release.
        model: The model.
        transition: Returns the new release. It is called again on each retry.

    Raises:
        InvalidTransitionError: If the transition is not valid for the present release.
        ConflictError: If the release changed concurrently in every attempt.
        TargetError: If a version cannot be loaded.
        UnknownModelError: If the model has no release.
    """
    for _ in range(_MAX_ATTEMPTS - 1):
        try:
            return _try_update(target, model, transition)
        except ConflictError as error:
            logger.info("release changed concurrently, retrying", extra={"model": model, "error": str(error)})
    return _try_update(target, model, transition)


def _try_update(target: ReleaseTarget, model: str, transition: Callable[[Release], Release]) -> VersionedRelease:
    before = target.read(model)
    after = target.apply(before, transition(before.release))
    event = after.release.history[-1].model_dump()
    audit.info("release changed", extra={"model": model, **event})
    return after


def author_now(who: str, why: str) -> Author:
    """Return an author with the present time."""
    return Author(who=who, why=why, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
