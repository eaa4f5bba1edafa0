"""Reference distributions of plate statistics, which a rollout compares with the output of a canary.

The facade records the same signals per request, by the same function (`thale.monitoring.plate_statistics`). A
difference between a card and a facade is therefore never a difference of definition.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from thale.monitoring.plate_statistics import plate_statistics
from thale.schemas import Task
from thale_models.evaluation.plate_scores import EvaluatedPlate

QUANTILES = np.linspace(0.0, 1.0, 21)

PlateSignals = dict[Task, dict[str, float]]
"""Signals of one plate, by the task of the model that they describe."""


def plate_signals(evaluated: EvaluatedPlate, kinds: Iterable[str]) -> PlateSignals:
    """Return the signals of one plate. It is empty without both models, because plants need both.

    Args:
        evaluated: The evaluated plate.
        kinds: The landmark kinds of the landmark model.
    """
    if evaluated.phenotype is None or evaluated.points is None:
        return {}
    statistics = plate_statistics(evaluated.phenotype, evaluated.points.landmarks, kinds)
    segmentation = {"plants": float(statistics.plants)}
    segmentation |= {f"{organ}_area_mm2": area for organ, area in statistics.area_mm2.items()}
    segmentation |= {f"{organ}_confidence": confidence for organ, confidence in statistics.confidence.items()}
    landmarks = {f"landmarks_{kind}": float(count) for kind, count in statistics.landmarks.items()}
    if statistics.mean_landmark_score is not None:
        landmarks["score"] = statistics.mean_landmark_score
    return {"segmentation": segmentation, "landmarks": landmarks}


def reference_distributions(plates: Iterable[PlateSignals]) -> dict[Task, dict[str, tuple[float, ...]]]:
    """Return the quantiles 0, 5, …, 100 % of every signal, by task."""
    values: dict[Task, defaultdict[str, list[float]]] = {}
    for plate in plates:
        for task, signals in plate.items():
            for name, value in signals.items():
                values.setdefault(task, defaultdict(list))[name].append(value)
    return {
        task: {name: tuple(np.quantile(signal_values, QUANTILES).tolist()) for name, signal_values in signals.items()}
        for task, signals in values.items()
    }
