"""Comparison."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationPrediction
from thale.monitoring.plate_statistics import PlateStatistics
from thale.schemas import Landmark, LandmarkKind, Scale


@dataclass(frozen=True)
class ShadowDifference:
    """How far a shadow's answer is from the stable version's, about one plate."""

    dice: Mapping[str, float] = field(default_factory=dict)
    """Dice coefficient of each organ that either sees."""
    landmark_px: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Distances of the landmarks that match, by kind."""
    landmark_f1: float | None = None
    """None where neither marks anything."""
    traits: Mapping[str, float] = field(default_factory=dict)
    """Relative differences of a plate's main traits; 1 where only one of the two versions knows the trait."""

    @property
    def agreement_score(self) -> float:
        """The worst of all figures: 1 is the same answer, 0 or less nothing in common."""
        f1_scores = [] if self.landmark_f1 is None else [self.landmark_f1]
        return min(
            [*self.dice.values(), *f1_scores, *(1 - difference for difference in self.traits.values())], default=1.0
        )


_PROBABILITY_THRESHOLD = 127  # of 255: more likely than not


_MAX_MATCH_DISTANCE_MM = 2.0


_MAX_MATCH_DISTANCE_PX = 20.0  # where the scale is unknown


def dice(stable: SegmentationPrediction, shadow: SegmentationPrediction) -> dict[str, float]:
    """Return the Dice coefficient of each organ that either answer sees, in the stable answer's frame."""
    rows, columns = _nearest_pixels(stable.meta.frame, shadow.meta.frame)
    coefficients: dict[str, float] = {}
    for organ in stable.meta.classes[1:]:
        stable_mask = stable.class_probability(organ) > _PROBABILITY_THRESHOLD
        shadow_mask = shadow.class_probability(organ)[np.ix_(rows, columns)] > _PROBABILITY_THRESHOLD
        if total := int(np.count_nonzero(stable_mask) + np.count_nonzero(shadow_mask)):
            coefficients[organ] = 2 * int(np.count_nonzero(stable_mask & shadow_mask)) / total
    return coefficients


def _nearest_pixels(target: Frame, other: Frame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which rows and columns of a frame lie nearest to those of another frame of the same image."""

    def nearest_indices(axis: int, count: int, size: int) -> NDArray[np.intp]:
        diagonal_N2 = np.repeat(np.arange(count, dtype=np.float64)[:, None], 2, axis=1)
        positions_N = other.from_source(target.to_source(diagonal_N2))[:, axis]
        return np.clip(np.rint(positions_N), 0, size - 1).astype(np.intp)

    return nearest_indices(1, target.height, other.height), nearest_indices(0, target.width, other.width)


def match_landmarks(
    stable: Sequence[Landmark], shadow: Sequence[Landmark], scale: Scale
) -> tuple[dict[str, list[float]], float | None]:
    """Pair landmarks of a kind so that their distances are least together; pairs further than 2 mm are none.

    Returns:
        The distances (source px) of the pairs by kind, and the F1 score, None where neither marks anything.
    """
    max_distance_px = _MAX_MATCH_DISTANCE_MM / scale.mm_per_px if scale.is_known else _MAX_MATCH_DISTANCE_PX
    kinds: list[LandmarkKind] = sorted({landmark.kind for landmark in (*stable, *shadow)})
    distances_px: dict[str, list[float]] = {
        kind: _matched_distances(_landmark_points(stable, kind), _landmark_points(shadow, kind), max_distance_px)
        for kind in kinds
    }
    total = len(stable) + len(shadow)
    return distances_px, 2 * sum(map(len, distances_px.values())) / total if total else None


def _landmark_points(landmarks: Sequence[Landmark], kind: str) -> NDArray[np.float64]:
    return np.array([(landmark.x, landmark.y) for landmark in landmarks if landmark.kind == kind], np.float64).reshape(
        -1, 2
    )


def _matched_distances(
    stable_N2: NDArray[np.float64], shadow_M2: NDArray[np.float64], max_distance_px: float
) -> list[float]:
    distances_NM = cdist(stable_N2, shadow_M2)
    # A pair out of reach costs the same however far it is, so that it never draws two good pairs apart.
    pairs = linear_sum_assignment(np.minimum(distances_NM, max_distance_px))
    return [float(distance) for distance in distances_NM[pairs] if distance < max_distance_px]


def relative_differences(stable: PlateStatistics, shadow: PlateStatistics) -> dict[str, float]:
    """Return |shadow - stable| / |stable| of each trait: 1 where only one of them has it, left out where neither has.

    Both are plates of one image at one scale; where the scales differ, the traits do, and that is a difference.
    """
    return {
        trait: _relative_difference(value, shadow.traits.get(trait, math.nan))
        for trait, value in stable.traits.items()
        if _is_measured(value) or _is_measured(shadow.traits.get(trait, math.nan))
    }


def _is_measured(value: float) -> bool:
    return not math.isnan(value) and value != 0


def _relative_difference(stable: float, shadow: float) -> float:
    return abs(shadow - stable) / abs(stable) if _is_measured(stable) and _is_measured(shadow) else 1.0
