"""Files of a training run: log.csv, the best weights so far with their card, and a checkpoint.

Files are replaced atomically, so that no reader gets a partial file, also after a kill. Only log.csv grows by appended
rows.
"""

import csv
import hashlib
import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import nn

from thale.errors import TrainingError
from thale.host.files import write_atomically
from thale.models.model_card import CARD
from thale.schemas import ModelCard
from thale_models.dataset import Dataset
from thale_models.recipes import Recipe
from thale_models.validation import ValidationResult

CHECKPOINT_FILE = "checkpoint.pt"
LOG_FILE = "log.csv"


@dataclass(frozen=True)
class CardFields:
    """Fields of the card that a training run cannot derive."""

    name: str = ""
    """Empty: the name of the recipe."""
    version: str = "1.0.0"
    data: str = ""
    """Empty: the digest of the manifest."""
    licence: str = "not stated"
    limits: str = ""


def write_card(
    out: Path,
    fields: CardFields,
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    weights: bytes,
    parameters: int,
    result: ValidationResult,
    step: int,
) -> ModelCard:
    """Write card.json for the weights, and return the card."""
    card = ModelCard(
        name=fields.name or recipe.name,
        version=fields.version,
        task=recipe.task,
        classes=recipe.classes,
        mm_per_px=recipe.mm_per_px,
        normalisation=recipe.normalisation,
        net=recipe.net,
        net_options=recipe.net_options,
        tile_px=recipe.tile_px,
        overlap_px=recipe.overlap_px,
        data=fields.data or f"manifest sha256:{dataset.digest}",
        licence=fields.licence,
        recipe=recipe.name,
        seed=seed,
        parameters=parameters,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        metrics={"step": float(step), **result.metrics},
        limits=fields.limits,
    )
    write_atomically(out / CARD, (card.model_dump_json(indent=2) + "\n").encode())
    return card


def weights_bytes(net: nn.Module) -> bytes:
    """Return the weights of a network as a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()})


def write_checkpoint(out: Path, state: dict[str, Any]) -> None:
    """Write the state from which a run resumes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(out / CHECKPOINT_FILE, buffer.getvalue())


def read_checkpoint(out: Path) -> dict[str, Any] | None:
    """Return the state of an earlier run in the folder, or None if there is no checkpoint.

    Raises:
        TrainingError: If the checkpoint cannot be read.
    """
    path = out / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(path):
            raise TrainingError(f"{path} is damaged: delete it to start over, or choose another --out")
        return cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}): delete it to start over, or choose another --out"
        ) from error


def append_log(out: Path, row: dict[str, float]) -> None:
    """Append a row to log.csv, after a header if the file is new or empty."""
    path = out / LOG_FILE
    is_new = not path.exists() or not path.stat().st_size
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def truncate_log(out: Path, step: int) -> None:
    """Drop the rows of log.csv after a step. A resumed run writes them again."""
    path = out / LOG_FILE
    if not path.exists() or not path.stat().st_size:  # empty after a kill, or a full disk, at the first row
        return
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    remaining_rows = [row for row in rows if int(row.split(",", 1)[0]) <= step]
    write_atomically(path, "".join([header, *remaining_rows]).encode())
