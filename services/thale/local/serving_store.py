"""Serving store: the archives that TorchServe serves, built from folders of weights, and the release state.

A start does not change a release with a history, unless an archive of it is lost. It restores canary, weight and
shadow, if necessary from the registered versions, and newer default weights are served only after a release. TorchServe
loads only the versions in the release state.
"""

import hashlib
import logging
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from thale._version import __version__
from thale.errors import ArchiveError, LocalPlatformError, StoreError, TargetError, VersionExistsError
from thale.host.files import write_atomically
from thale.host.interpreter import python_command
from thale.local.background_process import run_in_background
from thale.local.data_dir import DataDir
from thale.schemas import ModelCard, Release, ReleaseState, VersionManifest, version_numbers

logger = logging.getLogger(__name__)

_PUBLIC_KEYS_VARIABLE = "THALE_SIGNING_PUBLIC_KEYS"
"""As in `thale.release.registry.signatures`, whose import would delay each start."""
_SOURCE_DIGESTS_FILE = "source-digests.json"
_DIGESTS = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class _Archive:
    """An archive in the serving store."""

    path: Path
    manifest: VersionManifest


def prepare_store(data_dir: DataDir, weights: Path) -> ReleaseState:
    """Update the serving store from the weights and the release state from the store, and return the release state.

    Raises:
        LocalPlatformError: If there are no weights, they cannot be archived, or an archive or the release state cannot
            be read.
    """
    sync_archives(data_dir.model_store, weights)
    _restore_archives(data_dir)
    return update_release_state(data_dir.release_state, data_dir.model_store)


def register_archives(data_dir: DataDir) -> None:
    """Register the archives of the serving store. Versions that are already registered do not change.

    An archive that is not valid is logged and left out.

    Raises:
        LocalPlatformError: If the registry cannot be written.
    """
    from thale.release.registry.stores import (
        FolderStore,
    )  # imported here, because it imports NumPy, which would delay the start

    store = FolderStore(data_dir.registry)
    for path in sorted(data_dir.model_store.glob("*.mar")):
        try:
            store.put(path)
        except (VersionExistsError, ArchiveError) as error:
            logger.info("archive not registered", extra={"path": str(path), "error": str(error)})
        except StoreError as error:
            raise LocalPlatformError(str(error)) from error


def _restore_archives(data_dir: DataDir) -> None:
    """Copy missing archives of releases with a history from the registry to the serving store."""
    models = _read_release_state(data_dir.release_state).models.values()
    required = [manifest for model in models if model.history for manifest in model.versions.values()]
    stored_digests = (
        {archive.manifest.digest for archive in _read_archives(data_dir.model_store)} if required else set()
    )
    missing = [manifest for manifest in required if manifest.digest not in stored_digests]
    if not missing:
        return
    from thale.release.registry.stores import FolderStore
    from thale.release.targets.local import copy_to_serving_dir

    store = FolderStore(data_dir.registry)
    for manifest in missing:
        try:
            copy_to_serving_dir(store.archive(manifest), manifest, data_dir.model_store)
        except (StoreError, TargetError) as error:
            logger.warning("version not restored", extra={"version": manifest.card.version, "error": str(error)})


def sync_archives(store: Path, weights: Path) -> None:
    """Build the archive of every `weights/MODEL/VERSION` that is not in the store, or was built from other files.

    Archives from an earlier call whose weights are gone are deleted. Archives from other sources stay.

    Raises:
        LocalPlatformError: If there are no weights, or they cannot be archived.
    """
    folders = {
        f"{card.parent.parent.name}-{card.parent.name}.mar": card.parent for card in weights.glob("*/*/card.json")
    }
    before = _read_source_digests(store)
    for name in before.keys() - folders.keys():
        (store / name).unlink(missing_ok=True)
    after = {name: _source_digest(folder) for name, folder in folders.items()}
    for name, folder in folders.items():
        if before.get(name) != after[name] or not (store / name).exists():
            _build_archive(folder, store)
    if before != after:
        write_atomically(store / _SOURCE_DIGESTS_FILE, _DIGESTS.dump_json(after, indent=2))
    if not any(store.glob("*.mar")):
        raise LocalPlatformError(
            f"there are no models: {weights} contains no MODEL/VERSION/card.json, choose another folder with --weights"
        )


def _read_source_digests(store: Path) -> Mapping[str, str]:
    try:
        return _DIGESTS.validate_json((store / _SOURCE_DIGESTS_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _source_digest(folder: Path) -> str:
    """Return a digest of the inputs of an archive: card, weights, graph if any, and thale's version."""
    digest = hashlib.sha256(__version__.encode())
    for name in ("card.json", "weights.safetensors"):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except FileNotFoundError as error:
            raise LocalPlatformError(
                f"{folder} has no {name}: a model needs card.json and weights.safetensors"
            ) from error
    for path in (folder / "graph.xml", folder / "graph.bin"):
        if path.exists():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _build_archive(folder: Path, store: Path) -> None:
    arguments = ("archive", str(folder), "--no-compute-golden", "--no-compute-graph", "--out", str(store))
    command = python_command("-m", "thale_models.cli", *arguments)
    with run_in_background(*command) as process:
        error = process.error_output()
    if error is not None:
        raise LocalPlatformError(f"the model in {folder} cannot be archived: {error}")


def update_release_state(state_file: Path, store: Path) -> ReleaseState:
    """Update the release state from the archives of the store, write it, and return it.

    A release does not change if the store has its stable version, except that a canary or shadow without an archive is
    removed. For a new model, or without the stable version, the highest version in the store becomes stable. A model
    without an archive in the store is removed.

    Raises:
        LocalPlatformError: If an archive or the release state cannot be read.
    """
    models: dict[str, dict[str, VersionManifest]] = {}
    before = _read_release_state(state_file)
    for archive in _read_archives(store):
        card = archive.manifest.card
        versions = models.setdefault(card.name, {})
        if card.version not in versions or _is_released(before, archive.manifest):
            versions[card.version] = archive.manifest
    after = ReleaseState(
        models={name: _updated_release(versions, before.models.get(name)) for name, versions in models.items()}
    )
    if after != before:
        write_atomically(state_file, after.model_dump_json(indent=2).encode())
    return after


def released_archives(state_file: Path, store: Path) -> list[str]:
    """Return the sorted file names of the archives of the versions in the release state.

    Raises:
        LocalPlatformError: If an archive or the release state cannot be read.
    """
    return sorted(_locate_archives(state_file, store).values())


def locate_archives(data_dir: DataDir) -> Mapping[tuple[str, str], str]:
    """Return the file name of the archive of each released version, by model and version.

    A missing archive of a release with a history is first copied from the registry.

    Raises:
        LocalPlatformError: If an archive or the release state cannot be read.
    """
    _restore_archives(data_dir)
    return _locate_archives(data_dir.release_state, data_dir.model_store)


def _locate_archives(state_file: Path, store: Path) -> Mapping[tuple[str, str], str]:
    state = _read_release_state(state_file)
    # By version, because the store can contain one archive under two names.
    return {
        (archive.manifest.card.name, archive.manifest.card.version): archive.path.name
        for archive in _read_archives(store)
        if _is_released(state, archive.manifest)
    }


def verified_archives(data_dir: DataDir) -> list[str]:
    """Return the sorted file names of the released archives. If there are trusted keys, check their signatures.

    An archive whose digest differs from the release state is not released.

    Raises:
        LocalPlatformError: If an archive or the release state cannot be read, or a signature is missing or not valid.
    """
    names = released_archives(data_dir.release_state, data_dir.model_store)
    if not os.environ.get(_PUBLIC_KEYS_VARIABLE):
        return names
    from thale.release.registry.signatures import SignaturePolicy, check_archive
    from thale.release.registry.stores import FolderStore

    registry = FolderStore(data_dir.registry)
    try:
        policy = SignaturePolicy.from_environment()
        for archive in map(data_dir.model_store.joinpath, names):
            manifest = _read_archive(archive)
            check_archive(archive, manifest.digest, registry.signatures(manifest), policy)
    except (ArchiveError, StoreError) as error:
        raise LocalPlatformError(f"the models cannot be loaded: {error}") from error
    return names


def _is_released(state: ReleaseState, version: VersionManifest) -> bool:
    model = state.models.get(version.card.name)
    loaded = model.versions.get(version.card.version) if model is not None else None
    return loaded is not None and loaded.digest == version.digest


def _read_archives(store: Path) -> list[_Archive]:
    return [_Archive(path, _read_archive(path)) for path in sorted(store.glob("*.mar"))]


def _read_archive(path: Path) -> VersionManifest:
    try:
        with zipfile.ZipFile(path) as archive:
            card = ModelCard.model_validate_json(archive.read("card.json"))
    except (zipfile.BadZipFile, KeyError, ValidationError) as error:
        raise LocalPlatformError(f"{path} is not a valid model archive ({error}): remove the file") from error
    return VersionManifest(digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", card=card)


def _read_release_state(state_file: Path) -> ReleaseState:
    try:
        return ReleaseState.model_validate_json(state_file.read_bytes())
    except FileNotFoundError:
        return ReleaseState(models={})
    except ValidationError as error:
        raise LocalPlatformError(
            f"{state_file} is invalid ({error}): repair it, or delete it to serve the default versions"
        ) from error


def _updated_release(versions: Mapping[str, VersionManifest], before: Release | None) -> Release:
    """Return the release, restricted to the versions in the store. Without stable, the highest of them is stable."""
    if before is None or before.stable not in versions:
        newest = max(versions, key=version_numbers)
        history = before.history if before is not None else ()
        return Release(
            task=versions[newest].card.task, stable=newest, versions={newest: versions[newest]}, history=history
        )
    canary = before.canary if before.canary in versions else None
    return before.model_copy(
        update={
            "versions": {name: versions[name] for name in before.versions if name in versions},
            "canary": canary,
            "weight_percent": before.weight_percent if canary else 0.0,
            "shadow": before.shadow if before.shadow in versions else None,
        }
    )
