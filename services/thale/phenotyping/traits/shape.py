"""Shape of a root system: extents and the position of the primary tip, in source pixels; NaN if not visible."""

import math

import numpy as np
from numpy.typing import NDArray

from thale.phenotyping.traits.length import primary_root
from thale.schemas import Plant, Plate


def root_system_width(plant: Plant) -> float:
    """Return the horizontal extent of all root centre lines."""
    return _extent(plant, 0)


def root_system_depth(plant: Plant) -> float:
    """Return the vertical extent of all root centre lines."""
    return _extent(plant, 1)


def width_depth_ratio(plant: Plant) -> float:
    """Return width over depth of the root system."""
    depth = root_system_depth(plant)
    return root_system_width(plant) / depth if depth > 0 else math.nan


def _extent(plant: Plant, axis: int) -> float:
    values = [point[axis] for root in plant.roots for point in root.points]
    return max(values) - min(values) if values else math.nan


def tip_from_base(plant: Plant) -> NDArray[np.float64]:
    """Return the primary tip's position (right, down) relative to the root base; NaN without a visible root."""
    root = primary_root(plant)
    if root is None:
        return np.full(2, math.nan)
    return np.subtract(root.points[-1], root.points[0])


def tip_from_plate_corner(plant: Plant, plate: Plate | None) -> NDArray[np.float64]:
    """Return the primary tip's position along the plate's upper edge and perpendicular to it.

    The origin is the plate's top left corner, so the values do not depend on the tilt of the plate.
    """
    root = primary_root(plant)
    if root is None or plate is None:
        return np.full(2, math.nan)
    corner, right = (np.array([point.x, point.y]) for point in plate.corners[:2])
    along = (right - corner) / np.hypot(*(right - corner))
    down = np.array([-along[1], along[0]])
    offset = np.array(root.points[-1]) - corner
    return np.array([offset @ along, offset @ down])
