"""Tolerance of each trait: the largest error of a value that is still right, and the unit of its error model.

A length, an area or a ratio is right within 5 %. A count is right within 5 % or half a plant or root. An angle is right
within 2 degrees, and a position within 1 mm, the accuracy that a robot needs to touch a root tip.
"""

from typing import Literal

from thale.phenotyping.traits.table import TRAITS

MAX_RELATIVE_ERROR = 0.05
MAX_COUNT_ERROR = 0.5
MAX_ANGLE_ERROR_DEG = 2.0
MAX_POSITION_ERROR_MM = 1.0
MIN_LENGTH_ERROR_MM = 0.1
"""Accuracy of one end of a root: about two pixels. A length of less than 2 mm is right within this error."""

_POSITIONS = {"primary_tip_x", "primary_tip_y", "primary_tip_from_base_x", "primary_tip_from_base_y"}
_COUNTS = {"lateral_root_count", "leaf_count", "plant_count", "ungerminated_count", "plate_lateral_root_count"}
_MIN_SCALE = {"length": 10.0, "area": 20.0, "per_length": 0.02, "number": 0.05, "angle": 1.0}
"""Least size of a value in mm, mm2, 1/mm or 1 for the relative error. A plant of which little root was found would
otherwise widen the intervals of all plants."""
_MIN_SHORT_LENGTH = 1.0
"""The same for lengths and diameters that are short on every plant."""

Kind = Literal["relative", "count", "angle", "position"]


def kind_of(trait: str) -> Kind:
    """Return how errors of a trait are measured."""
    if trait in _POSITIONS:
        return "position"
    if trait in _COUNTS:
        return "count"
    return "angle" if TRAITS[trait].dimension == "angle" else "relative"


def max_error(trait: str, true: float) -> float:
    """Return the largest error of a value that is right, in the unit of the trait with a known scale."""
    kind = kind_of(trait)
    if kind == "position":
        return MAX_POSITION_ERROR_MM
    if kind == "angle":
        return MAX_ANGLE_ERROR_DEG
    relative = MAX_RELATIVE_ERROR * abs(true)
    if kind == "count":
        return max(relative, MAX_COUNT_ERROR)
    is_length = TRAITS[trait].dimension == "length" and not trait.endswith("_diameter")
    return max(relative, MIN_LENGTH_ERROR_MM) if is_length else relative


def is_right(trait: str, value: float, true: float) -> bool:
    """Return True if the error of a value is within the tolerance. False for NaN."""
    return abs(value - true) <= max_error(trait, true)


def error_unit(trait: str, value: float) -> float:
    """Return the size of an error of 1 in the error model: the value itself, or 1 mm or degree for a position."""
    kind = kind_of(trait)
    if kind in ("position", "angle"):
        return 1.0
    if kind == "count" or trait.endswith("_diameter") or trait == "mean_lateral_root_length":
        return max(abs(value), _MIN_SHORT_LENGTH)
    return max(abs(value), _MIN_SCALE[TRAITS[trait].dimension])
