"""Expected agreement of a new version with stable, measured on plates before the release.

Production has no ground truth. It has the agreement of a canary with the stable version on the same plates. This module
measures the expected agreement, with the comparison of the facade, and writes it to the card of the new version.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from thale.errors import DatasetError, ParameterError
from thale.host.files import write_atomically
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.models.model_card import CARD
from thale.monitoring.comparison import dice, match_landmarks
from thale.schemas import ModelCard
from thale_models.dataset import read_dataset
from thale_models.engine import EngineName
from thale_models.evaluation.plate_scores import LoadedModel
from thale_models.evaluation.reference_distributions import QUANTILES
from thale_models.evaluation.run import load_models
from thale_models.inference import find_landmarks, segment

_PREFIX = "agreement_"
_PLATES_METRIC = "agreement_plates"

ValuesBySignal = dict[str, Sequence[float]]


def write_agreement_references(
    folder: Path, stable: Path, data: Path, split: str, engine: EngineName = "openvino"
) -> ModelCard:
    """Run a new version and stable on the same plates, and write their agreement to the card of the new version.

    Args:
        folder: The new version, with weights.safetensors and card.json. Archive it afterwards.
        stable: The stable version.
        data: A folder with manifest.csv. Only images with labels for the task are used, and their labels are not.
        split: The split to use.
        engine: The inference engine.

    Returns:
        The updated card, with references `agreement_…` and the number of plates.

    Raises:
        ArchiveError: If a folder has no model.
        DatasetError: If the data have problems, or the split has no plate.
        ParameterError: If the models have different tasks.
    """
    (candidate_model,), (stable_model,) = (load_models([path], engine).values() for path in (folder, stable))
    if candidate_model.card.task != stable_model.card.task:
        raise ParameterError(
            f"{folder} has the task {candidate_model.card.task} and {stable} has {stable_model.card.task}: "
            "pass two versions of one model"
        )
    dataset = read_dataset(data, candidate_model.card.task, candidate_model.card.classes, required_splits=())
    images = [sample.image for sample in dataset.split(split)]
    if not images:
        raise DatasetError(str(data), [f"split {split!r} has no image"])
    values: defaultdict[str, list[float]] = defaultdict(list)
    for path in tqdm(images, "agreement", unit="plate"):
        for name, signal_values in _compare_on_plate(path.read_bytes(), stable_model, candidate_model).items():
            values[f"{_PREFIX}{name}"] += signal_values
    references = {
        name: tuple(np.quantile(signal_values, QUANTILES).tolist())
        for name, signal_values in values.items()
        if signal_values
    }
    card = candidate_model.card
    other_references = {name: quantiles for name, quantiles in card.references.items() if not name.startswith(_PREFIX)}
    metrics = {**card.metrics, _PLATES_METRIC: float(len(images))}
    updated_card = ModelCard.model_validate(
        {**dict(card), "references": other_references | references, "metrics": metrics}
    )
    write_atomically(folder / CARD, (updated_card.model_dump_json(indent=2) + "\n").encode())
    return updated_card


def _compare_on_plate(image: bytes, stable: LoadedModel, shadow: LoadedModel) -> ValuesBySignal:
    """Return the agreement of two versions on one plate, by signal."""
    pixels_HW3 = decode(image)
    calibration = calibrate(pixels_HW3)
    if stable.card.task == "segmentation":
        maps = [segment(pixels_HW3, model.card, model.engine, calibration) for model in (stable, shadow)]
        return {f"dice_{organ}": [value] for organ, value in dice(*maps).items()}
    points = [find_landmarks(pixels_HW3, model.card, model.engine, calibration) for model in (stable, shadow)]
    distances_px, f1 = match_landmarks(points[0].landmarks, points[1].landmarks, calibration.scale)
    values_by_signal: ValuesBySignal = {f"landmark_px_{kind}": distances for kind, distances in distances_px.items()}
    return values_by_signal if f1 is None else {**values_by_signal, "landmark_f1": [f1]}
