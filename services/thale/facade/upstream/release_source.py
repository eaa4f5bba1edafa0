"""Sources of the release state, which follow its changes."""

import logging
import time
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.errors import ModelUnavailableError
from thale.schemas import ReleaseState

logger = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.25


class ReleaseSource(Protocol):
    """Source of the release state. It is read for every request, so it returns a value from memory."""

    def current(self) -> ReleaseState:
        """Return the current release state: the same object until a change.

        Raises:
            ModelUnavailableError: If no release state was ever loaded.
        """
        ...


class FileReleaseSource:
    """Release state from a file, polled at most four times per second and reloaded after a change.

    If the new content is invalid, the error is logged and the previous state remains in effect.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._release_state: ReleaseState | None = None
        self._file_version: tuple[int, int, int] | None = None
        self._next_poll_at = 0.0
        self._last_error = ""

    def current(self) -> ReleaseState:
        """Return the current release state.

        Raises:
            ModelUnavailableError: If the file never had a valid release state.
        """
        if time.monotonic() >= self._next_poll_at:
            self._poll()
            self._next_poll_at = time.monotonic() + (_POLL_INTERVAL_S if self._release_state else 0.0)
        if self._release_state is None:
            raise ModelUnavailableError("no model is released yet: the release state is missing or unreadable")
        return self._release_state

    def _poll(self) -> None:
        try:
            status = self._path.stat()
            file_version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if file_version == self._file_version:
                return
            content = self._path.read_bytes()
            self._file_version = file_version  # after the read, so that a failed read is repeated at the next poll
            self._release_state = ReleaseState.model_validate_json(content)
        except (OSError, ValidationError) as error:
            if str(error) != self._last_error:
                logger.error("release state unreadable", extra={"path": str(self._path), "error": str(error)})
            self._last_error = str(error)
        else:
            self._last_error = ""
            models = {
                name: {"stable": model.stable, "canary": model.canary, "percent": model.weight_percent}
                for name, model in self._release_state.models.items()
            }
            logger.info("release state loaded", extra={"models": models})
