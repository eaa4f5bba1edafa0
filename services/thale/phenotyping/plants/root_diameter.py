"""Mean diameter of each traced root, from the distance transform of the root probability at 0.5 and above.

The distance is measured to the contour of the probability at 0.5, interpolated between pixels. A distance transform of
the binary mask measures to pixel centres, and is too large by up to one pixel. The mask of the tracing is not used: it
has a lower threshold, filled holes and added paths. Diameters by distance transform: Seethepalli et al. 2021,
RhizoVision Explorer, AoB PLANTS 13, plab056, doi:10.1093/aobpla/plab056.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.imaging.components import find_pixels
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps

_THRESHOLD = 127.5
"""Probability 0.5 in steps of 1/255."""

_MIN_DIAMETER_PX = 4.5
"""Minimum diameter in pixels of the frame and of the image. Below, the prediction is wider than the root.

Training masks are at least 2.5 px wide, and a network widens thin lines further: roots of 2 to 2.75 px are predicted
1.4 px too wide, roots of 3.5 to 5 px 0.3 px, and thicker roots 0.0 px (`benchmarks/root_geometry.py`, ADR 0118).
"""

_STEP_PX = 2.0
_SHIFTS_PX = np.arange(-2.0, 2.25, 0.5)
"""Positions across a centre line at which the distance is measured: the line can miss the middle of the root."""

_MAX_RADIUS_MM = 1.0
_END_MM = 0.3
"""Sections at the ends of a line that are not measured: the root tapers, or another organ covers it."""

_MIN_SAMPLES = 5
_MAX_SHOOT = 64
"""Maximum probability of shoot (255 is certain) at a root's edge. At a higher one, the edge is that of a shoot."""


def measure_diameters(lines: Sequence[Points], maps: ProbabilityMaps) -> list[float]:
    """Return the mean diameter of each root in frame px.

    It is NaN for a root of less than 4.5 px, and if fewer than five sections of the root can be measured.

    Args:
        lines: Centre lines in frame px, of all roots of the image.
        maps: The probability maps of the image.
    """
    sections = [_sections(line, maps) for line in lines]
    contour_N2 = _contour_points(maps.root_HW)
    if not len(contour_N2) or not sections:
        return [math.nan] * len(lines)
    contour = cKDTree(contour_N2)
    all_sections = np.vstack(sections)
    owner = np.repeat(np.arange(len(sections)), [len(section) for section in sections])
    radius_N, is_edge_N = _radii(all_sections, contour, contour_N2, maps)
    is_clear_N = _distance_to_other_roots(lines, all_sections[:, :2], owner, maps) > 2 * radius_N + 2
    centre_N = polyline.sample(maps.root_HW, all_sections[:, :2]) if len(all_sections) else np.zeros(0)
    is_measured_N = is_edge_N & is_clear_N & (centre_N > _THRESHOLD) & (radius_N < maps.mm_to_px(_MAX_RADIUS_MM))
    min_diameter = _MIN_DIAMETER_PX * max(1.0, maps.frame.factor)
    return [_mean_diameter(radius_N[is_measured_N & (owner == index)], min_diameter) for index in range(len(lines))]


def _mean_diameter(radius_N: NDArray[np.float64], min_diameter: float) -> float:
    """Return the mean diameter, or NaN if it is below the minimum or if there are too few sections."""
    diameter = float(2 * radius_N.mean()) if len(radius_N) >= _MIN_SAMPLES else math.nan
    return diameter if diameter >= min_diameter else math.nan


def _sections(line: Points, maps: ProbabilityMaps) -> NDArray[np.float64]:
    """Return points of a line with its normals (x, y, normal x, normal y), without the sections at its ends."""
    points = polyline.resample(line, _STEP_PX)
    skip = math.ceil(maps.mm_to_px(_END_MM) / _STEP_PX)
    if len(points) <= 2 * skip + 2:
        return np.zeros((0, 4))
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return np.column_stack([points, -along[:, 1], along[:, 0]])[skip:-skip]


def _contour_points(root_HW: NDArray[np.uint8]) -> Points:
    """Return the points (x, y) at which the probability crosses the threshold between adjacent pixels."""
    is_root_HW = root_HW >= math.ceil(_THRESHOLD)  # a comparison with a float would convert the map to float64
    points = []
    for axis in (0, 1):
        rows, cols = find_pixels(np.diff(is_root_HW, axis=axis)).T
        inside = root_HW[rows, cols].astype(float)
        outside = root_HW[rows + (axis == 0), cols + (axis == 1)].astype(float)
        share = (_THRESHOLD - inside) / (outside - inside)
        points.append(np.column_stack([cols + (share if axis == 1 else 0), rows + (share if axis == 0 else 0)]))
    return np.vstack(points)


def _radii(
    sections_N4: NDArray[np.float64], contour: cKDTree, contour_N2: Points, maps: ProbabilityMaps
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the radius at each section, and False where an edge of the root is that of a shoot.

    Across a root of radius r with its middle at c, the distance to the edge is r - |s - c|. The radius follows from the
    distances on both sides of the middle, wherever the middle is between the two.
    """
    if not len(sections_N4):
        return np.zeros(0), np.zeros(0, bool)
    across = sections_N4[:, None, :2] + _SHIFTS_PX[None, :, None] * sections_N4[:, None, 2:]
    distance_NS, nearest_NS = contour.query(across)
    middle_N = np.clip(distance_NS.argmax(axis=1), 1, len(_SHIFTS_PX) - 2)
    rows = np.arange(len(sections_N4))
    sides = ((rows, middle_N - 1), (rows, middle_N + 1))
    radius_N = (distance_NS[sides[0]] + distance_NS[sides[1]]) / 2 + (_SHIFTS_PX[1] - _SHIFTS_PX[0])
    edges = [polyline.sample(maps.shoot_HW, contour_N2[nearest_NS[side]]) for side in sides]
    return radius_N, np.maximum(*edges) < _MAX_SHOOT


def _distance_to_other_roots(
    lines: Sequence[Points], points_N2: Points, owner_N: NDArray[np.intp], maps: ProbabilityMaps
) -> NDArray[np.float64]:
    """Return the distance of each point to the nearest line of another root; infinite beyond twice the maximum radius.

    A line has a point at each pixel, so the nearest points of a point's own line are closer than those of others.
    """
    reach = 2 * maps.mm_to_px(_MAX_RADIUS_MM) + 2
    distance_N = np.full(len(points_N2), np.inf)
    trees = [cKDTree(line) for line in lines]
    boxes = [(line.min(axis=0) - reach, line.max(axis=0) + reach) for line in lines]
    for index, tree in enumerate(trees):
        low, high = boxes[index]
        is_near = (owner_N != index) & np.all((points_N2 >= low) & (points_N2 <= high), axis=1)
        if is_near.any():
            distance, _ = tree.query(points_N2[is_near], distance_upper_bound=reach)
            distance_N[is_near] = np.minimum(distance_N[is_near], distance)
    return distance_N
