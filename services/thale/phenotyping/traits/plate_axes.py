"""Axes of a plate in the image: along its upper edge, and perpendicular to it."""

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Plate

IMAGE_AXES = np.eye(2)


def plate_axes(plate: Plate | None) -> NDArray[np.float64]:
    """Return the unit vectors (right, down) of a plate in the image, or those of the image without a plate.

    A plate is upright while the plants grow. Its vertical axis is the direction of gravity, whatever the tilt of
    the photograph.
    """
    if plate is None:
        return IMAGE_AXES
    corner, right_corner = (np.array([point.x, point.y]) for point in plate.corners[:2])
    right = (right_corner - corner) / np.hypot(*(right_corner - corner))
    return np.array([right, [-right[1], right[0]]])
