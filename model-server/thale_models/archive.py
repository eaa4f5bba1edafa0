"""Model archives: a `.mar` that is data alone, the same bytes each time it is written, and checked when it is read.

An archive holds `weights.safetensors`, `card.json` and the manifest that TorchServe reads. The code that serves it is
installed in the image: the manifest names the handler by its dotted path, which torch-model-archiver's command line
does not take and its library does. Archives of that command load as well, with a handler file of two lines
(model-server/README.md).
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast, get_args

from model_archiver.manifest_components.manifest import Manifest
from model_archiver.manifest_components.model import Model
from pydantic import ValidationError

from thale.contract import Card, LandmarkKind, Task
from thale.errors import ArchiveError
from thale.files import write_atomically

WEIGHTS = "weights.safetensors"
CARD = "card.json"
MANIFEST = "MAR-INF/MANIFEST.json"
HANDLERS: dict[Task, str] = {
    "segmentation": "thale_models.handlers.segment",
    "landmarks": "thale_models.handlers.landmarks",
}

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_ENTRIES = 64
_MAX_BYTES = 512 * 2**20
_MAX_RATIO = 100
_MAX_TEXT_BYTES = 2**20


@dataclass(frozen=True)
class ArchivedModel:
    """What an archive holds. `digest` is `sha256:` and that of the archive's bytes; the weights' stands in the card."""

    path: Path
    card: Card
    digest: str
    handler: str


def write_archive(weights: Path, card: Card, out_dir: Path) -> Path:
    """Write `{name}-{version}.mar` and return its path. The same weights and card give the same bytes.

    Entries are stored, not deflated: float weights hardly shrink, and the bytes must not depend on zlib's version.

    Raises:
        ArchiveError: If the weights are not those of the card, or the card could not be served.
    """
    weights_bytes = weights.read_bytes()
    check_card(card)
    _check_weights(weights_bytes, card)
    entries = {
        MANIFEST: _manifest(card),
        CARD: card.model_dump_json(indent=2).encode(),
        WEIGHTS: weights_bytes,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / f"{card.name}-{card.version}.mar"
    write_atomically(path, buffer.getvalue())
    return path


def read_archive(path: Path) -> ArchivedModel:
    """Read an archive and check all of it, without unpacking it anywhere.

    Raises:
        ArchiveError: If the archive cannot be read or is not what its card says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive)
            manifest = _read_manifest(_text(archive, MANIFEST))
            card = read_card(_text(archive, CARD))
            _check_weights(archive.read(WEIGHTS), card)
    except KeyError as error:
        raise ArchiveError(f"{path.name} is no archive of a thale model: {error.args[0]}") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{path} cannot be read as a model archive: {error}") from error
    except ArchiveError as error:
        raise ArchiveError(f"{path.name}: {error}") from error
    if (manifest["modelName"], manifest.get("modelVersion")) != (card.name, card.version):
        raise ArchiveError(
            f"{path.name}: the manifest says {manifest['modelName']} {manifest.get('modelVersion')}, "
            f"the card {card.name} {card.version}: pack it again"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ArchivedModel(path, card, f"sha256:{digest}", manifest["handler"])


def read_card(data: bytes) -> Card:
    """Read a model card and check that the model could be served.

    Raises:
        ArchiveError: If it cannot.
    """
    try:
        card = Card.model_validate_json(data)
    except ValidationError as error:
        raise ArchiveError(f"the model card cannot be read: {error}") from error
    check_card(card)
    return card


def check_card(card: Card) -> None:
    """Check what the types of a card leave open.

    Raises:
        ArchiveError: If a model with this card could not be served.
    """
    if card.task == "segmentation" and (card.classes[:1] != ("background",) or len(card.classes) < 2):
        raise ArchiveError(f"the classes of {card.name} are {card.classes}: background comes first, then the organs")
    strangers = set(card.classes) - set(get_args(LandmarkKind))
    if card.task == "landmarks" and (strangers or not card.classes):
        raise ArchiveError(
            f"the classes of {card.name} are {card.classes}: landmarks are any of {', '.join(get_args(LandmarkKind))}"
        )
    if len(set(card.classes)) != len(card.classes):
        raise ArchiveError(f"the classes of {card.name} are {card.classes}: each may stand there once")
    if not 0 <= card.overlap_px < card.tile_px <= 4096:
        raise ArchiveError(
            f"tiles of {card.tile_px} px that overlap by {card.overlap_px} px cannot cover a picture: "
            "0 <= overlap_px < tile_px <= 4096"
        )


def _check_weights(data: bytes, card: Card) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.weights_sha256:
        raise ArchiveError(
            f"the weights have SHA-256 {digest}, their card says {card.weights_sha256}: "
            "take weights and card from one training run"
        )


def _manifest(card: Card) -> bytes:
    model = Model(
        model_name=card.name,
        serialized_file=WEIGHTS,
        handler=HANDLERS[card.task],
        model_version=card.version,
    )
    manifest = Manifest(runtime="python", model=model).manifest_dict
    manifest["createdOn"] = "01/01/1980 00:00:00"  # TorchServe asks for a date; a real one would change the digest
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def _read_manifest(data: bytes) -> dict[str, str]:
    try:
        model: Any = json.loads(data)["model"]
        for key in ("modelName", "handler"):
            if not isinstance(model[key], str):
                raise ArchiveError(f"{key} of the manifest is no text")
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{MANIFEST} is no manifest of TorchServe: {error!r}") from error
    return cast(dict[str, str], model)


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_TEXT_BYTES:
        raise ArchiveError(f"{name} is larger than {_MAX_TEXT_BYTES} bytes")
    return archive.read(name)


def _check_entries(archive: zipfile.ZipFile) -> None:
    """Check names and sizes before anything is read: TorchServe unpacks whatever stands in an archive."""
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise ArchiveError(f"{len(entries)} entries; at most {_MAX_ENTRIES} are allowed")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ArchiveError("a name occurs twice")
    if sum(entry.file_size for entry in entries) > _MAX_BYTES:
        raise ArchiveError(f"more than {_MAX_BYTES} bytes when unpacked")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise ArchiveError(f"{entry.filename!r} would be unpacked outside its folder")
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise ArchiveError(f"{entry.filename!r} is a link")
        if entry.file_size > _MAX_RATIO * max(entry.compress_size, 1024):
            raise ArchiveError(f"{entry.filename!r} unpacks to {entry.file_size} bytes from {entry.compress_size}")
