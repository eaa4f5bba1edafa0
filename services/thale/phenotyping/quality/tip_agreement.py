"""Tip agreement: checks the ends of primary roots against each other and against the tips of the landmark model.

The landmark model finds root tips without tracing. A primary root that was traced into a neighbour, or that ends where
the segmentation ends, has no primary tip at its end. Two primary roots with the same end are one root, and the other is
missing. ADR 0112 has the measured rates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag, Landmark, Plant, Point, Scale

MAX_TIP_DISTANCE_MM = 2.0
MAX_SHARED_DISTANCE_MM = 1.0
ASSUMED_MM_PER_PX = 0.05
"""Scale for these distances if the image has none."""


def flag_doubtful_tips(plants: Sequence[Plant], landmarks: Sequence[Landmark], scale: Scale) -> tuple[Plant, ...]:
    """Return the plants with flags for primary roots whose end is doubtful.

    `tip_unconfirmed`: the landmark model has no primary tip near the end. `tip_shared`: the primary root of another
    plant has the same end.

    Args:
        plants: Reconstructed plants.
        landmarks: All landmarks of the image.
        scale: Scale of the image.
    """
    mm_per_px = scale.mm_per_px if scale.is_known else ASSUMED_MM_PER_PX
    tips_N2 = _points([(tip.x, tip.y) for tip in landmarks if tip.kind == "primary_tip"])
    ends = {plant.id: root.points[-1] for plant in plants for root in plant.roots if root.order == 1}
    flagged = []
    for plant in plants:
        flags = []
        if plant.id in ends:
            end = ends[plant.id]
            others_N2 = _points([other for plant_id, other in ends.items() if plant_id != plant.id])
            at = Point(x=end[0], y=end[1])
            if _distance(end, others_N2) * mm_per_px <= MAX_SHARED_DISTANCE_MM:
                message = "the primary roots of two plants have the same tip: one of them was traced into the other"
                flags.append(Flag(code="tip_shared", message=message, at=at))
            if _distance(end, tips_N2) * mm_per_px > MAX_TIP_DISTANCE_MM:
                message = (
                    "the landmark model found no tip at the end of the primary root: the root may be longer, or it may "
                    "have been traced into another root; check the overlay"
                )
                flags.append(Flag(code="tip_unconfirmed", message=message, at=at))
        flagged.append(plant.model_copy(update={"flags": (*plant.flags, *flags)}) if flags else plant)
    return tuple(flagged)


def _points(points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    return np.array(points, float).reshape(-1, 2)


def _distance(point: tuple[float, float], others_N2: NDArray[np.float64]) -> float:
    """Return the distance to the nearest of the others in source pixels; infinity without others."""
    return float(np.hypot(*(others_N2 - point).T).min(initial=np.inf))
