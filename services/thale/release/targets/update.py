"""One change of one release, from reading it to the audit line."""

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
    """Plan a change on the release as it is now and make it so; plan it anew where somebody else was faster.

    Raises:
        InvalidTransitionError: If the change makes no sense (any more).
        ConflictError: If others were faster every time.
        TargetError: If a version cannot be brought to serve.
        UnknownModelError: If no such model is released.
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
    """Return a signature of this moment."""
    return Author(who=who, why=why, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
