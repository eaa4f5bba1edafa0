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

    def read(self) -> str | None:
        """Return the content of the file."""
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("checkpoint read failed", extra={"path": str(self._path), "error": str(error)})
            return None

    def write(self, text: str) -> None:
        """Write the file atomically."""
        try:
            write_atomically(self._path, text.encode())
        except OSError as error:
            logger.warning("checkpoint write failed", extra={"path": str(self._path), "error": str(error)})


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
