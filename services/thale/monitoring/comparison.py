"""Comparison of the predictions of two model versions for one image."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationPrediction
from thale.monitoring.plate_statistics import PlateStatistics
from thale.monitoring.scoring import match_points
from thale.schemas import Landmark, LandmarkKind, Scale

_PROBABILITY_THRESHOLD = 127
"""Of 255: larger values are more likely than not."""

_MAX_MATCH_DISTANCE_MM = 2.0
_MAX_MATCH_DISTANCE_PX = 20.0
"""Used if the scale is unknown."""


def dice(stable: SegmentationPrediction, shadow: SegmentationPrediction) -> dict[str, float]:
    """Return the Dice coefficient of each organ in at least one of the predictions, in the frame of stable."""
    rows, columns = _nearest_pixels(stable.meta.frame, shadow.meta.frame)
    coefficients: dict[str, float] = {}
    for organ in stable.meta.classes[1:]:
        stable_mask = stable.class_probability(organ) > _PROBABILITY_THRESHOLD
        shadow_mask = shadow.class_probability(organ)[np.ix_(rows, columns)] > _PROBABILITY_THRESHOLD
        if total := int(np.count_nonzero(stable_mask) + np.count_nonzero(shadow_mask)):
            coefficients[organ] = 2 * int(np.count_nonzero(stable_mask & shadow_mask)) / total
    return coefficients


def _nearest_pixels(target: Frame, other: Frame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of `other` that are nearest to those of `target`; both frames show the same image."""

    def nearest_indices(axis: int, count: int, size: int) -> NDArray[np.intp]:
        diagonal_N2 = np.repeat(np.arange(count, dtype=np.float64)[:, None], 2, axis=1)
        positions_N = other.from_source(target.to_source(diagonal_N2))[:, axis]
        return np.clip(np.rint(positions_N), 0, size - 1).astype(np.intp)

    return nearest_indices(1, target.height, other.height), nearest_indices(0, target.width, other.width)


def match_landmarks(
    stable: Sequence[Landmark], shadow: Sequence[Landmark], scale: Scale
) -> tuple[dict[str, list[float]], float | None]:
    """Match the landmarks of each kind one to one, at minimum total distance.

    Pairs at a distance of 2 mm or more do not match. The limit is 20 px if the scale is unknown.

    Returns:
        The distances (source px) of the matched pairs by kind, and the F1 score, None without any landmarks.
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
    # The cost cap minimises the total distance and does not maximise the number of pairs. A landmark that moved beyond
    # the limit therefore does not separate two nearby pairs.
    pairs = match_points(stable_N2, shadow_M2, max_distance_px, out_of_range_cost=max_distance_px)
    distances_NM = cdist(stable_N2, shadow_M2)
    return [float(distances_NM[pair]) for pair in pairs if distances_NM[pair] < max_distance_px]


def relative_differences(stable: PlateStatistics, shadow: PlateStatistics) -> dict[str, float]:
    """Return |shadow - stable| / |stable| of each trait.

    NaN and zero count as no value. The difference is 1 if only one version has a value. Traits without any value are
    omitted. Both statistics describe the same image, so different scales count as a difference of the traits.
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
