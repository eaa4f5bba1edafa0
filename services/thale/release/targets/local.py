"""Release target of the local platform: the release state file of the facade, and TorchServe's management API.

A new version is loaded and predicts the golden plates first. Then the release state is written. Then versions that it
no longer contains are unloaded in the background. The release state therefore never names a version that TorchServe
lacks. A killed process leaves at most a loaded, unused version, which the next change unloads (ADR 0019).
"""

import logging
import re
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from thale.errors import ConflictError, ReleaseError, SignatureError, StoreError, TargetError, UnknownModelError
from thale.host.files import exclusive_lock, write_atomically
from thale.release.registry import golden
from thale.release.registry.signatures import SignaturePolicy, check_archive, read_signatures
from thale.release.targets import LocalVersionStore, TargetTimeouts, VersionedRelease, WarmUp, compute_revision
from thale.release.targets.background_unload import BackgroundUnloader
from thale.release.targets.loading_lock import loading_lock
from thale.release.targets.torchserve_client import TorchServeClient
from thale.schemas import Release, ReleaseState, VersionManifest, version_numbers

logger = logging.getLogger(__name__)

_DIGEST_LENGTH = 12
"""Length of the digest in the file name of an archive."""
DEFAULT_TIMEOUTS = TargetTimeouts(load_s=240.0, drain_s=60.0)
"""TorchServe's own limit for the start of a worker is 180 s. A facade waits up to 60 s for a response."""


@dataclass
class LocalTarget(BackgroundUnloader):
    """Release target of the platform that runs on this machine.

    Several processes may change releases concurrently. A file lock serialises writes of the release state, and a lock
    for each model serialises loading and unloading. Leaving the context waits for pending unloads.
    """

    state_path: Path
    store: LocalVersionStore
    serving_dir: Path
    """The folder from which TorchServe loads archives."""
    server: TorchServeClient
    warm_up: WarmUp = golden.warm_up
    timeouts: TargetTimeouts = DEFAULT_TIMEOUTS

    def models(self) -> Sequence[str]:
        """Return the names of the released models."""
        return sorted(self._read_state().models)

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model.

        Raises:
            UnknownModelError: If the model has no release.
            TargetError: If the release state cannot be read.
        """
        return _get_release(self._read_state(), model)

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, loaded or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        return self.store.find(model, version)

    def unused(self, model: str) -> Sequence[str]:
        """Return the versions in TorchServe that the release does not contain, ascending."""
        unused = self.server.versions(model).keys() - self.read(model).release.versions.keys()
        return sorted(unused, key=version_numbers)

    def drop(self, model: str, versions: Collection[str]) -> None:
        """Unload these versions, except versions that the release contains. Waits for a version that is being loaded.

        Raises:
            TargetError: If TorchServe fails.
        """
        with loading_lock(self.state_path, model):
            self.unload_unused(model, versions)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Load new versions, write the release state, and unload removed versions in the background.

        Raises:
            ConflictError: If the release has changed since `before` was read. Nothing is changed.
            SignatureError: If a new version does not have its registered bytes, or lacks a required signature.
            TargetError: If a version cannot be loaded. The traffic does not change.
        """
        model = after.name
        _check_unchanged(self.read(model), before)
        new = [manifest for version, manifest in after.versions.items() if version not in before.release.versions]
        if new:
            with loading_lock(self.state_path, model):
                _check_unchanged(self.read(model), before)  # another process may have held the lock
                result = self._load_and_write(before, after, new)
        else:
            result = self._write_release(before, after)
        self._run_in_background(model, lambda: self._unload_after_propagation(model))
        return result

    def _load_and_write(
        self, before: VersionedRelease, after: Release, new: Sequence[VersionManifest]
    ) -> VersionedRelease:
        """Load the new versions and write the release state. If either fails, unload them again."""
        try:
            for manifest in new:
                self._load_version(manifest)
            return self._write_release(before, after)
        except (ReleaseError, KeyboardInterrupt):
            for manifest in new:
                self._try_unload(manifest)
            raise

    def _load_version(self, manifest: VersionManifest) -> None:
        model, version = manifest.card.name, manifest.card.version
        try:
            archive = copy_to_serving_dir(self.store.archive(manifest), manifest, self.serving_dir)
        except SignatureError:
            raise
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
        """Write the release into the release state, if it has not changed since the read."""
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
        time.sleep(self.timeouts.propagation_s)  # without the lock, so that the next version can load meanwhile
        try:
            with loading_lock(self.state_path, model):
                self.unload_unused(model)
        except TargetError as error:
            logger.warning("version unload failed", extra={"model": model, "error": str(error)})

    def unload_unused(self, model: str, versions: Collection[str] | None = None) -> None:
        """Unload the versions that the release of a model does not contain, each after its last response.

        Args:
            model: The model.
            versions: The versions to unload. None: all of them.

        Raises:
            TargetError: If TorchServe fails.
        """
        release = self._wait_for_propagation(model)
        loaded = self.server.versions(model)
        unused = loaded.keys() - release.versions.keys()
        if versions is not None:
            unused &= set(versions)
        if unused and release.stable in loaded:
            # TorchServe refuses to unload its default version, which is an old one after a killed change.
            self.server.set_default(model, release.stable)
        for version in unused:
            self.server.drain(model, loaded[version], self.timeouts.drain_s)
            self.server.unload(model, version, self.timeouts.unload_s)
            if _is_serving_copy(loaded[version].archive, model, version):
                (self.serving_dir / loaded[version].archive).unlink(missing_ok=True)
            logger.info("version unloaded", extra={"model": model, "version": version})

    def _wait_for_propagation(self, model: str) -> Release:
        """Return the release as soon as every facade has read the release state."""
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
            raise TargetError(f"the release state {self.state_path} cannot be read: {error}") from error

    def _read_state(self) -> ReleaseState:
        try:
            return ReleaseState.model_validate_json(self.state_path.read_bytes())
        except (OSError, ValidationError) as error:
            raise TargetError(f"the release state {self.state_path} cannot be read: {error}") from error


def copy_to_serving_dir(archive: Path, manifest: VersionManifest, serving_dir: Path) -> str:
    """Copy an archive to TorchServe's folder under a name with its digest, and return that name.

    Raises:
        SignatureError: If the copy does not have the registered digest, or lacks a required signature.
        TargetError: If it cannot be copied.
    """
    name = (
        f"{manifest.card.name}-{manifest.card.version}-{manifest.digest.removeprefix('sha256:')[:_DIGEST_LENGTH]}.mar"
    )
    partial = serving_dir / f".{name}.part"
    try:
        shutil.copyfile(archive, partial)
        check_archive(partial, manifest.digest, read_signatures(archive), SignaturePolicy.from_environment())
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
        raise ConflictError(f"{expected.release.name} was changed concurrently: read it again")
