"""Evaluate models on a folder of plates: metrics.json, references.json, report.md, and an image of every plate."""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from thale.errors import ArchiveError, DatasetError, ParameterError
from thale.exports import rsml
from thale.host.files import write_atomically
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.phenotyping.quality.error_model import require_error_models
from thale.schemas import ModelCard, Phenotype, Scale, Task
from thale_models.dataset import Dataset, TrainingSample, read_dataset
from thale_models.engine import EngineName, load_engine
from thale_models.evaluation import report
from thale_models.evaluation.ground_truth import find_rsml_files, read_ground_truth
from thale_models.evaluation.plate_scores import LoadedModel, PlateScore, evaluate_plate, score_plate
from thale_models.evaluation.quality_scores import QualityScore, add_phenotype, quality_metrics
from thale_models.evaluation.reference_distributions import PlateSignals, plate_signals, reference_distributions
from thale_models.evaluation.summary import metrics_by_complexity, summarise
from thale_models.evaluation.trait_records import true_plants_of

REFERENCES_FILE = "references.json"

DEFAULT_CLASSES: dict[Task, tuple[str, ...]] = {
    "segmentation": ("background", "root", "shoot", "seed"),
    "landmarks": ("root_base", "primary_tip", "lateral_tip"),
}


def evaluate(
    folders: Sequence[Path],
    data: Path,
    split: str,
    out: Path,
    title: str,
    engine: EngineName = "openvino",
    error_models: Path | None = None,
) -> dict[str, float]:
    """Run the full pipeline on every plate of a split, compare with the ground truth, and write the report.

    A single model is scored by its own prediction: Dice, or F1 of landmarks. A segmentation model together with a
    landmark model is also scored by plants and traits. The ground truth may be partial: a mask, landmarks, or roots
    (RSML files in the optional column `roots` of the manifest).

    Args:
        folders: One folder per model, with weights.safetensors and card.json.
        data: A folder with manifest.csv.
        split: The split to evaluate.
        out: Folder of metrics.json, references.json, report.md and images/.
        title: Title of the report.
        engine: The inference engine.
        error_models: Folder of your own error models. None uses only those of the package.

    Returns:
        The metrics, as in metrics.json.

    Raises:
        DatasetError: If the folder has problems.
        ArchiveError: If a model cannot be loaded.
        ParameterError: If two models have the same task, or an error model is invalid.
    """
    if error_models is not None:
        try:
            require_error_models(error_models)
        except ValueError as error:
            raise ParameterError(str(error)) from error
    models = load_models(folders, engine)
    mask_dataset, landmark_dataset = (
        read_dataset(data, task, _class_names(models, task), required_splits=()) for task in DEFAULT_CLASSES
    )
    mask_samples, landmark_samples = _samples_by_image(mask_dataset, split), _samples_by_image(landmark_dataset, split)
    images = sorted(mask_samples.keys() | landmark_samples.keys())
    if not images:
        raise DatasetError(str(data), [f"split {split!r} has no image with a mask or landmarks"])
    rsml_files = find_rsml_files(data)
    (out / "images").mkdir(parents=True, exist_ok=True)
    scores: list[PlateScore] = []
    signals: list[PlateSignals] = []
    quality: dict[str, QualityScore] = {}
    for path, name in zip(tqdm(images, title, unit="plate"), plate_names(images, data), strict=True):
        ground_truth = read_ground_truth(
            mask_dataset, mask_samples.get(path), landmark_dataset, landmark_samples.get(path), rsml_files.get(path)
        )
        image = path.read_bytes()
        started_s = time.perf_counter()
        evaluated = evaluate_plate(image, path.name, models.get("segmentation"), models.get("landmarks"), error_models)
        signals.append(plate_signals(evaluated, _class_names(models, "landmarks")))
        scores.append(score_plate(name, evaluated, ground_truth, time.perf_counter() - started_s))
        if evaluated.phenotype is not None and path in rsml_files:
            _add_quality(quality, evaluated.phenotype, rsml_files[path], ground_truth.mm_per_px)
        (out / "images" / f"{name}.png").write_bytes(report.draw_prediction(image, evaluated))
    cards = [model.card for model in models.values()]
    return _write_results(out, title, scores, signals, cards, quality)


def plate_names(images: Sequence[Path], data: Path) -> list[str]:
    """Return a unique name for each image: its stem, or its path in the data folder if other images have this stem."""
    stems = Counter(path.stem for path in images)
    relative_paths = [Path(os.path.relpath(path, data)).as_posix().replace("/", "__") for path in images]
    names = [
        path.stem if stems[path.stem] == 1 else relative for path, relative in zip(images, relative_paths, strict=True)
    ]
    used = Counter(names)
    return [name if used[name] == 1 else f"{name}-{number}" for number, name in enumerate(names, 1)]


def _add_quality(quality: dict[str, QualityScore], phenotype: Phenotype, rsml_path: Path, mm_per_px: float) -> None:
    if math.isfinite(mm_per_px):
        true_plants = true_plants_of(rsml.read(rsml_path.read_bytes()), 1.0, 1 / mm_per_px)
        add_phenotype(quality, phenotype, true_plants, Scale(mm_per_px=mm_per_px, source="given"))


def _write_results(
    out: Path,
    title: str,
    scores: Sequence[PlateScore],
    signals: Sequence[PlateSignals],
    cards: Sequence[ModelCard],
    quality: Mapping[str, QualityScore],
) -> dict[str, float]:
    """Write metrics.json, references.json and report.md, and return the metrics."""
    metrics = summarise(scores) | quality_metrics(quality)
    document = {"title": title, "metrics": metrics, "by_complexity": metrics_by_complexity(scores)}
    (out / "metrics.json").write_text(json.dumps(report.nan_to_null(document), indent=2) + "\n", encoding="utf-8")
    (out / REFERENCES_FILE).write_text(json.dumps(reference_distributions(signals), indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(report.render_report(title, scores, cards, quality), encoding="utf-8")
    return metrics


def write_metrics_to_cards(folders: Sequence[Path], metrics: dict[str, float], evaluation: Path | None = None) -> None:
    """Write the results of an evaluation to the cards of the evaluated models.

    Args:
        folders: One folder per model.
        metrics: Metrics of the evaluation, written as `plates_…`.
        evaluation: Output folder of `evaluate`. Its references replace those of the card, except for the agreement
            with another version (`write_agreement_references`). None, or an evaluation of a single model, changes no
            references.
    """
    plate_metrics = {f"plates_{name}": value for name, value in metrics.items() if math.isfinite(value)}
    new_references = (
        json.loads((evaluation / REFERENCES_FILE).read_text(encoding="utf-8")) if evaluation is not None else {}
    )
    for folder in folders:
        card = parse_model_card((folder / CARD).read_bytes())
        other_metrics = {name: value for name, value in card.metrics.items() if not name.startswith("plates_")}
        agreement_references = {
            name: values for name, values in card.references.items() if name.startswith("agreement_")
        }
        references_to_write = (
            {**agreement_references, **new_references[card.task]} if card.task in new_references else card.references
        )
        updated_card = ModelCard.model_validate(
            {**dict(card), "metrics": other_metrics | plate_metrics, "references": references_to_write}
        )
        write_atomically(folder / CARD, (updated_card.model_dump_json(indent=2) + "\n").encode())


def _class_names(models: dict[Task, LoadedModel], task: Task) -> tuple[str, ...]:
    return models[task].card.classes if task in models else DEFAULT_CLASSES[task]


def _samples_by_image(dataset: Dataset, split: str) -> dict[Path, TrainingSample]:
    return {sample.image: sample for sample in dataset.split(split)}


def load_models(folders: Sequence[Path], engine: EngineName) -> dict[Task, LoadedModel]:
    """Load one model for each task.

    Raises:
        ArchiveError: If a folder has no model.
        ParameterError: If two models have the same task.
    """
    models: dict[Task, LoadedModel] = {}
    for folder in folders:
        try:
            card = parse_model_card((folder / CARD).read_bytes())
        except OSError as error:
            raise ArchiveError(f"{folder} has no model: {error}") from error
        if card.task in models:
            raise ParameterError(f"{folder} is a second model for {card.task}: pass one for each task")
        models[card.task] = LoadedModel(card, load_engine(card, folder / WEIGHTS, engine))
    return models
