"""Validation of a model archive before it is unpacked: only data, complete, and consistent with its card.

An archive contains a fixed set of member names, and therefore no pickle and no code (ADR 0129).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thale.errors import ArchiveError, describe_validation_error
from thale.models.model_card import CARD, MAX_CARD_BYTES, WEIGHTS, parse_model_card
from thale.release.registry.golden_predictions import GOLDEN_MEMBER as GOLDEN
from thale.release.registry.golden_predictions import GoldenPredictions
from thale.release.registry.graph_members import (
    GRAPH,
    GRAPH_CONSTANTS,
    MAX_GRAPH_BYTES,
    check_graph,
    graph_digest,
)
from thale.release.registry.safetensors_header import (
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    check_finite,
    check_header,
)
from thale.release.registry.strict_zip import MAX_BYTES, Member, read_members
from thale.schemas import ModelCard, Task, VersionManifest

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLERS: dict[Task, str] = {
    "segmentation": "thale_models.handlers.segment",
    "landmarks": "thale_models.handlers.landmarks",
}

_MAX_TEXT_BYTES = 2**20
_PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz")


@dataclass(frozen=True)
class ValidatedArchive:
    """A valid archive."""

    path: Path
    card: ModelCard
    digest: str
    """`sha256:` and the SHA-256 of the archive. The card contains the digest of the weights."""
    golden: GoldenPredictions | None
    """The golden predictions recorded with the archive, if any."""
    graph_sha256: str | None
    """Digest of its OpenVINO graph (`graph_members.graph_digest`), if it has one."""

    @property
    def version_manifest(self) -> VersionManifest:
        """The manifest of the version in the archive."""
        return VersionManifest(digest=self.digest, card=self.card)


class _Model(BaseModel):
    """Fields of the manifest's model. Any other field could make TorchServe run or install code."""

    model_config = ConfigDict(extra="forbid", strict=True)

    modelName: str
    modelVersion: str
    handler: str
    serializedFile: Literal["weights.safetensors"] | None = None


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    runtime: Literal["python", "python3"]
    model: _Model


def validate_archive(path: Path) -> ValidatedArchive:
    """Read and validate an archive completely, without unpacking it.

    Raises:
        ArchiveError: If it cannot be read, contradicts its card, or contains anything else than a model.
    """
    try:
        with path.open("rb") as file:
            return _validate(path, file)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read as a model archive: {error}") from error
    except ArchiveError as error:
        raise ArchiveError(f"{path.name}: {error}") from error


def _validate(path: Path, file: BufferedReader) -> ValidatedArchive:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ArchiveError(f"{size} bytes exceed the limit of {MAX_BYTES}")
    members = read_members(file)
    for name in (MANIFEST, CARD, WEIGHTS):
        if name not in members:
            raise ArchiveError(f"not an archive of a thale model: {name} is missing")
    model = _read_manifest(members[MANIFEST].content(file, _MAX_TEXT_BYTES))
    card = parse_model_card(members[CARD].content(file, MAX_CARD_BYTES))
    if (model.modelName, model.modelVersion) != (card.name, card.version):
        raise ArchiveError(
            f"the manifest names {model.modelName} {model.modelVersion}, but the card {card.name} {card.version}: "
            "pack it again"
        )
    _check_handler(model.handler, card.task)
    _reject_unknown_members(members, {MANIFEST, CARD, WEIGHTS, GOLDEN, GRAPH, GRAPH_CONSTANTS})
    _check_weights(file, members[WEIGHTS], card)
    graph_sha256 = _check_graph(file, members, card)
    golden = _read_golden(members[GOLDEN].content(file, _MAX_TEXT_BYTES), card) if GOLDEN in members else None
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ValidatedArchive(path, card, f"sha256:{digest}", golden, graph_sha256)


def _read_manifest(data: bytes) -> _Model:
    try:
        return _Manifest.model_validate(json.loads(data.decode(), object_pairs_hook=_reject_duplicate_keys)).model
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{MANIFEST} is not a manifest of a thale model ({error}): pack it again") from error


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a JSON object. Readers differ in which of two equal names they use."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field name")
    return fields


def _read_golden(data: bytes, card: ModelCard) -> GoldenPredictions:
    try:
        golden = GoldenPredictions.model_validate_json(data)
    except ValidationError as error:
        raise ArchiveError(
            f"{GOLDEN} is not valid ({describe_validation_error(error)}): pack it again with `thale-models archive`"
        ) from error
    if golden.weights_sha256 != card.weights_sha256:
        raise ArchiveError(
            f"{GOLDEN} contains the predictions of other weights: pack it again with `thale-models archive`"
        )
    return golden


def _check_handler(handler: str, task: Task) -> None:
    """Check that the manifest names the handler of thale, which is installed with the model server."""
    if handler == HANDLERS[task]:
        return
    if handler.endswith(".py"):
        raise ArchiveError(
            f"{handler!r} is code, which an archive must not contain: pack the model with `thale-models archive`"
        )
    raise ArchiveError(
        f"the manifest names the handler {handler!r}, but a model for {task} is served by {HANDLERS[task]}: "
        "pack it with `thale-models archive`"
    )


def _reject_unknown_members(members: Mapping[str, Member], known: set[str]) -> None:
    for name in members.keys() - known:
        if name.lower().endswith(_PICKLE_SUFFIXES):
            raise ArchiveError(
                f"{name!r} may contain a pickle, which runs arbitrary code when it is loaded: remove it, "
                f"and store the weights as {WEIGHTS}"
            )
        if name.lower().endswith((".py", ".pyc", ".so", ".whl")):
            raise ArchiveError(f"{name!r} is code, which an archive must not contain: remove it")
        raise ArchiveError(f"{name!r} is not part of a thale model: remove it")


def _check_weights(file: BinaryIO, weights: Member, card: ModelCard) -> None:
    digest, start = hashlib.sha256(), bytearray()
    for chunk in weights.chunks(file):
        digest.update(chunk)
        start += chunk[: LENGTH_BYTES + MAX_HEADER_BYTES - len(start)]
    if digest.hexdigest() != card.weights_sha256:
        raise ArchiveError(
            f"the SHA-256 of the weights is {digest.hexdigest()}, but {card.weights_sha256} in the card: "
            "take weights and card from one training run"
        )
    check_finite(weights.chunks(file), check_header(bytes(start), weights.size))


def _check_graph(file: BinaryIO, members: Mapping[str, Member], card: ModelCard) -> str | None:
    """Check the graph of an archive, and return its digest.

    Archives of earlier versions have none, and the worker converts the network.
    """
    graph, constants = members.get(GRAPH), members.get(GRAPH_CONSTANTS)
    if graph is None and constants is None and card.precision != "int8":
        return None
    if graph is None or constants is None:
        raise ArchiveError(
            f"{GRAPH if graph is None else GRAPH_CONSTANTS} is missing: pack the model with `thale-models archive`, or "
            "`thale-models lower-precision` for int8"
        )
    content = graph.content(file, MAX_GRAPH_BYTES)
    check_graph(content, constants.chunks(file), constants.size, card)
    return graph_digest(content, constants.chunks(file))
