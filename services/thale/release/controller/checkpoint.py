"""What a watcher notes down for the one after it: an evidence that took an hour to gather outlives a restart.

Notes are a help, never a need: what cannot be read or written is logged, and the present step begins anew. They are
also what `thale release status` shows, because the facades' counters cannot be reached from everywhere.
"""

import logging
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.files import write_atomically
from thale.release.judge.analysis_state import AnalysisState
from thale.schemas import FrozenModel, Verdict

logger = logging.getLogger(__name__)


class CheckpointStore(Protocol):
    """A place for one piece of text, written by the leader alone."""

    def read(self) -> str | None:
        """Return what was written last, None where there is nothing or it cannot be read. Never raises."""
        ...

    def write(self, text: str) -> None:
        """Put the text in the place of the one before. Never raises."""
        ...


class FileCheckpointStore:
    """Notes in a file of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """Return the file's text."""
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("checkpoint read failed", extra={"path": str(self._path), "error": str(error)})
            return None

    def write(self, text: str) -> None:
        """Write the file, all of it or nothing."""
        try:
            write_atomically(self._path, text.encode())
        except OSError as error:
            logger.warning("checkpoint write failed", extra={"path": str(self._path), "error": str(error)})


class RolloutCheckpoint(FrozenModel):
    """What is known of one rollout."""

    analysis: AnalysisState
    verdict: Verdict


class Checkpoint(FrozenModel):
    """All that a leader notes down."""

    leader: str
    saved_at: str
    rollouts: dict[str, RolloutCheckpoint]
    unreachable_facades: dict[str, str]
    """Facades that could not be asked, and why."""


def load_checkpoint(store: CheckpointStore) -> Checkpoint | None:
    """Return what was noted down last, None where there is nothing that can be read."""
    text = store.read()
    if text is None:
        return None
    try:
        return Checkpoint.model_validate_json(text)
    except ValidationError as error:
        logger.warning("checkpoint invalid", extra={"error": str(error)})
        return None
