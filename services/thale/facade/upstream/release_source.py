"""What is released, followed while it changes."""

import logging
import time
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.errors import ModelUnavailableError
from thale.schemas import ReleaseRecord

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 0.25


class Records(Protocol):
    """Where the facade learns what is released. Asked for every request, so it answers from memory."""

    def current(self) -> ReleaseRecord:
        """Return what is released now: the same object for as long as nothing changes.

        Raises:
            ModelUnavailableError: If that was never known.
        """
        ...


class RecordFile:
    """The release record as a file, read again when it has changed, looked at four times a second at most.

    A rewrite that cannot be read is logged, and the record before it stays in force: a bad file stops nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._record: ReleaseRecord | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._fault = ""

    def current(self) -> ReleaseRecord:
        """Return what is released now.

        Raises:
            ModelUnavailableError: If there was never a record that can be read.
        """
        if time.monotonic() >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + (_LOOK_AGAIN_S if self._record else 0.0)
        if self._record is None:
            raise ModelUnavailableError("no model is released yet: the release record is missing or cannot be read")
        return self._record

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._seen = seen
            self._record = ReleaseRecord.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            if str(error) != self._fault:
                logger.error("release record cannot be read", extra={"path": str(self._path), "error": str(error)})
            self._fault = str(error)
        else:
            self._fault = ""
            models = {
                name: {"stable": model.stable, "canary": model.canary, "percent": model.weight_percent}
                for name, model in self._record.models.items()
            }
            logger.info("release record read", extra={"models": models})
