"""Tip agreement: checks the end of each primary root against the tips of the landmark model.

The landmark model finds root tips without tracing. A primary root that was traced into a neighbour, or that ends where
the segmentation ends, has no primary tip at its end. ADR 0112 has the measured rates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag, Landmark, Plant, Point, Scale

MAX_TIP_DISTANCE_MM = 2.0
MAX_TIP_DISTANCE_PX = 40.0
"""Maximum distance without a scale, in source pixels: 2 mm at 20 px/mm."""


def flag_unconfirmed_tips(plants: Sequence[Plant], landmarks: Sequence[Landmark], scale: Scale) -> tuple[Plant, ...]:
    """Return the plants, flagged `tip_unconfirmed` if the landmark model has no tip near their primary root's end.

    Args:
        plants: Reconstructed plants.
        landmarks: All landmarks of the image.
        scale: Scale of the image.
    """
    max_distance = MAX_TIP_DISTANCE_MM / scale.mm_per_px if scale.is_known else MAX_TIP_DISTANCE_PX
    tips_N2 = np.array([(tip.x, tip.y) for tip in landmarks if tip.kind == "primary_tip"], float).reshape(-1, 2)
    return tuple(_check(plant, tips_N2, max_distance) for plant in plants)


def _check(plant: Plant, tips_N2: NDArray[np.float64], max_distance: float) -> Plant:
    end = next((root.points[-1] for root in plant.roots if root.order == 1), None)
    if end is None:
        return plant
    distances = np.hypot(*(tips_N2 - end).T)
    if len(distances) and distances.min() <= max_distance:
        return plant
    message = (
        "the landmark model found no tip at the end of the primary root: the root may be longer, or it may have been "
        "traced into another root; check the overlay"
    )
    flag = Flag(code="tip_unconfirmed", message=message, at=Point(x=end[0], y=end[1]))
    return plant.model_copy(update={"flags": (*plant.flags, flag)})
