"""Evaluate models on a folder of plates: metrics.json, references.json, report.md, and a picture of every plate."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from thale.errors import ArchiveError, DatasetError, ParameterError
from thale.files import write_atomically
from thale.models.model_card import CARD, WEIGHTS, read_card
from thale.schemas import Card, Task
from thale_models.dataset import Dataset, Sample, read_dataset
from thale_models.engine import EngineName, load_engine
from thale_models.evaluation import report
from thale_models.evaluation.ground_truth import read_truth, roots_files
from thale_models.evaluation.plate_scores import Model, PlateScore, measure, score
from thale_models.evaluation.reference_distributions import Said, references, said
from thale_models.evaluation.summary import by_complexity, summarise

REFERENCES = "references.json"

LABELS: dict[Task, tuple[str, ...]] = {
    "segmentation": ("background", "root", "shoot", "seed"),
    "landmarks": ("root_base", "primary_tip", "lateral_tip"),
}


def evaluate(
    folders: Sequence[Path], data: Path, split: str, out: Path, title: str, engine: EngineName = "openvino"
) -> dict[str, float]:
    """Let models measure every plate of a split as a user would, compare with its truth, and write the report.

    One model is judged by its own answer: Dice, or F1 of landmarks. A segmentation and a landmarks model together are
    judged by plants and traits as well. The truth may be partial: a mask, landmarks, or roots (RSML files in the
    manifest's optional column `roots`).

    Args:
        folders: One folder a model, with weights.safetensors and card.json.
        data: A folder with manifest.csv.
        split: Which of its splits.
        out: Where metrics.json, report.md and pictures/ go.
        title: The report's title.
        engine: Which engine runs the models.

    Returns:
        The figures, as they stand in metrics.json.

    Raises:
        DatasetError: If anything is wrong with the folder.
        ArchiveError: If a model cannot be loaded.
        ParameterError: If two models have the same task.
    """
    models = load_models(folders, engine)
    masks, marks = (read_dataset(data, task, _classes(models, task), needed=()) for task in LABELS)
    mask_of, mark_of = _by_image(masks, split), _by_image(marks, split)
    images = sorted(mask_of.keys() | mark_of.keys())
    if not images:
        raise DatasetError(str(data), [f"split {split!r} has no image with a mask or landmarks"])
    roots_of = roots_files(data)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    scores: list[PlateScore] = []
    answers: list[Said] = []
    for path in tqdm(images, title, unit="plate"):
        truth = read_truth(masks, mask_of.get(path), marks, mark_of.get(path), roots_of.get(path))
        image = path.read_bytes()
        begun = time.perf_counter()
        measured = measure(image, path.name, models.get("segmentation"), models.get("landmarks"))
        answers.append(said(measured, _classes(models, "landmarks")))
        scores.append(score(path.stem, measured, truth, time.perf_counter() - begun))
        (out / "pictures" / f"{path.stem}.png").write_bytes(report.draw(image, measured))
    figures = summarise(scores)
    document = {"title": title, "figures": figures, "by_complexity": by_complexity(scores)}
    (out / "metrics.json").write_text(json.dumps(report.without_nan(document), indent=2) + "\n", encoding="utf-8")
    (out / REFERENCES).write_text(json.dumps(references(answers), indent=2) + "\n", encoding="utf-8")
    cards = [model.card for model in models.values()]
    (out / "report.md").write_text(report.report(title, scores, cards), encoding="utf-8")
    return figures


def note_in_cards(folders: Sequence[Path], figures: dict[str, float], evaluation: Path | None = None) -> None:
    """Write what an evaluation found into the cards of the models that it judged.

    Args:
        folders: One folder a model.
        figures: They become metrics named `plates_…`.
        evaluation: The folder that `evaluate` wrote; its references replace the card's, but for those of agreement
            with another version, which registering measures. None, or an evaluation of one model alone, leaves them.
    """
    known = {f"plates_{name}": value for name, value in figures.items() if math.isfinite(value)}
    found = json.loads((evaluation / REFERENCES).read_text(encoding="utf-8")) if evaluation is not None else {}
    for folder in folders:
        card = read_card((folder / CARD).read_bytes())
        kept = {name: value for name, value in card.metrics.items() if not name.startswith("plates_")}
        agreement = {name: values for name, values in card.references.items() if name.startswith("agreement_")}
        fresh = {**agreement, **found[card.task]} if card.task in found else card.references
        noted = Card.model_validate({**dict(card), "metrics": kept | known, "references": fresh})
        write_atomically(folder / CARD, (noted.model_dump_json(indent=2) + "\n").encode())


def _classes(models: dict[Task, Model], task: Task) -> tuple[str, ...]:
    return models[task].card.classes if task in models else LABELS[task]


def _by_image(dataset: Dataset, split: str) -> dict[Path, Sample]:
    return {sample.image: sample for sample in dataset.split(split)}


def load_models(folders: Sequence[Path], engine: EngineName) -> dict[Task, Model]:
    """Load one model for each task.

    Raises:
        ArchiveError: If a folder holds no model.
        ParameterError: If two models have the same task.
    """
    models: dict[Task, Model] = {}
    for folder in folders:
        try:
            card = read_card((folder / CARD).read_bytes())
        except OSError as error:
            raise ArchiveError(f"{folder} holds no model: {error}") from error
        if card.task in models:
            raise ParameterError(f"{folder} is a second model for {card.task}: give one for each task")
        models[card.task] = Model(card, load_engine(card, folder / WEIGHTS, engine))
    return models
