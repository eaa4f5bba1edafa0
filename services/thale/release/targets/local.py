"""Releases on a laptop: the record file that the facade follows, and TorchServe's management API.

A new version is loaded and answers the golden plates first; then the record is written; then, in the background, what
the record holds no longer is unloaded. The record is therefore never ahead of TorchServe, and whoever is killed in
between leaves at most a version that is loaded and unused: the next change unloads it.
"""

import logging
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from thale.errors import ConflictError, ReleaseError, StoreError, TargetError, UnknownModelError
from thale.files import exclusive_lock, write_atomically
from thale.release.registry import golden
from thale.release.targets import VersionedRelease, WarmUp, compute_revision
from thale.release.targets.background_unload import BackgroundUnloader
from thale.release.targets.torchserve_client import TorchServeClient
from thale.schemas import Release, ReleaseState, VersionManifest

logger = logging.getLogger(__name__)

_DIGEST_LENGTH = 12
"""Of an archive's digest in its file's name."""


class VersionStore(Protocol):
    """Where the archives of registered versions are."""

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, or raise UnknownVersionError."""
        ...

    def archive(self, manifest: VersionManifest) -> Path:
        """Return the archive's file, or raise a StoreError."""
        ...


@dataclass(frozen=True)
class TargetTimeouts:
    """How long things may take, in seconds."""

    load_s: float = 240.0
    """A version's workers, from being asked for to being ready: TorchServe gives them 180 s."""
    warm_up_s: float = 120.0
    propagation_s: float = 2.0
    """A facade follows the record within a second; then nobody asks a version that has gone from it."""
    drain_s: float = 60.0
    """What was asked before is answered by then: a facade waits no longer."""
    unload_s: float = 60.0


@dataclass
class LocalTarget(BackgroundUnloader):
    """Changes the releases of the platform that runs on this machine.

    Several processes may change releases at once: the record is rewritten under a lock and only as it was read, and
    loading and unloading a model's versions is one process's business at a time.

    `serving` is the folder that TorchServe loads archives from. Leaving the context waits for the unloading.
    """

    state_path: Path
    store: VersionStore
    serving_dir: Path
    server: TorchServeClient
    warm_up: WarmUp = golden.warm_up
    timeouts: TargetTimeouts = TargetTimeouts()

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        return sorted(self._read_state().models)

    def read(self, model: str) -> VersionedRelease:
        """Return a model's release.

        Raises:
            UnknownModelError: If no such model is released.
            TargetError: If the record cannot be read.
        """
        return _get_release(self._read_state(), model)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, whether it is held or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        return self.store.find(model, version)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Make `after` so: load what is new, write the record, and unload in the background what has gone.

        Raises:
            ConflictError: If the release is no longer the one that was read. Nothing has changed.
            TargetError: If a version does not come up. The traffic goes on as before.
        """
        model = after.name
        _check_unchanged(self.read(model), before)
        new = [manifest for version, manifest in after.versions.items() if version not in before.release.versions]
        if new:
            with self._loading_lock(model):
                _check_unchanged(self.read(model), before)  # somebody else may have been loading until now
                result = self._load_and_write(before, after, new)
        else:
            result = self._write_release(before, after)
        self._run_in_background(model, lambda: self._unload_after_propagation(model))
        return result

    def _load_and_write(
        self, before: VersionedRelease, after: Release, new: Sequence[VersionManifest]
    ) -> VersionedRelease:
        """Load the new versions and write the record; where that fails, unload them again."""
        try:
            for manifest in new:
                self._load_version(manifest)
            return self._write_release(before, after)
        except ReleaseError:
            for manifest in new:
                self._try_unload(manifest)
            raise

    def _load_version(self, manifest: VersionManifest) -> None:
        model, version = manifest.card.name, manifest.card.version
        try:
            archive = copy_to_serving_dir(self.store.archive(manifest), manifest, self.serving_dir)
        except StoreError as error:
            raise TargetError(f"{model} {version} cannot be loaded: {error}") from error
        self.server.load(model, version, archive, self.timeouts.load_s)
        self.warm_up(self.server.model_url, model, version, self.timeouts.warm_up_s)
        logger.info("version loaded", extra={"model": model, "version": version})

    def _try_unload(self, manifest: VersionManifest) -> None:
        model, version = manifest.card.name, manifest.card.version
        try:
            self.server.unload(model, version, self.timeouts.unload_s)
        except TargetError as error:  # the next change unloads it
            logger.warning("version unload failed", extra={"model": model, "error": str(error)})

    def _write_release(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Write the release into the record, as long as it is the one that was read."""
        with exclusive_lock(self.state_path.with_name(f".{self.state_path.name}.lock")):
            state = self._read_state()
            _check_unchanged(_get_release(state, after.name), before)
            if after.stable != before.release.stable:
                self.server.set_default(after.name, after.stable)
            models = {**state.models, after.name: after}
            try:
                write_atomically(self.state_path, ReleaseState(models=models).model_dump_json(indent=2).encode())
            except OSError as error:
                raise TargetError(f"{self.state_path} cannot be written: {error.strerror}") from error
        return VersionedRelease(after, compute_revision(after))

    def _unload_after_propagation(self, model: str) -> None:
        time.sleep(self.timeouts.propagation_s)  # without the lock: the next version may be loaded meanwhile
        try:
            with self._loading_lock(model):
                self.unload_unused(model)
        except TargetError as error:
            logger.warning("version unload failed", extra={"model": model, "error": str(error)})

    def unload_unused(self, model: str) -> None:
        """Unload the versions of a model that its release does not hold, each when nobody waits for its answer.

        Raises:
            TargetError: If TorchServe does not do it.
        """
        release = self._wait_for_propagation(model)
        loaded = self.server.versions(model)
        unused = loaded.keys() - release.versions.keys()
        if unused and release.stable in loaded:
            self.server.set_default(model, release.stable)  # TorchServe keeps its default, whoever is killed in between
        for version in unused:
            self.server.drain(model, loaded[version], self.timeouts.drain_s)
            self.server.unload(model, version, self.timeouts.unload_s)
            if _is_serving_copy(loaded[version].archive, model, version):
                (self.serving_dir / loaded[version].archive).unlink(missing_ok=True)
            logger.info("version unloaded", extra={"model": model, "version": version})

    def _wait_for_propagation(self, model: str) -> Release:
        """Return the release once the record is so old that every facade follows it: what it lacks, nobody asks."""
        while True:
            written_at = self._last_write_time()
            release = self.read(model).release
            remaining_s = min(written_at + self.timeouts.propagation_s - time.time(), self.timeouts.propagation_s)
            if remaining_s <= 0 and self._last_write_time() == written_at:
                return release
            time.sleep(max(remaining_s, 0.0))

    def _last_write_time(self) -> float:
        try:
            return self.state_path.stat().st_mtime
        except OSError as error:
            raise TargetError(f"the release record {self.state_path} cannot be read: {error}") from error

    def _read_state(self) -> ReleaseState:
        try:
            return ReleaseState.model_validate_json(self.state_path.read_bytes())
        except (OSError, ValidationError) as error:
            raise TargetError(f"the release record {self.state_path} cannot be read: {error}") from error

    @contextmanager
    def _loading_lock(self, model: str) -> Iterator[None]:
        with exclusive_lock(self.state_path.with_name(f".{self.state_path.name}.{model}.lock")):
            yield


def copy_to_serving_dir(archive: Path, manifest: VersionManifest, serving_dir: Path) -> str:
    """Copy an archive to where TorchServe may load it, under a name that its digest makes its own; return that name.

    Raises:
        TargetError: If it cannot be copied.
    """
    name = (
        f"{manifest.card.name}-{manifest.card.version}-{manifest.digest.removeprefix('sha256:')[:_DIGEST_LENGTH]}.mar"
    )
    partial = serving_dir / f".{name}.part"
    try:
        shutil.copyfile(archive, partial)
        partial.replace(serving_dir / name)
    except OSError as error:
        raise TargetError(f"{archive} cannot be copied to {serving_dir}: {error.strerror}") from error
    return name


def _is_serving_copy(name: str, model: str, version: str) -> bool:
    return re.fullmatch(rf"{re.escape(model)}-{re.escape(version)}-[0-9a-f]{{{_DIGEST_LENGTH}}}\.mar", name) is not None


def _get_release(state: ReleaseState, model: str) -> VersionedRelease:
    if model not in state.models:
        raise UnknownModelError(model, list(state.models))
    return VersionedRelease(state.models[model], compute_revision(state.models[model]))


def _check_unchanged(current: VersionedRelease, expected: VersionedRelease) -> None:
    if current.revision != expected.revision:
        raise ConflictError(f"{expected.release.name} was changed by somebody else in between: read it again")
