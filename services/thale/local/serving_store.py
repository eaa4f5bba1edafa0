"""The folder of archives that TorchServe serves, made from folders of weights when those change, and its record.

A release that people have changed is theirs: a start brings it back as it was, canary, weight, shadow and all, out of
the registered versions if need be, and newer default weights wait until somebody releases them. TorchServe loads what
the record holds, no more.
"""

import hashlib
import logging
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from thale._version import __version__
from thale.errors import ArchiveError, LocalPlatformError, StoreError, TargetError, VersionExistsError
from thale.files import write_atomically
from thale.local.background_process import run_in_background
from thale.local.data_dir import DataDir
from thale.schemas import ModelCard, Release, ReleaseState, VersionManifest

logger = logging.getLogger(__name__)

_SOURCE_DIGESTS_FILE = "source-digests.json"
_DIGESTS = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class _Archive:
    """An archive of the store."""

    path: Path
    manifest: VersionManifest


def prepare_store(data_dir: DataDir, weights: Path) -> ReleaseState:
    """Bring a home's store up to the weights and its record up to the store; return the record.

    Raises:
        LocalPlatformError: If there are no weights, or they cannot be archived, or an archive or the record cannot be read.
    """
    sync_archives(data_dir.model_store, weights)
    _restore_archives(data_dir)
    return update_release_state(data_dir.release_state, data_dir.model_store)


def register_archives(data_dir: DataDir) -> None:
    """Register what the store holds, so that it can be released; a version that is registered already stays as it is.

    Raises:
        LocalPlatformError: If the folder of registered versions cannot be written.
    """
    from thale.release.registry.stores import FolderStore  # its checks need NumPy, for which no start should wait

    store = FolderStore(data_dir.registry)
    for path in sorted(data_dir.model_store.glob("*.mar")):
        try:
            store.put(path)
        except (VersionExistsError, ArchiveError) as error:
            logger.info("archive not registered", extra={"path": str(path), "error": str(error)})
        except StoreError as error:
            raise LocalPlatformError(str(error)) from error


def _restore_archives(data_dir: DataDir) -> None:
    """Copy from the registered versions what the releases that people have changed hold and the store does not."""
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
            logger.warning(
                "version could not be restored", extra={"version": manifest.card.version, "error": str(error)}
            )


def sync_archives(store: Path, weights: Path) -> None:
    """Archive every `weights/MODEL/VERSION` whose archive is not in the store yet, or was made from other files.

    Archives that an earlier call made and that are wanted no longer go; those that came another way stay.

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
        raise LocalPlatformError(f"there are no models: {weights} holds no MODEL/VERSION/card.json")


def _read_source_digests(store: Path) -> Mapping[str, str]:
    try:
        return _DIGESTS.validate_json((store / _SOURCE_DIGESTS_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _source_digest(folder: Path) -> str:
    """Return a digest of what an archive is made from: the card, the weights, and the program that packs them."""
    digest = hashlib.sha256(__version__.encode())
    for name in ("card.json", "weights.safetensors"):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except FileNotFoundError as error:
            raise LocalPlatformError(f"{folder} holds no {name}: a model is its card.json and its weights") from error
    return digest.hexdigest()


def _build_archive(folder: Path, store: Path) -> None:
    command = (
        sys.executable,
        "-m",
        "thale_models.cli",
        "archive",
        str(folder),
        "--no-compute-golden",
        "--out",
        str(store),
    )
    with run_in_background(*command) as process:
        error = process.error_output()
    if error is not None:
        raise LocalPlatformError(f"the model in {folder} cannot be archived: {error}")


def update_release_state(state_file: Path, store: Path) -> ReleaseState:
    """Bring the record of what answers whom up to what the store holds, write it, and return it.

    A release stays as it is as long as the store has its stable version; a canary or shadow whose archive is gone goes.
    A model that is new, or whose stable version is gone, gets the highest of the store.

    Raises:
        LocalPlatformError: If an archive or the record cannot be read.
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
    """Return the file names of the archives that hold the record's versions, in a constant order.

    Raises:
        LocalPlatformError: If an archive or the record cannot be read.
    """
    state = _read_release_state(state_file)
    # By version, should one archive lie there under two names.
    archives = {
        (archive.manifest.card.name, archive.manifest.card.version): archive.path.name
        for archive in _read_archives(store)
        if _is_released(state, archive.manifest)
    }
    return sorted(archives.values())


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
        raise LocalPlatformError(
            f"{path} is no archive of a thale model ({error}): remove it from the store"
        ) from error
    return VersionManifest(digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", card=card)


def _read_release_state(state_file: Path) -> ReleaseState:
    try:
        return ReleaseState.model_validate_json(state_file.read_bytes())
    except FileNotFoundError:
        return ReleaseState(models={})
    except ValidationError as error:
        raise LocalPlatformError(
            f"{state_file} cannot be read ({error}): repair it, or delete it to serve the defaults"
        ) from error


def _updated_release(versions: Mapping[str, VersionManifest], before: Release | None) -> Release:
    """Return the release with what the store has of it."""
    if before is None or before.stable not in versions:
        newest = max(versions, key=lambda version: tuple(int(number) for number in version.split(".")))
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
