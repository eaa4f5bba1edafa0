"""Root diameters of a plant in source pixels. The diameter of each root is measured where it is traced."""

import math

from thale.phenotyping.traits.length import primary_root
from thale.schemas import Plant

_MIN_KNOWN_SHARE = 0.9
"""Minimum share of the root length with a known diameter. The diameter is unknown for thin roots above all, so that a
mean over the remaining roots would be too large."""


def primary_root_diameter(plant: Plant) -> float:
    """Return the mean diameter of the primary root; NaN if it is unknown."""
    root = primary_root(plant)
    return root.diameter_px if root is not None else math.nan


def root_diameter(plant: Plant) -> float:
    """Return the mean diameter of the roots, weighted by length; NaN if unknown for more than 10 % of the length."""
    known = [root for root in plant.roots if math.isfinite(root.diameter_px)]
    known_px = sum(root.length_px for root in known)
    if known_px <= 0 or known_px < _MIN_KNOWN_SHARE * sum(root.length_px for root in plant.roots):
        return math.nan
    return sum(root.diameter_px * root.length_px for root in known) / known_px
