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
from thale.release.registry.archive_validation import CheckedArchive, read_archive
from thale.release.registry.stores.model_store import ModelStore
from thale.release.registry.strict_zip import MAX_BYTES
from thale.schemas import ReleasedVersion

audit = logging.getLogger("thale.audit")

StartModelServer = Callable[[CheckedArchive], AbstractContextManager[str]]
"""Serves one archive for as long as the context lasts, and gives its inference address."""


@dataclass(frozen=True)
class Registered:
    """A version that is in the store."""

    version: ReleasedVersion
    uri: str
    new: bool
    """False where the same bytes were registered already: nothing was done then."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """How well the golden plates were answered: `dice_root`, `landmark_f1`, …; empty where nothing was done."""
    seconds: float = 0.0


def register(
    path: Path,
    store: ModelStore,
    start_model_server: StartModelServer,
    *,
    who: str = "",
    demands: golden.Demands | None = None,
) -> Registered:
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
        VersionTakenError: If the store holds the version with other bytes.
        StoreError: If the store does not take it.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="thale-register-") as room:
        archive = read_archive(_copy(path, Path(room)))
        released, card = archive.released, archive.card
        if (held := store.held(released)) is not None:
            return Registered(held.version, held.uri, new=False)
        figures = _try_out(archive, start_model_server, demands)
        stored = store.put(archive.path)
    seconds = time.monotonic() - began
    line = {"model": card.name, "version": card.version, "digest": released.digest, "uri": stored.uri, "who": who}
    audit.info("version registered", extra={**line, "new": stored.new, **figures})
    return Registered(stored.version, stored.uri, stored.new, figures, seconds)


def _copy(path: Path, room: Path) -> Path:
    copy = room / path.name
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ArchiveError(f"{path.name}: {size} bytes; at most {MAX_BYTES} are allowed")
        shutil.copyfile(path, copy)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read as a model archive: {error}") from error
    return copy


def _try_out(
    archive: CheckedArchive, start_model_server: StartModelServer, demands: golden.Demands | None
) -> dict[str, float]:
    card = archive.card
    with start_model_server(archive) as url:
        try:
            answers = golden.ask(url, card.name, card.version)
        except ModelError as error:
            raise RegistrationError(f"{card.name} {card.version} cannot answer the golden plates: {error}") from error
    return golden.check(card, answers, archive.golden, demands)
