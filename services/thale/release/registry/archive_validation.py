"""What a model archive must be before anything of it is unpacked: data alone, whole, and what its card says.

The members are few and known by name, so that no pickle and no program comes along. An archive of the plain
torch-model-archiver needs a handler file: that passes if it is the subclass without a body of model-server/README.md.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thale.errors import ArchiveError
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.golden.records import GOLDEN_MEMBER as GOLDEN
from thale.release.registry.golden.records import GoldenPredictions
from thale.release.registry.safetensors_header import LENGTH_BYTES, MAX_HEADER_BYTES, check_header
from thale.release.registry.strict_zip import MAX_BYTES, Member, read_members
from thale.schemas import ModelCard, Task, VersionManifest

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLERS: dict[Task, str] = {
    "segmentation": "thale_models.handlers.segment",
    "landmarks": "thale_models.handlers.landmarks",
}

_HANDLER_CLASSES: dict[Task, str] = {"segmentation": "SegmentHandler", "landmarks": "LandmarksHandler"}
_MAX_TEXT_BYTES = 2**20
_MAX_CODE_BYTES = 4096
_PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz")


@dataclass(frozen=True)
class ValidatedArchive:
    """What an archive holds. `digest` is `sha256:` and that of the archive's bytes; the weights' stands in the card."""

    path: Path
    card: ModelCard
    digest: str
    handler: str
    golden: GoldenPredictions | None
    """The model's own answers about the golden plates, where it brings them along."""

    @property
    def version_manifest(self) -> VersionManifest:
        """The archive as a version that can be released."""
        return VersionManifest(digest=self.digest, card=self.card)


class _Model(BaseModel):
    """The manifest's word on the model. What is not here would have TorchServe run or install something."""

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
    """Read an archive and check all of it, without unpacking it anywhere.

    Raises:
        ArchiveError: If it cannot be read, is not what its card says, or holds anything but a model.
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
        raise ArchiveError(f"{size} bytes; at most {MAX_BYTES} are allowed")
    members = read_members(file)
    for name in (MANIFEST, CARD, WEIGHTS):
        if name not in members:
            raise ArchiveError(f"this is no archive of a thale model: there is no {name} in it")
    model = _read_manifest(members[MANIFEST].content(file, _MAX_TEXT_BYTES))
    card = parse_model_card(members[CARD].content(file, _MAX_TEXT_BYTES))
    if (model.modelName, model.modelVersion) != (card.name, card.version):
        raise ArchiveError(
            f"the manifest says {model.modelName} {model.modelVersion}, the card {card.name} {card.version}: "
            "pack it again"
        )
    _check_handler(file, members, model.handler, card.task)
    _reject_unknown_members(members, {MANIFEST, CARD, WEIGHTS, GOLDEN, model.handler})
    _check_weights(file, members[WEIGHTS], card)
    golden = _read_golden(members[GOLDEN].content(file, _MAX_TEXT_BYTES), card) if GOLDEN in members else None
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ValidatedArchive(path, card, f"sha256:{digest}", model.handler, golden)


def _read_manifest(data: bytes) -> _Model:
    try:
        return _Manifest.model_validate(json.loads(data.decode(), object_pairs_hook=_reject_duplicate_keys)).model
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{MANIFEST} is no manifest of a thale model ({error}): pack it again") from error


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's fields; two readers may take different ones of two fields of the same name."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _read_golden(data: bytes, card: ModelCard) -> GoldenPredictions:
    try:
        golden = GoldenPredictions.model_validate_json(data)
    except ValidationError as error:
        raise ArchiveError(f"{GOLDEN} cannot be read ({error}): pack it again with `thale-models archive`") from error
    if golden.weights_sha256 != card.weights_sha256:
        raise ArchiveError(f"{GOLDEN} holds the answers of other weights: pack it again with `thale-models archive`")
    return golden


def _check_handler(file: BinaryIO, members: Mapping[str, Member], handler: str, task: Task) -> None:
    """Check that the manifest names thale's own handler, or a file that adds nothing to it."""
    if handler == HANDLERS[task]:
        return
    if handler.endswith(".py") and "/" not in handler and handler in members:
        if _is_bare_subclass(members[handler].content(file, _MAX_CODE_BYTES), task):
            return
        raise ArchiveError(
            f"{handler!r} is code, which an archive must not bring along: pack the model with `thale-models archive`, "
            f"or let the file hold nothing but a subclass of {_HANDLER_CLASSES[task]} without a body"
        )
    raise ArchiveError(
        f"the manifest names the handler {handler!r}, a model for {task} is served by {HANDLERS[task]}: "
        "pack it with `thale-models archive`"
    )


def _is_bare_subclass(code: bytes, task: Task) -> bool:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    match [statement for statement in tree.body if not _is_noop(statement)]:
        case [ast.ImportFrom() as imported, ast.ClassDef(name=name, body=body) as defined]:
            if not all(map(_is_noop, body)):
                return False
            defined.body = [ast.Pass()]
        case _:
            return False
    package, _, module = HANDLERS[task].rpartition(".")
    source = ast.unparse(imported), ast.unparse(defined)
    return source in (
        (f"from {package} import {module}", f"class {name}({module}.{_HANDLER_CLASSES[task]}):\n    pass"),
        (
            f"from {package}.{module} import {_HANDLER_CLASSES[task]}",
            f"class {name}({_HANDLER_CLASSES[task]}):\n    pass",
        ),
    )


def _is_noop(statement: ast.stmt) -> bool:
    """Whether a statement is `pass`, `...` or a docstring."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _reject_unknown_members(members: Mapping[str, Member], known: set[str]) -> None:
    for name in members.keys() - known:
        if name.lower().endswith(_PICKLE_SUFFIXES):
            raise ArchiveError(
                f"{name!r} may hold a pickle, which runs any program when it is loaded: leave it out, "
                f"weights come as {WEIGHTS}"
            )
        if name.lower().endswith((".py", ".pyc", ".so", ".whl")):
            raise ArchiveError(f"{name!r} is code, which an archive must not bring along: leave it out")
        raise ArchiveError(f"{name!r} is no part of a thale model: leave it out")


def _check_weights(file: BinaryIO, weights: Member, card: ModelCard) -> None:
    digest, start = hashlib.sha256(), bytearray()
    for chunk in weights.chunks(file):
        digest.update(chunk)
        start += chunk[: LENGTH_BYTES + MAX_HEADER_BYTES - len(start)]
    if digest.hexdigest() != card.weights_sha256:
        raise ArchiveError(
            f"the weights have SHA-256 {digest.hexdigest()}, their card says {card.weights_sha256}: "
            "take weights and card from one training run"
        )
    check_header(bytes(start), weights.size)
