"""How far a shadow's answer is from the stable version's, run in the process for comparisons."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from thale.answers import SegmentationAnswer
from thale.contract import Landmark, LandmarkKind, Scale
from thale.facade.jobs import Comparison
from thale.facade.measuring import find
from thale.facade.observing import Difference, Observation
from thale.facade.signals import observe
from thale.geometry import Frame

_LIKELY = 127  # of 255: more likely than not
_SAME_MARK_MM = 2.0
_SAME_MARK_PX = 20.0  # where the scale is unknown


def compare(pair: Comparison) -> Difference:
    """Return how far the shadow is from the stable version: in pixels, in landmarks, and in what users get, traits.

    Raises:
        ModelNonsenseError: If an answer cannot be one.
    """
    if pair.shadow.choice.task == "segmentation":
        segmentation, landmarks = pair.shadow.segmentation(), pair.companion.landmarks()
        kinds = pair.companion.choice.classes
        said = Difference(dice=dice(pair.stable.segmentation(), segmentation))
    else:
        segmentation, landmarks = pair.companion.segmentation(), pair.shadow.landmarks()
        kinds = pair.shadow.choice.classes
        scale, stable = segmentation.meta.calibration.scale, pair.stable.landmarks()
        distances_px, f1 = match(stable.landmarks, landmarks.landmarks, scale)
        said = Difference(landmark_px=distances_px, landmark_f1=f1)
    seen = observe(find(segmentation, landmarks, pair.work), landmarks.landmarks, kinds)
    return replace(said, traits=relative_differences(pair.seen, seen))


def dice(stable: SegmentationAnswer, shadow: SegmentationAnswer) -> dict[str, float]:
    """Return the Dice coefficient of each organ that either answer sees, in the stable answer's frame."""
    rows, columns = _same_pixels(stable.meta.frame, shadow.meta.frame)
    coefficients: dict[str, float] = {}
    for organ in stable.meta.classes[1:]:
        one = stable.plane(organ) > _LIKELY
        other = shadow.plane(organ)[np.ix_(rows, columns)] > _LIKELY
        if total := int(np.count_nonzero(one) + np.count_nonzero(other)):
            coefficients[organ] = 2 * int(np.count_nonzero(one & other)) / total
    return coefficients


def _same_pixels(wanted: Frame, given: Frame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which rows and columns of a frame lie nearest to those of another frame of the same image."""

    def nearest(axis: int, count: int, limit: int) -> NDArray[np.intp]:
        diagonal_N2 = np.repeat(np.arange(count, dtype=np.float64)[:, None], 2, axis=1)
        places_N = given.from_source(wanted.to_source(diagonal_N2))[:, axis]
        return np.clip(np.rint(places_N), 0, limit - 1).astype(np.intp)

    return nearest(1, wanted.height, given.height), nearest(0, wanted.width, given.width)


def match(
    stable: Sequence[Landmark], shadow: Sequence[Landmark], scale: Scale
) -> tuple[dict[str, list[float]], float | None]:
    """Pair landmarks of a kind so that their distances are least together; pairs further than 2 mm are none.

    Returns:
        The distances (source px) of the pairs by kind, and the F1 score, None where neither marks anything.
    """
    reach_px = _SAME_MARK_MM / scale.mm_per_px if scale.known else _SAME_MARK_PX
    kinds: list[LandmarkKind] = sorted({mark.kind for mark in (*stable, *shadow)})
    distances_px: dict[str, list[float]] = {
        kind: _distances(_places(stable, kind), _places(shadow, kind), reach_px) for kind in kinds
    }
    total = len(stable) + len(shadow)
    return distances_px, 2 * sum(map(len, distances_px.values())) / total if total else None


def _places(marks: Sequence[Landmark], kind: str) -> NDArray[np.float64]:
    return np.array([(mark.x, mark.y) for mark in marks if mark.kind == kind], np.float64).reshape(-1, 2)


def _distances(stable_N2: NDArray[np.float64], shadow_M2: NDArray[np.float64], reach_px: float) -> list[float]:
    apart_NM = cdist(stable_N2, shadow_M2)
    # A pair out of reach costs the same however far it is, so that it never draws two good pairs apart.
    pairs = linear_sum_assignment(np.minimum(apart_NM, reach_px))
    return [float(apart) for apart in apart_NM[pairs] if apart < reach_px]


def relative_differences(stable: Observation, shadow: Observation) -> dict[str, float]:
    """Return |shadow - stable| / |stable| of each trait: 1 where only one of them has it, left out where neither has.

    Both are plates of one image at one scale; where the scales differ, the traits do, and that is a difference.
    """
    return {
        trait: _relative(value, shadow.traits.get(trait, math.nan))
        for trait, value in stable.traits.items()
        if _has(value) or _has(shadow.traits.get(trait, math.nan))
    }


def _has(value: float) -> bool:
    return not math.isnan(value) and value != 0


def _relative(stable: float, shadow: float) -> float:
    return abs(shadow - stable) / abs(stable) if _has(stable) and _has(shadow) else 1.0
