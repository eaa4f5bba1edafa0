"""How good the net is just now: the same few crops of the val split each time, without augmentation."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from thale.monitoring.scoring import Matches, Overlap
from thale_models.crop_sampler import Batch, View, choose_centre, find_anchors, stack
from thale_models.dataset import Dataset
from thale_models.heatmap_peaks import PeakFinder
from thale_models.inference import LANDMARK_DISTANCE_MM, LANDMARK_LIMIT
from thale_models.losses import IGNORED
from thale_models.recipes import Recipe
from thale_models.tiled_inference import Band

MATCH_RADIUS_MM = 1.0
_SURE_SCORE = 0.3
"""Landmarks are judged here as if each stood alone: fainter ones need a root to be believed."""


@dataclass(frozen=True)
class Verdict:
    """What validation found. `score` is what the best weights are chosen by: mean Dice, or mean F1."""

    score: float
    metrics: dict[str, float]


def fixed_crops(dataset: Dataset, recipe: Recipe) -> list[Batch]:
    """Return the validation crops, the same in every run: spread over the val split, most of them with a plant."""
    samples = dataset.split("val")
    count = min(len(samples), recipe.validation_crops)
    chosen = [samples[index] for index in np.linspace(0, len(samples) - 1, count).astype(int)]
    crops = []
    for place, sample in enumerate(chosen):
        rng = np.random.default_rng([0, 2, place])
        picture = dataset.read(sample)
        view = View(picture, sample.mm_per_px, recipe)
        anchors = find_anchors(picture, recipe.classes)
        for _ in range(-(-(recipe.validation_crops - place) // count)):
            anywhere = rng.random() < recipe.crops_anywhere
            crops.append(view.crop(choose_centre(view, [] if anywhere else anchors, rng)))
    return [stack(crops[start : start + recipe.batch]) for start in range(0, len(crops), recipe.batch)]


def validate(net: nn.Module, batches: list[Batch], recipe: Recipe, device: torch.device) -> Verdict:
    """Return the net's scores on the validation crops."""
    net.eval()
    measure = _segmentation if recipe.task == "segmentation" else _landmarks
    with torch.inference_mode():
        outputs = [net(batch.pictures_N3HW.to(device)).float().cpu() for batch in batches]
    return measure(outputs, [batch.targets for batch in batches], recipe)


def _segmentation(outputs: list[Tensor], targets: list[Tensor], recipe: Recipe) -> Verdict:
    overlaps = {name: Overlap() for name in recipe.classes[1:]}
    for logits_CHW, truth_HW in zip(torch.cat(outputs), torch.cat(targets), strict=True):
        answer_HW = logits_CHW.argmax(0).numpy()
        labelled_HW = truth_HW.numpy() != IGNORED
        for index, name in enumerate(recipe.classes[1:], start=1):
            overlaps[name].add((answer_HW == index) & labelled_HW, truth_HW.numpy() == index)
    metrics = {f"dice_{name}": overlap.dice for name, overlap in overlaps.items()}
    return Verdict(_mean(metrics), metrics)


def _landmarks(outputs: list[Tensor], targets: list[Tensor], recipe: Recipe) -> Verdict:
    matches = {kind: Matches() for kind in recipe.classes}
    distance_px = max(1, round(LANDMARK_DISTANCE_MM / recipe.mm_per_px))
    for logits_CHW, truth_CHW in zip(torch.cat(outputs), torch.cat(targets), strict=True):
        finder = PeakFinder(len(recipe.classes), distance_px, _SURE_SCORE, LANDMARK_LIMIT)
        found = finder.collect([Band(0, logits_CHW.sigmoid().numpy())])
        for plane, kind in enumerate(recipe.classes):
            points_N2 = np.array([(peak.x, peak.y) for peak in found if peak.plane == plane], float).reshape(-1, 2)
            true_N2 = np.argwhere(truth_CHW[plane].numpy() == 1.0)[:, ::-1].astype(float)
            matches[kind].add(points_N2, true_N2, recipe.mm_per_px, MATCH_RADIUS_MM)
    scores = {f"f1_{kind}": match.f1 for kind, match in matches.items()}
    errors = {
        f"median_error_mm_{kind}": float(np.median(match.distances_mm)) if match.distances_mm else float("nan")
        for kind, match in matches.items()
    }
    return Verdict(_mean(scores), scores | errors)


def _mean(scores: dict[str, float]) -> float:
    known = [score for score in scores.values() if np.isfinite(score)]
    return float(np.mean(known)) if known else 0.0
