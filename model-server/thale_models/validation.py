"""Validation during training, on a fixed set of crops of the val split, without augmentation."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from thale.monitoring.scoring import DiceCounter, PointMatchCounter
from thale_models.crop_sampler import Batch, PictureView, collate, foreground_points, sample_centre
from thale_models.dataset import Dataset
from thale_models.heatmap_peaks import PeakFinder
from thale_models.inference import MAX_LANDMARKS_PER_KIND, MIN_LANDMARK_DISTANCE_MM
from thale_models.losses import IGNORE_INDEX
from thale_models.recipes import Recipe
from thale_models.tiled_inference import OutputBand

MATCH_RADIUS_MM = 1.0
_MIN_LANDMARK_SCORE = 0.3
"""Minimum score of a landmark in a validation. Plant reconstruction also accepts fainter tips at the end of a root."""


@dataclass(frozen=True)
class ValidationResult:
    """Scores of one validation. The best weights are selected by `score`: mean Dice, or mean F1."""

    score: float
    metrics: dict[str, float]


def validation_crops(dataset: Dataset, recipe: Recipe) -> list[Batch]:
    """Return the validation crops, which are the same in every run.

    They are spread over the val split. Most of them are near an organ or landmark.
    """
    samples = dataset.split("val")
    count = min(len(samples), recipe.validation_crops)
    selected = [samples[index] for index in np.linspace(0, len(samples) - 1, count).astype(int)]
    crops = []
    for sample_index, sample in enumerate(selected):
        rng = np.random.default_rng([0, 2, sample_index])
        picture = dataset.read(sample)
        view = PictureView(picture, sample.mm_per_px, recipe)
        points_by_class = foreground_points(picture, recipe.classes)
        for _ in range(-(-(recipe.validation_crops - sample_index) // count)):
            is_uniform = rng.random() < recipe.uniform_crop_fraction
            crops.append(view.crop(sample_centre(view, [] if is_uniform else points_by_class, rng)))
    return [collate(crops[start : start + recipe.batch_size]) for start in range(0, len(crops), recipe.batch_size)]


def validate(net: nn.Module, batches: list[Batch], recipe: Recipe, device: torch.device) -> ValidationResult:
    """Return the scores of the network on the validation crops."""
    net.eval()
    score_outputs = _score_segmentation if recipe.task == "segmentation" else _score_landmarks
    with torch.inference_mode():
        outputs = [net(batch.images_N3HW.to(device)).float().cpu() for batch in batches]
    return score_outputs(outputs, [batch.targets for batch in batches], recipe)


def _score_segmentation(outputs: list[Tensor], targets: list[Tensor], recipe: Recipe) -> ValidationResult:
    dice_counters = {name: DiceCounter() for name in recipe.classes[1:]}
    for logits_CHW, truth_HW in zip(torch.cat(outputs), torch.cat(targets), strict=True):
        predicted_HW = logits_CHW.argmax(0).numpy()
        labelled_HW = truth_HW.numpy() != IGNORE_INDEX
        for index, name in enumerate(recipe.classes[1:], start=1):
            dice_counters[name].add((predicted_HW == index) & labelled_HW, truth_HW.numpy() == index)
    metrics = {f"dice_{name}": overlap.dice for name, overlap in dice_counters.items()}
    return ValidationResult(_mean_of_known(metrics), metrics)


def _score_landmarks(outputs: list[Tensor], targets: list[Tensor], recipe: Recipe) -> ValidationResult:
    match_counters = {kind: PointMatchCounter() for kind in recipe.classes}
    distance_px = max(1, round(MIN_LANDMARK_DISTANCE_MM / recipe.mm_per_px))
    for logits_CHW, truth_CHW in zip(torch.cat(outputs), torch.cat(targets), strict=True):
        finder = PeakFinder(len(recipe.classes), distance_px, _MIN_LANDMARK_SCORE, MAX_LANDMARKS_PER_KIND)
        peaks = finder.collect([OutputBand(0, logits_CHW.sigmoid().numpy())])
        for plane, kind in enumerate(recipe.classes):
            points_N2 = np.array([(peak.x, peak.y) for peak in peaks if peak.plane == plane], float).reshape(-1, 2)
            true_N2 = np.argwhere(truth_CHW[plane].numpy() == 1.0)[:, ::-1].astype(float)
            match_counters[kind].add(points_N2, true_N2, recipe.mm_per_px, MATCH_RADIUS_MM)
    scores = {f"f1_{kind}": match.f1 for kind, match in match_counters.items()}
    errors = {
        f"median_error_mm_{kind}": float(np.median(match.distances_mm)) if match.distances_mm else float("nan")
        for kind, match in match_counters.items()
    }
    return ValidationResult(_mean_of_known(scores), scores | errors)


def _mean_of_known(scores: dict[str, float]) -> float:
    known = [score for score in scores.values() if np.isfinite(score)]
    return float(np.mean(known)) if known else 0.0
