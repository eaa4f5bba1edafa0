"""Checkpoint of the rollout controller: the evidence of each rollout, from which the next leader resumes.

A checkpoint only saves time (docs/adr/0024-controller-state-is-disposable.md). A failed read or write is logged. After
the loss of a checkpoint, the controller collects the evidence of the rollout again, at the current step. `thale release
status` shows the checkpoint, because the counters of the facades are not reachable from everywhere.
"""

import logging
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.host.files import write_atomically
from thale.release.judge.analysis_state import AnalysisState
from thale.schemas import FrozenModel, Verdict

logger = logging.getLogger(__name__)


class CheckpointStore(Protocol):
    """Storage for one checkpoint. Only the leader writes it."""

    def read(self) -> str | None:
        """Return the checkpoint, None if it is missing or cannot be read. Never raises."""
        ...

    def write(self, text: str) -> None:
        """Replace the checkpoint. Never raises."""
        ...


class FileCheckpointStore:
    """A checkpoint in a local file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_failed = False
        """True if the last access failed, which was logged."""

    def read(self) -> str | None:
        """Return the content of the file."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            self._log_failure("checkpoint read failed", error)
            return None
        self._has_failed = False
        return text

    def write(self, text: str) -> None:
        """Write the file atomically."""
        try:
            write_atomically(self._path, text.encode())
            self._has_failed = False
        except OSError as error:
            self._log_failure("checkpoint write failed", error)

    def _log_failure(self, message: str, error: Exception) -> None:
        """Log the first failure of a series. The controller reads and writes every few seconds."""
        if not self._has_failed:
            logger.warning(message, extra={"path": str(self._path), "error": str(error)})
        self._has_failed = True


class RolloutCheckpoint(FrozenModel):
    """Analysis and last verdict of one rollout."""

    analysis: AnalysisState
    verdict: Verdict


class Checkpoint(FrozenModel):
    """Checkpoint of a leader, with all its rollouts."""

    leader: str
    saved_at: str
    rollouts: dict[str, RolloutCheckpoint]
    unreachable_facades: dict[str, str]
    """Reasons of failed scrapes, by facade."""


def load_checkpoint(store: CheckpointStore) -> Checkpoint | None:
    """Return the last checkpoint, None if it is missing or invalid."""
    text = store.read()
    if text is None:
        return None
    try:
        return Checkpoint.model_validate_json(text)
    except ValidationError as error:
        logger.warning("checkpoint invalid", extra={"error": str(error)})
        return None
