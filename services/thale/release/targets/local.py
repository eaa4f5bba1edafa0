"""Releases on a laptop: the record file that the facade follows, and TorchServe's management API.

A new version is loaded and answers the golden plates first; then the record is written; then, in the background, what
the record holds no longer is unloaded. The record is therefore never ahead of TorchServe, and whoever is killed in
between leaves at most a version that is loaded and unused: the next change unloads it.
"""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.errors import ActuatorError, ConflictError, ReleaseError, StoreError, UnknownModelError
from thale.files import write_atomically
from thale.release.registry import golden
from thale.release.targets import Held, WarmUp, revision_of
from thale.release.targets.background_unload import Unloads
from thale.release.targets.torchserve_client import TorchServe
from thale.schemas import Release, ReleasedVersion, ReleaseRecord

logger = logging.getLogger(__name__)

_DIGITS = 12
"""Of an archive's digest in its file's name."""


class Store(Protocol):
    """Where the archives of registered versions are."""

    def find(self, model: str, version: str) -> ReleasedVersion:
        """Return a registered version, or raise UnknownVersionError."""
        ...

    def archive(self, released: ReleasedVersion) -> Path:
        """Return the archive's file, or raise a StoreError."""
        ...


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds."""

    load_s: float = 240.0
    """A version's workers, from being asked for to being ready: TorchServe gives them 180 s."""
    warm_up_s: float = 120.0
    follow_s: float = 2.0
    """A facade follows the record within a second; then nobody asks a version that has gone from it."""
    drain_s: float = 60.0
    """What was asked before is answered by then: a facade waits no longer."""
    unload_s: float = 60.0


@dataclass
class LocalActuator(Unloads):
    """Changes the releases of the platform that runs on this machine.

    Several processes may change releases at once: the record is rewritten under a lock and only as it was read, and
    loading and unloading a model's versions is one process's business at a time.

    `serving` is the folder that TorchServe loads archives from. Leaving the context waits for the unloading.
    """

    record: Path
    store: Store
    serving: Path
    server: TorchServe
    warm_up: WarmUp = golden.warm_up
    patience: Patience = Patience()

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        return sorted(self._read_record().models)

    def read(self, model: str) -> Held:
        """Return a model's release.

        Raises:
            UnknownModelError: If no such model is released.
            ActuatorError: If the record cannot be read.
        """
        return _held(self._read_record(), model)

    def find(self, model: str, version: str) -> ReleasedVersion:
        """Return a registered version, whether it is held or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        return self.store.find(model, version)

    def apply(self, before: Held, after: Release) -> Held:
        """Make `after` so: load what is new, write the record, and unload in the background what has gone.

        Raises:
            ConflictError: If the release is no longer the one that was read. Nothing has changed.
            ActuatorError: If a version does not come up. The traffic goes on as before.
        """
        model = after.name
        _check(self.read(model), before)
        new = [released for version, released in after.versions.items() if version not in before.release.versions]
        if new:
            with self._loading(model):
                _check(self.read(model), before)  # somebody else may have been loading until now
                now = self._bring_up_and_write(before, after, new)
        else:
            now = self._write(before, after)
        self._later(model, lambda: self._unload_in_time(model))
        return now

    def _bring_up_and_write(self, before: Held, after: Release, new: Sequence[ReleasedVersion]) -> Held:
        """Load the new versions and write the record; where that fails, unload them again."""
        try:
            for released in new:
                self._bring_up(released)
            return self._write(before, after)
        except ReleaseError:
            for released in new:
                self._take_down(released)
            raise

    def _bring_up(self, released: ReleasedVersion) -> None:
        model, version = released.card.name, released.card.version
        try:
            archive = place(self.store.archive(released), released, self.serving)
        except StoreError as error:
            raise ActuatorError(f"{model} {version} cannot be loaded: {error}") from error
        self.server.load(model, version, archive, self.patience.load_s)
        self.warm_up(self.server.model_url, model, version, self.patience.warm_up_s)
        logger.info("version loaded", extra={"model": model, "version": version})

    def _take_down(self, released: ReleasedVersion) -> None:
        model, version = released.card.name, released.card.version
        try:
            self.server.unload(model, version, self.patience.unload_s)
        except ActuatorError as error:  # the next change unloads it
            logger.warning("version stays loaded", extra={"model": model, "error": str(error)})

    def _write(self, before: Held, after: Release) -> Held:
        """Write the release into the record, as long as it is the one that was read."""
        with _locked(self.record.with_name(f".{self.record.name}.lock")):
            record = self._read_record()
            _check(_held(record, after.name), before)
            if after.stable != before.release.stable:
                self.server.set_default(after.name, after.stable)
            models = {**record.models, after.name: after}
            try:
                write_atomically(self.record, ReleaseRecord(models=models).model_dump_json(indent=2).encode())
            except OSError as error:
                raise ActuatorError(f"{self.record} cannot be written: {error.strerror}") from error
        return Held(after, revision_of(after))

    def _unload_in_time(self, model: str) -> None:
        time.sleep(self.patience.follow_s)  # without the lock: the next version may be loaded meanwhile
        try:
            with self._loading(model):
                self.unload_unused(model)
        except ActuatorError as error:
            logger.warning("versions stay loaded", extra={"model": model, "error": str(error)})

    def unload_unused(self, model: str) -> None:
        """Unload the versions of a model that its release does not hold, each when nobody waits for its answer.

        Raises:
            ActuatorError: If TorchServe does not do it.
        """
        release = self._followed(model)
        loaded = self.server.versions(model)
        unused = loaded.keys() - release.versions.keys()
        if unused and release.stable in loaded:
            self.server.set_default(model, release.stable)  # TorchServe keeps its default, whoever is killed in between
        for version in unused:
            self.server.drain(model, loaded[version], self.patience.drain_s)
            self.server.unload(model, version, self.patience.unload_s)
            if _is_placed(loaded[version].archive, model, version):
                (self.serving / loaded[version].archive).unlink(missing_ok=True)
            logger.info("version unloaded", extra={"model": model, "version": version})

    def _followed(self, model: str) -> Release:
        """Return the release once the record is so old that every facade follows it: what it lacks, nobody asks."""
        while True:
            written = self._written_at()
            release = self.read(model).release
            to_go = min(written + self.patience.follow_s - time.time(), self.patience.follow_s)
            if to_go <= 0 and self._written_at() == written:
                return release
            time.sleep(max(to_go, 0.0))

    def _written_at(self) -> float:
        try:
            return self.record.stat().st_mtime
        except OSError as error:
            raise ActuatorError(f"the release record {self.record} cannot be read: {error}") from error

    def _read_record(self) -> ReleaseRecord:
        try:
            return ReleaseRecord.model_validate_json(self.record.read_bytes())
        except (OSError, ValidationError) as error:
            raise ActuatorError(f"the release record {self.record} cannot be read: {error}") from error

    @contextmanager
    def _loading(self, model: str) -> Iterator[None]:
        with _locked(self.record.with_name(f".{self.record.name}.{model}.lock")):
            yield


def place(archive: Path, released: ReleasedVersion, serving: Path) -> str:
    """Copy an archive to where TorchServe may load it, under a name that its digest makes its own; return that name.

    Raises:
        ActuatorError: If it cannot be copied.
    """
    name = f"{released.card.name}-{released.card.version}-{released.digest.removeprefix('sha256:')[:_DIGITS]}.mar"
    partial = serving / f".{name}.part"
    try:
        shutil.copyfile(archive, partial)
        partial.replace(serving / name)
    except OSError as error:
        raise ActuatorError(f"{archive} cannot be copied to {serving}: {error.strerror}") from error
    return name


def _is_placed(name: str, model: str, version: str) -> bool:
    return re.fullmatch(rf"{re.escape(model)}-{re.escape(version)}-[0-9a-f]{{{_DIGITS}}}\.mar", name) is not None


def _held(record: ReleaseRecord, model: str) -> Held:
    if model not in record.models:
        raise UnknownModelError(model, list(record.models))
    return Held(record.models[model], revision_of(record.models[model]))


def _check(now: Held, before: Held) -> None:
    if now.revision != before.revision:
        raise ConflictError(f"{before.release.name} was changed by somebody else in between: read it again")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock on a file and hold it. Whoever is killed lets go by dying."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
