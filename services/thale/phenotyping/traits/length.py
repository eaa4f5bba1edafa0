"""Lengths and counts of roots in source pixels; `measure` converts pixels to millimetres.

Traits of a plant without a visible root are NaN, never zero.
"""

import math

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Plant, Root

UNKNOWN = math.nan


def primary_root(plant: Plant) -> Root | None:
    """Return the primary root; None if it is not visible."""
    return next((root for root in plant.roots if root.order == 1), None)


def lateral_roots(plant: Plant) -> list[Root]:
    """Return the lateral roots of every order."""
    return [root for root in plant.roots if root.order > 1]


def primary_root_length(plant: Plant) -> float:
    """Return the length of the primary root's centre line."""
    root = primary_root(plant)
    return root.length_px if root is not None else UNKNOWN


def total_root_length(plant: Plant) -> float:
    """Return the total length of all centre lines of the plant."""
    return sum(root.length_px for root in plant.roots) if plant.roots else UNKNOWN


def lateral_root_count(plant: Plant) -> float:
    """Return the number of laterals of every order: zero for a primary without laterals, NaN without roots."""
    return float(len(lateral_roots(plant))) if plant.roots else UNKNOWN


def lateral_root_length(plant: Plant) -> float:
    """Return the total length of all laterals."""
    return float(sum(root.length_px for root in lateral_roots(plant))) if plant.roots else UNKNOWN


def mean_lateral_root_length(plant: Plant) -> float:
    """Return the mean length of the laterals; NaN without laterals."""
    lengths = [root.length_px for root in lateral_roots(plant)]
    return float(np.mean(lengths)) if lengths else UNKNOWN


def insertion_positions(plant: Plant) -> NDArray[np.float64]:
    """Return the arc length from the base to each first-order lateral along the primary root, ascending."""
    root = primary_root(plant)
    if root is None:
        return np.zeros(0)
    line = np.array(root.points)
    steps = np.hypot(*np.diff(line, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    origins = [lateral.points[0] for lateral in lateral_roots(plant) if lateral.parent == root.id]
    return np.sort([_arc_position(line, steps, arc, np.array(origin)) for origin in origins])


def _arc_position(
    line_N2: NDArray[np.float64], steps: NDArray[np.float64], arc: NDArray[np.float64], point: NDArray[np.float64]
) -> float:
    """Return the arc length at the point of a polyline that is nearest to `point`."""
    along = np.diff(line_N2, axis=0)
    share = np.sum((point - line_N2[:-1]) * along, axis=1) / np.maximum(steps**2, 1e-12)
    share = np.clip(share, 0, 1)
    projections = line_N2[:-1] + share[:, None] * along
    nearest = int(np.argmin(np.hypot(*(projections - point).T)))
    return float(arc[nearest] + share[nearest] * steps[nearest])


def branched_zone_length(plant: Plant) -> float:
    """Return the length of the primary root between its first and last lateral; zero for fewer than two laterals."""
    if primary_root(plant) is None:
        return UNKNOWN
    positions = insertion_positions(plant)
    return float(positions[-1] - positions[0]) if len(positions) > 1 else 0.0


def lateral_density(plant: Plant) -> float:
    """Return the number of first-order laterals per unit length of the primary root."""
    length = primary_root_length(plant)
    return len(insertion_positions(plant)) / length if length > 0 else UNKNOWN


def lateral_density_of_branched_zone(plant: Plant) -> float:
    """Return the number of first-order laterals per unit length of the branched zone; NaN for fewer than two."""
    zone = branched_zone_length(plant)
    return len(insertion_positions(plant)) / zone if zone > 0 else UNKNOWN
