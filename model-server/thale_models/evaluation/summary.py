"""All plates of a folder: the figures that stand in the model cards and the README."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from thale.monitoring.scoring import Matches, Overlap
from thale_models.evaluation.plate_scores import PlantScore, PlateScore

COMPLEXITY = {"no laterals": (0, 0), "1 to 5 laterals": (1, 5), "6 to 12": (6, 12), "more than 12": (13, 10**6)}


def summarise(scores: Sequence[PlateScore]) -> dict[str, float]:
    """Return the figures over all plates; NaN where nothing was known.

    Dice and F1 are pooled over the plates, errors are medians over plants (or plates, where the name says so).
    """
    plants = [plant for score in scores for plant in score.plants]
    tips, bases = pooled(score.tips for score in scores), pooled(score.bases for score in scores)
    figures = {"plates": float(len(scores)), "plants": float(len(plants))}
    figures |= {f"dice_{name}": overlap.dice for name, overlap in pooled_overlaps(scores).items()}
    for kind, matches in pooled_landmarks(scores).items():
        figures |= {f"landmark_f1_{kind}": matches.f1, f"landmark_median_mm_{kind}": median(matches.distances_mm)}
    figures |= {
        "tip_precision_1mm": tips.precision,
        "tip_recall_1mm": tips.recall,
        "tip_f1_1mm": tips.f1,
        "tip_median_distance_mm": median(tips.distances_mm),
        "base_f1_1mm": bases.f1,
        "plants_found": float(sum(plant.found for plant in plants)),
        "plants_extra": float(sum(score.plants_extra for score in scores)),
        "primary_length_median_error": median(plant.primary_error for plant in plants),
        "primary_length_unknown": float(sum(math.isnan(plant.primary_error) for plant in plants if plant.found)),
        "total_length_median_error": median(plant.total_error for plant in plants),
        "total_length_unknown": float(sum(math.isnan(plant.total_error) for plant in plants if plant.found)),
        "hypocotyl_length_median_error": median(plant.hypocotyl_error for plant in plants),
        "hypocotyl_length_unknown": float(sum(math.isnan(plant.hypocotyl_error) for plant in plants if plant.found)),
        "leaf_count_exact_share": share(plant.leaves_off == 0 for plant in plants if math.isfinite(plant.leaves_off)),
        "leaf_count_within_one_share": share(
            plant.leaves_off <= 1 for plant in plants if math.isfinite(plant.leaves_off)
        ),
        "leaf_count_unknown": float(sum(math.isnan(plant.leaves_off) for plant in plants if plant.found)),
        "plate_total_length_median_error": median(score.total_error for score in scores),
        "plate_total_length_worst_error": worst(score.total_error for score in scores),
        "scale_median_error": median(score.scale_error for score in scores),
        "scale_worst_error": worst(score.scale_error for score in scores),
        "scale_unknown": float(sum(math.isnan(score.scale_error) for score in scores)),
        "seconds_per_plate": median(score.seconds for score in scores),
    }
    return figures


def by_complexity(scores: Sequence[PlateScore]) -> dict[str, dict[str, float]]:
    """Return the plant figures by how many laterals a plant has."""
    plants = [plant for score in scores for plant in score.plants]
    return {
        name: _plant_figures([plant for plant in plants if low <= plant.laterals <= high])
        for name, (low, high) in COMPLEXITY.items()
    }


def _plant_figures(plants: list[PlantScore]) -> dict[str, float]:
    return {
        "plants": float(len(plants)),
        "found": float(sum(plant.found for plant in plants)),
        "primary_length_median_error": median(plant.primary_error for plant in plants),
        "total_length_median_error": median(plant.total_error for plant in plants),
    }


def pooled(matches: Iterable[Matches]) -> Matches:
    """Return the counts of many plates as one."""
    total = Matches()
    for one in matches:
        total.matched += one.matched
        total.predicted += one.predicted
        total.true += one.true
        total.distances_mm += one.distances_mm
    return total


def pooled_landmarks(scores: Sequence[PlateScore]) -> dict[str, Matches]:
    """Return the matches of each kind of landmark over all plates."""
    kinds = dict.fromkeys(kind for score in scores for kind in score.landmarks)
    return {kind: pooled(score.landmarks[kind] for score in scores if kind in score.landmarks) for kind in kinds}


def pooled_overlaps(scores: Sequence[PlateScore]) -> dict[str, Overlap]:
    """Return the overlap of each class over all plates."""
    total: dict[str, Overlap] = {}
    for score in scores:
        for name, overlap in score.overlaps.items():
            sum_ = total.setdefault(name, Overlap())
            sum_.both += overlap.both
            sum_.predicted += overlap.predicted
            sum_.true += overlap.true
    return total


def median(values: Iterable[float]) -> float:
    """Return the median of the known values; NaN without any."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def share(hits: Iterable[bool]) -> float:
    """Return the share of hits; NaN without any case."""
    cases = list(hits)
    return sum(cases) / len(cases) if cases else math.nan


def worst(values: Iterable[float]) -> float:
    """Return the largest of the known values; NaN without any."""
    return max((value for value in values if math.isfinite(value)), default=math.nan)
