"""One change of one release, from reading it to the audit line."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from thale.errors import ConflictError
from thale.release.lifecycle.transitions import Signature
from thale.release.targets import Actuator, Held
from thale.schemas import Release

logger = logging.getLogger(__name__)
audit = logging.getLogger("thale.audit")

_ATTEMPTS = 5


def change(actuator: Actuator, model: str, planned: Callable[[Release], Release]) -> Held:
    """Plan a change on the release as it is now and make it so; plan it anew where somebody else was faster.

    Raises:
        PlanError: If the change makes no sense (any more).
        ConflictError: If others were faster every time.
        ActuatorError: If a version cannot be brought to serve.
        UnknownModelError: If no such model is released.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _change_once(actuator, model, planned)
        except ConflictError as error:
            logger.info("release changed by another, planned anew", extra={"model": model, "error": str(error)})
    return _change_once(actuator, model, planned)


def _change_once(actuator: Actuator, model: str, planned: Callable[[Release], Release]) -> Held:
    before = actuator.read(model)
    after = actuator.apply(before, planned(before.release))
    line = after.release.history[-1].model_dump()
    audit.info("release changed", extra={"model": model, **line})
    return after


def sign(who: str, why: str) -> Signature:
    """Return a signature of this moment."""
    return Signature(who=who, why=why, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
