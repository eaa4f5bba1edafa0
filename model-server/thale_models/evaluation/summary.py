"""Metrics over all plates of a folder, as in the model cards and docs/model-quality.md."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from thale.monitoring.scoring import DiceCounter, PointMatchCounter
from thale_models.evaluation.plate_scores import PlantScore, PlateScore

COMPLEXITY = {"no laterals": (0, 0), "1 to 5 laterals": (1, 5), "6 to 12": (6, 12), "more than 12": (13, 10**6)}


def summarise(scores: Sequence[PlateScore]) -> dict[str, float]:
    """Return the metrics over all plates; NaN if there is no ground truth.

    Dice and F1 are pooled over the plates. Errors are medians over plants, or over plates if the name begins with
    `plate_` or `scale_`. A name with `worst` is a maximum instead of a median.
    """
    plants = [plant for score in scores for plant in score.plants]
    tips, bases = pool_matches(score.tips for score in scores), pool_matches(score.bases for score in scores)
    metrics = {"plates": float(len(scores)), "plants": float(len(plants))}
    metrics |= {f"dice_{name}": overlap.dice for name, overlap in pool_overlaps(scores).items()}
    for kind, matches in pool_landmark_matches(scores).items():
        metrics |= {
            f"landmark_f1_{kind}": matches.f1,
            f"landmark_median_mm_{kind}": median_of_known(matches.distances_mm),
        }
    metrics |= {
        "tip_precision_1mm": tips.precision,
        "tip_recall_1mm": tips.recall,
        "tip_f1_1mm": tips.f1,
        "tip_median_distance_mm": median_of_known(tips.distances_mm),
        "base_f1_1mm": bases.f1,
        "plants_found": float(sum(plant.found for plant in plants)),
        "plants_extra": float(sum(score.plants_extra for score in scores)),
        "primary_length_median_error": median_of_known(plant.primary_error for plant in plants),
        "primary_length_unknown": float(sum(math.isnan(plant.primary_error) for plant in plants if plant.found)),
        "total_length_median_error": median_of_known(plant.total_error for plant in plants),
        "total_length_unknown": float(sum(math.isnan(plant.total_error) for plant in plants if plant.found)),
        "hypocotyl_length_median_error": median_of_known(plant.hypocotyl_error for plant in plants),
        "hypocotyl_length_unknown": float(sum(math.isnan(plant.hypocotyl_error) for plant in plants if plant.found)),
        "leaf_count_exact_share": fraction_true(
            plant.leaf_count_error == 0 for plant in plants if math.isfinite(plant.leaf_count_error)
        ),
        "leaf_count_within_one_share": fraction_true(
            plant.leaf_count_error <= 1 for plant in plants if math.isfinite(plant.leaf_count_error)
        ),
        "leaf_count_unknown": float(sum(math.isnan(plant.leaf_count_error) for plant in plants if plant.found)),
        "plate_total_length_median_error": median_of_known(score.total_error for score in scores),
        "plate_total_length_worst_error": max_known(score.total_error for score in scores),
        "scale_median_error": median_of_known(score.scale_error for score in scores),
        "scale_worst_error": max_known(score.scale_error for score in scores),
        "scale_unknown": float(sum(math.isnan(score.scale_error) for score in scores)),
        "seconds_per_plate": median_of_known(score.seconds for score in scores),
    }
    return metrics


def metrics_by_complexity(scores: Sequence[PlateScore]) -> dict[str, dict[str, float]]:
    """Return the metrics of plants by their number of laterals."""
    plants = [plant for score in scores for plant in score.plants]
    return {
        name: _plant_metrics([plant for plant in plants if low <= plant.laterals <= high])
        for name, (low, high) in COMPLEXITY.items()
    }


def _plant_metrics(plants: list[PlantScore]) -> dict[str, float]:
    return {
        "plants": float(len(plants)),
        "found": float(sum(plant.found for plant in plants)),
        "primary_length_median_error": median_of_known(plant.primary_error for plant in plants),
        "total_length_median_error": median_of_known(plant.total_error for plant in plants),
    }


def pool_matches(matches: Iterable[PointMatchCounter]) -> PointMatchCounter:
    """Return the pooled counts of several plates."""
    total = PointMatchCounter()
    for plate_matches in matches:
        total.matched += plate_matches.matched
        total.predicted += plate_matches.predicted
        total.true += plate_matches.true
        total.distances_mm += plate_matches.distances_mm
    return total


def pool_landmark_matches(scores: Sequence[PlateScore]) -> dict[str, PointMatchCounter]:
    """Return the pooled matches of each landmark kind."""
    kinds = dict.fromkeys(kind for score in scores for kind in score.landmarks)
    return {kind: pool_matches(score.landmarks[kind] for score in scores if kind in score.landmarks) for kind in kinds}


def pool_overlaps(scores: Sequence[PlateScore]) -> dict[str, DiceCounter]:
    """Return the pooled overlap of each class."""
    total: dict[str, DiceCounter] = {}
    for score in scores:
        for name, overlap in score.overlaps.items():
            class_total = total.setdefault(name, DiceCounter())
            class_total.intersection += overlap.intersection
            class_total.predicted += overlap.predicted
            class_total.true += overlap.true
    return total


def median_of_known(values: Iterable[float]) -> float:
    """Return the median of the finite values; NaN if there are none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def fraction_true(values: Iterable[bool]) -> float:
    """Return the fraction of True values; NaN if there are none."""
    cases = list(values)
    return sum(cases) / len(cases) if cases else math.nan


def max_known(values: Iterable[float]) -> float:
    """Return the maximum of the finite values; NaN if there are none."""
    return max((value for value in values if math.isfinite(value)), default=math.nan)
