"""Shape of a root system: extents and the position of the primary tip, in source pixels; NaN if not visible.

Horizontal and vertical are the axes of the plate, or those of the image without a plate.
"""

import math

import numpy as np
from numpy.typing import NDArray

from thale.phenotyping.traits.length import primary_root
from thale.phenotyping.traits.plate_axes import plate_axes
from thale.schemas import Plant, Plate


def root_system_width(plant: Plant, plate: Plate | None) -> float:
    """Return the horizontal extent of all root centre lines."""
    return _extent(plant, plate, 0)


def root_system_depth(plant: Plant, plate: Plate | None) -> float:
    """Return the vertical extent of all root centre lines."""
    return _extent(plant, plate, 1)


def width_depth_ratio(plant: Plant, plate: Plate | None) -> float:
    """Return width over depth of the root system."""
    depth = root_system_depth(plant, plate)
    return root_system_width(plant, plate) / depth if depth > 0 else math.nan


def _extent(plant: Plant, plate: Plate | None, axis: int) -> float:
    points = [point for root in plant.roots for point in root.points]
    return float(np.ptp(np.array(points) @ plate_axes(plate)[axis])) if points else math.nan


def tip_from_base(plant: Plant, plate: Plate | None = None) -> NDArray[np.float64]:
    """Return the primary tip's position (right, down) relative to the root base; NaN without a visible root."""
    root = primary_root(plant)
    if root is None:
        return np.full(2, math.nan)
    offset: NDArray[np.float64] = plate_axes(plate) @ np.subtract(root.points[-1], root.points[0])
    return offset


def tip_from_plate_corner(plant: Plant, plate: Plate | None) -> NDArray[np.float64]:
    """Return the primary tip's position along the plate's upper edge and perpendicular to it.

    The origin is the plate's top left corner, so the values do not depend on the tilt of the plate.
    """
    root = primary_root(plant)
    if root is None or plate is None:
        return np.full(2, math.nan)
    corner = plate.corners[0]
    offset: NDArray[np.float64] = plate_axes(plate) @ np.subtract(root.points[-1], (corner.x, corner.y))
    return offset
