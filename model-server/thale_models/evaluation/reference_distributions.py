"""What models say of whole plates: the reference distributions that a rollout compares a canary's answers with.

The signals are those that the facade counts per request (`thale.monitoring.plate_statistics`), by the same function, so a difference
between a card and a facade is never one of definition.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from thale.monitoring.plate_statistics import observe
from thale.schemas import Task
from thale_models.evaluation.plate_scores import Measured

QUANTILES = np.linspace(0.0, 1.0, 21)

Said = dict[Task, dict[str, float]]
"""One plate's signals, by the task of the model that they are about."""


def said(measured: Measured, kinds: Iterable[str]) -> Said:
    """Return the signals of one plate; none without both models, because plants need both.

    Args:
        measured: What the models say of the plate.
        kinds: The landmarks that the landmark model looks for.
    """
    if measured.phenotype is None or measured.points is None:
        return {}
    seen = observe(measured.phenotype, measured.points.landmarks, kinds)
    segmentation = {"plants": float(seen.plants)}
    segmentation |= {f"{organ}_area_mm2": area for organ, area in seen.area_mm2.items()}
    segmentation |= {f"{organ}_confidence": confidence for organ, confidence in seen.confidence.items()}
    landmarks = {f"landmarks_{kind}": float(found) for kind, found in seen.landmarks.items()}
    if seen.score is not None:
        landmarks["score"] = seen.score
    return {"segmentation": segmentation, "landmarks": landmarks}


def references(plates: Iterable[Said]) -> dict[Task, dict[str, tuple[float, ...]]]:
    """Return the quantiles 0, 5, … 100 % of every signal, by task."""
    values: dict[Task, defaultdict[str, list[float]]] = {}
    for plate in plates:
        for task, signals in plate.items():
            for name, value in signals.items():
                values.setdefault(task, defaultdict(list))[name].append(value)
    return {
        task: {name: tuple(np.quantile(known, QUANTILES).tolist()) for name, known in signals.items()}
        for task, signals in values.items()
    }
