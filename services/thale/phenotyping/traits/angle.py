"""Angles of the primary root and of the laterals, and the tortuosity of the primary root."""

import math

import numpy as np

from thale.phenotyping.traits.length import lateral_roots, primary_root
from thale.phenotyping.traits.shape import tip_from_base
from thale.schemas import Plant, Plate


def primary_root_angle(plant: Plant, plate: Plate | None) -> float:
    """Return the angle between the plate's vertical and the line from base to tip, degrees: positive to the right."""
    right, down = tip_from_base(plant, plate)
    if not (math.isfinite(right) and math.hypot(right, down) > 0):
        return math.nan
    return math.degrees(math.atan2(right, down))


def primary_root_tortuosity(plant: Plant) -> float:
    """Return the primary root's length over the distance from its base to its tip: 1 for a straight root."""
    root = primary_root(plant)
    distance = float(np.hypot(*tip_from_base(plant)))
    return root.length_px / distance if root is not None and distance > 0 else math.nan


def lateral_insertion_angle(plant: Plant) -> float:
    """Return the mean insertion angle of the laterals, degrees; NaN if none is known."""
    angles = [root.insertion_angle_deg for root in lateral_roots(plant)]
    known = [angle for angle in angles if math.isfinite(angle)]
    return float(np.mean(known)) if known else math.nan
