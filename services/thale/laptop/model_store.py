"""The folder of archives that TorchServe serves, made from folders of weights when those change, and its record."""

import hashlib
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from thale import __version__
from thale.contract import Card, Release, ReleasedVersion, ReleaseRecord
from thale.errors import LaptopError
from thale.files import write_atomically
from thale.laptop.errand import errand

_ORIGINS = "origins.json"
_DIGESTS = TypeAdapter(dict[str, str])


def fill(store: Path, weights: Path) -> None:
    """Archive every `weights/MODEL/VERSION` whose archive is not in the store yet, or was made from other files.

    Archives that an earlier call made and that are wanted no longer go; those that came another way stay.

    Raises:
        LaptopError: If there are no weights, or they cannot be archived.
    """
    folders = {
        f"{card.parent.parent.name}-{card.parent.name}.mar": card.parent for card in weights.glob("*/*/card.json")
    }
    before = _read_origins(store)
    for name in before.keys() - folders.keys():
        (store / name).unlink(missing_ok=True)
    after = {name: _digest(folder) for name, folder in folders.items()}
    for name, folder in folders.items():
        if before.get(name) != after[name] or not (store / name).exists():
            _archive(folder, store)
    if before != after:
        write_atomically(store / _ORIGINS, _DIGESTS.dump_json(after, indent=2))
    if not any(store.glob("*.mar")):
        raise LaptopError(f"there are no models: {weights} holds no MODEL/VERSION/card.json")


def _read_origins(store: Path) -> Mapping[str, str]:
    try:
        return _DIGESTS.validate_json((store / _ORIGINS).read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def _digest(folder: Path) -> str:
    """Return a digest of what an archive is made from: the card, the weights, and the program that packs them."""
    digest = hashlib.sha256(__version__.encode())
    for name in ("card.json", "weights.safetensors"):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except FileNotFoundError as error:
            raise LaptopError(f"{folder} holds no {name}: a model is its card.json and its weights") from error
    return digest.hexdigest()


def _archive(folder: Path, store: Path) -> None:
    with errand(sys.executable, "-m", "thale_models.cli", "archive", str(folder), "--out", str(store)) as packing:
        complaint = packing.complaint()
    if complaint is not None:
        raise LaptopError(f"the model in {folder} cannot be archived: {complaint}")


def update_record(record: Path, store: Path) -> ReleaseRecord:
    """Bring the record of what answers whom up to what the store holds, write it, and return it.

    A model keeps its stable version as long as the store has it; a model that is new gets its highest.

    Raises:
        LaptopError: If an archive or the record cannot be read.
    """
    models: dict[str, dict[str, ReleasedVersion]] = {}
    for path in sorted(store.glob("*.mar")):
        released = _read_archive(path)
        models.setdefault(released.card.name, {})[released.card.version] = released
    before = _read_record(record)
    after = ReleaseRecord(
        models={name: _released(versions, before.models.get(name)) for name, versions in models.items()}
    )
    if after != before:
        write_atomically(record, after.model_dump_json(indent=2).encode())
    return after


def _read_archive(path: Path) -> ReleasedVersion:
    try:
        with zipfile.ZipFile(path) as archive:
            card = Card.model_validate_json(archive.read("card.json"))
    except (zipfile.BadZipFile, KeyError, ValidationError) as error:
        raise LaptopError(f"{path} is no archive of a thale model ({error}): remove it from the store") from error
    return ReleasedVersion(digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", card=card)


def _read_record(record: Path) -> ReleaseRecord:
    try:
        return ReleaseRecord.model_validate_json(record.read_bytes())
    except FileNotFoundError:
        return ReleaseRecord(models={})
    except ValidationError as error:
        raise LaptopError(
            f"{record} cannot be read ({error}): repair it, or delete it to serve the defaults"
        ) from error


def _released(versions: Mapping[str, ReleasedVersion], before: Release | None) -> Release:
    newest = max(versions, key=lambda version: tuple(int(part) for part in version.split(".")))
    stable = before.stable if before is not None and before.stable in versions else newest
    return Release(task=versions[newest].card.task, stable=stable, versions=dict(versions))
