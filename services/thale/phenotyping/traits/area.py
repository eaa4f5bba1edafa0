"""Areas in square source pixels; `measure` converts them to square millimetres. NaN for organs that are not visible."""

import math

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from thale.schemas import OrganKind, Plant


def organ_area(plant: Plant, kind: OrganKind) -> float:
    """Return the projected area of one kind of organ; NaN if it is not visible."""
    areas = [organ.area_px for organ in plant.organs if organ.kind == kind]
    return sum(areas) if areas else math.nan


def shoot_area(plant: Plant) -> float:
    """Return the projected area of the shoot."""
    return organ_area(plant, "shoot")


def root_shoot_area_ratio(plant: Plant) -> float:
    """Return the projected area of the root system over that of the shoot."""
    shoot = organ_area(plant, "shoot")
    return organ_area(plant, "root") / shoot if shoot > 0 else math.nan


def convex_hull_area(plant: Plant) -> float:
    """Return the area of the convex hull of all root centre lines; zero for a straight root."""
    points = [point for root in plant.roots for point in root.points]
    if not points:
        return math.nan
    if len(points) < 3:
        return 0.0
    try:
        return float(ConvexHull(np.array(points)).volume)
    except QhullError:
        return 0.0
