"""Checkpoint of the rollout controller: the evidence of each rollout, from which the next leader resumes.

A checkpoint only saves time (docs/adr/0024-controller-state-is-disposable.md). A failed read or write is logged. After
the loss of a checkpoint, the controller collects the evidence of the rollout again, at the current step. `thale release
status` shows the checkpoint, because the counters of the facades are not reachable from everywhere.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from pydantic import ValidationError

from thale.host.files import write_atomically
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.version_metrics import VersionMetrics
from thale.schemas import Verdict
from thale.schemas.release_status import ControllerReport, RolloutReport, VersionCounts

logger = logging.getLogger(__name__)

_NON_ERROR_OUTCOMES = ("ok", "rejected")


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


class RolloutCheckpoint(RolloutReport):
    """Analysis of one rollout, with its report."""

    analysis: AnalysisState

    @classmethod
    def from_analysis(cls, analysis: AnalysisState, verdict: Verdict) -> Self:
        """Return the checkpoint of an analysis and its verdict."""
        window = analysis.step_window
        return cls(
            analysis=analysis,
            verdict=verdict,
            rollout_started_at=analysis.rollout_started_at,
            stable_counts=_version_counts(window.stable),
            canary_counts=_version_counts(window.canary),
        )


class Checkpoint(ControllerReport):
    """Checkpoint of a leader, with all its rollouts. A facade reads the part that is its report."""

    rollouts: Mapping[str, RolloutCheckpoint]


def _version_counts(metrics: VersionMetrics) -> VersionCounts:
    """Return the counts over all outcomes. A rejected image is not an error of the version."""
    requests = sum(metrics.requests.values())
    errors = requests - sum(metrics.requests.get(outcome, 0) for outcome in _NON_ERROR_OUTCOMES)
    return VersionCounts(requests=requests, errors=errors, fallbacks=sum(metrics.fallbacks.values()))


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
