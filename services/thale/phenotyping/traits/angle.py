"""Angle and tortuosity of the primary root. Gravity points down in the image."""

import math

import numpy as np

from thale.phenotyping.traits.length import primary_root
from thale.phenotyping.traits.shape import tip_from_base
from thale.schemas import Plant


def primary_root_angle(plant: Plant) -> float:
    """Return the angle between gravity and the line from base to tip, degrees: positive to the image's right."""
    right, down = tip_from_base(plant)
    if not (math.isfinite(right) and math.hypot(right, down) > 0):
        return math.nan
    return math.degrees(math.atan2(right, down))


def primary_root_tortuosity(plant: Plant) -> float:
    """Return the primary root's length over the distance from its base to its tip: 1 for a straight root."""
    root = primary_root(plant)
    distance = float(np.hypot(*tip_from_base(plant)))
    return root.length_px / distance if root is not None and distance > 0 else math.nan
