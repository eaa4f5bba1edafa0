"""From an archive on somebody's disk to a version that can be released: checked, tried for real, kept for ever."""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from thale.errors import ArchiveError, ModelError, RegistrationError
from thale.release.registry import golden
from thale.release.registry.archive_validation import ValidatedArchive, validate_archive
from thale.release.registry.stores.model_store import ModelStore
from thale.release.registry.strict_zip import MAX_BYTES
from thale.schemas import VersionManifest

audit = logging.getLogger("thale.audit")

StartModelServer = Callable[[ValidatedArchive], AbstractContextManager[str]]
"""Serves one archive for as long as the context lasts, and gives its inference address."""


@dataclass(frozen=True)
class RegistrationResult:
    """A version that is in the store."""

    version: VersionManifest
    uri: str
    new: bool
    """False where the same bytes were registered already: nothing was done then."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """How well the golden plates were answered: `dice_root`, `landmark_f1`, …; empty where nothing was done."""
    seconds: float = 0.0


def register(
    path: Path,
    store: ModelStore,
    start_model_server: StartModelServer,
    *,
    author: str = "",
    criteria: golden.AcceptanceCriteria | None = None,
) -> RegistrationResult:
    """Check an archive, have a real model server answer the golden plates with it, and store it immutably.

    A copy is checked, tried and stored, so that what happens to the file meanwhile changes nothing.

    Args:
        path: The archive.
        store: Where registered versions are kept.
        start_model_server: Starts the real handler; raises a RegistrationError if the model's worker does not start.
        who: Stands in the audit log.
        demands: What the answers must reach.

    Raises:
        ArchiveError: If it is not a sound model archive.
        RegistrationError: If its worker does not start, or does not answer the golden plates as it should.
        VersionExistsError: If the store holds the version with other bytes.
        StoreError: If the store does not take it.
    """
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="thale-register-") as temp_dir:
        archive = validate_archive(_copy_archive(path, Path(temp_dir)))
        manifest, card = archive.version_manifest, archive.card
        if (existing := store.get(manifest)) is not None:
            return RegistrationResult(existing.version, existing.uri, new=False)
        metrics = _run_acceptance(archive, start_model_server, criteria)
        result = store.put(archive.path)
    seconds = time.monotonic() - started_at
    fields = {"model": card.name, "version": card.version, "digest": manifest.digest, "uri": result.uri, "who": author}
    audit.info("version registered", extra={**fields, "new": result.new, **metrics})
    return RegistrationResult(result.version, result.uri, result.new, metrics, seconds)


def _copy_archive(path: Path, temp_dir: Path) -> Path:
    copy = temp_dir / path.name
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ArchiveError(f"{path.name}: {size} bytes; at most {MAX_BYTES} are allowed")
        shutil.copyfile(path, copy)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read as a model archive: {error}") from error
    return copy


def _run_acceptance(
    archive: ValidatedArchive, start_model_server: StartModelServer, criteria: golden.AcceptanceCriteria | None
) -> dict[str, float]:
    card = archive.card
    with start_model_server(archive) as url:
        try:
            answers = golden.predict_golden_plates(url, card.name, card.version)
        except ModelError as error:
            raise RegistrationError(f"{card.name} {card.version} cannot answer the golden plates: {error}") from error
    return golden.check_acceptance(card, answers, archive.golden, criteria)
