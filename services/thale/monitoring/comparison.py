"""Comparison."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationAnswer
from thale.monitoring.plate_statistics import Observation
from thale.schemas import Landmark, LandmarkKind, Scale


@dataclass(frozen=True)
class Difference:
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
    def agreement(self) -> float:
        """The worst of all figures: 1 is the same answer, 0 or less nothing in common."""
        f1 = [] if self.landmark_f1 is None else [self.landmark_f1]
        return min([*self.dice.values(), *f1, *(1 - difference for difference in self.traits.values())], default=1.0)


_LIKELY = 127  # of 255: more likely than not


_SAME_MARK_MM = 2.0


_SAME_MARK_PX = 20.0  # where the scale is unknown


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
