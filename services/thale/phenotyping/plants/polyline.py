"""Polylines of roots: smooth centre lines from pixel chains, with their lengths, directions and ends.

Every polyline is float64 N2 in (x, y). A chain of pixel centres is up to 8 % longer than the line that it represents. A
Gaussian filter along the arc removes the staircase and preserves the curve (compare Seethepalli et al. 2021,
RhizoVision Explorer, AoB PLANTS 13, plab056, on the bias of chain codes).
"""

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Points = NDArray[np.float64]

SMOOTHING_PX = 3.0
_OUTPUT_TOLERANCE_PX = 0.08


def length(points_N2: Points) -> float:
    """Return the length of a polyline; 0 for fewer than two points."""
    return float(np.hypot(*np.diff(points_N2, axis=0).T).sum()) if len(points_N2) > 1 else 0.0


def resample(points_N2: Points, step: float = 1.0) -> Points:
    """Return points at equal steps along the polyline, including both ends."""
    steps = np.hypot(*np.diff(points_N2, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    if arc[-1] == 0:
        return points_N2[:1].copy()
    at = np.linspace(0, arc[-1], max(2, round(arc[-1] / step) + 1))
    return np.column_stack([np.interp(at, arc, points_N2[:, axis]) for axis in (0, 1)])


def smooth(points_N2: Points, sigma: float = SMOOTHING_PX) -> Points:
    """Return the polyline smoothed along its arc and resampled to unit steps; its ends do not move.

    The line is padded at each end by point reflection, so that the filter neither shortens nor bends the ends.
    """
    resampled = resample(points_N2)
    if len(resampled) < 3:
        return resampled
    reach = min(len(resampled) - 1, int(4 * sigma) + 1)
    before = 2 * resampled[0] - resampled[reach:0:-1]
    after = 2 * resampled[-1] - resampled[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, resampled, after])
    filtered = gaussian_filter1d(padded, min(sigma, len(resampled) / 4), axis=0, mode="nearest")
    return cast(Points, filtered[reach : reach + len(resampled)])


def subsample(points_N2: Points) -> Points:
    """Return the polyline with fewer points, within `_OUTPUT_TOLERANCE_PX` of the original."""
    return simplify(points_N2, _OUTPUT_TOLERANCE_PX)


def simplify(points_N2: Points, tolerance: float) -> Points:
    """Return the polyline without points that are within `tolerance` of the line through the remaining points.

    Ramer 1972, Computer Graphics and Image Processing 1(3), 244-256; Douglas and Peucker 1973, Cartographica 10(2),
    112-122. The result equals that of skimage's `approximate_polygon`, whose import takes one CPU second.
    """
    is_retained = np.zeros(len(points_N2), bool)
    is_retained[:1] = is_retained[-1:] = True
    first, last = np.array([0]), np.array([len(points_N2) - 1])
    while (is_open := last - first > 1).any():
        first, last = first[is_open], last[is_open]
        middle, is_split = _farthest_points(points_N2, first, last, tolerance)
        is_retained[middle[is_split]] = True
        first, middle, last = first[is_split], middle[is_split], last[is_split]
        first, last = np.concatenate([first, middle]), np.concatenate([middle, last])
    return points_N2[is_retained]


def _farthest_points(
    points_N2: Points, first: NDArray[np.intp], last: NDArray[np.intp], tolerance: float
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the point of each span that is farthest from the span's line, and True if that is beyond `tolerance`.

    All spans are processed at once, because most of them have few points.
    """
    counts = last - first - 1
    starts = np.cumsum(counts) - counts
    span_N = np.repeat(np.arange(len(first)), counts)
    inner_N = np.arange(len(span_N)) + (first + 1 - starts)[span_N]
    along_S2 = points_N2[last] - points_N2[first]
    squared_S = np.maximum(along_S2[:, 0] ** 2 + along_S2[:, 1] ** 2, np.finfo(float).tiny)
    along_x, along_y = along_S2[span_N].T
    x, y = (points_N2[inner_N] - points_N2[first][span_N]).T
    share_N = np.clip((x * along_x + y * along_y) / squared_S[span_N], 0, 1)
    distance_N = np.hypot(x - share_N * along_x, y - share_N * along_y)
    max_S = np.maximum.reduceat(distance_N, starts)
    farthest = np.flatnonzero(distance_N == max_S[span_N])
    _, first_of_span = np.unique(span_N[farthest], return_index=True)
    return inner_N[farthest[first_of_span]], max_S > tolerance


def direction(points_N2: Points, skip: float, reach: float) -> Points:
    """Return the unit vector of a polyline's start, between `skip` and `reach` px from its first point.

    The first pixels are skipped because a skeleton bends at its junction with another root. Zero for a single point.
    """
    arc = _arc_up_to(points_N2, max(3 * skip, reach))
    near, far = min(skip, arc[-1] / 3), min(reach, arc[-1])
    points_N2 = points_N2[: len(arc)]
    vector = np.array([np.interp(far, arc, axis) - np.interp(near, arc, axis) for axis in points_N2.T])
    norm = float(np.hypot(*vector))
    return vector / norm if norm > 0 else np.zeros(2)


def _arc_up_to(points_N2: Points, min_length: float) -> NDArray[np.float64]:
    """Return the arc length at each point of a polyline, at least up to a length, or to its end."""
    count = math.ceil(2 * min_length) + 2  # most lines have steps of about one pixel
    while True:
        steps = np.hypot(*np.diff(points_N2[:count], axis=0).T)
        arc = np.concatenate([[0.0], np.cumsum(steps)])
        if arc[-1] >= min_length or count >= len(points_N2):
            return arc
        count = len(points_N2)


def nearest(points_N2: Points, point_xy: Points) -> tuple[int, float]:
    """Return the index of the polyline's point that is nearest to a point, and its distance."""
    distances = np.hypot(*(points_N2 - point_xy).T)
    index = int(np.argmin(distances))
    return index, float(distances[index])


def sample(image_HW: NDArray[np.uint8], points_N2: Points) -> NDArray[np.uint8]:
    """Return the pixels of an image at points; points outside the image get the nearest border pixel."""
    cols, rows = np.round(points_N2).astype(int).T
    height, width = image_HW.shape
    pixels: NDArray[np.uint8] = image_HW[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)]
    return pixels


def extend_to_edge(points_N2: Points, mask_HW: NDArray[np.bool_], max_px: float) -> Points:
    """Return the polyline extended straight from its last point to the edge of the mask, by up to `max_px` px.

    A skeleton is shorter than its root by about half a root width at each end.
    """
    heading = -direction(points_N2[::-1], 1.0, 8.0)
    points = points_N2[-1] + np.arange(0.5, max_px + 0.5, 0.5)[:, None] * heading
    cols, rows = np.round(points).astype(int).T
    height, width = mask_HW.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    inside[inside] = mask_HW[rows[inside], cols[inside]]
    steps = len(inside) if inside.all() else int(np.argmin(inside))
    return np.vstack([points_N2, points[steps - 1]]) if steps else points_N2


def snap_end(points_N2: Points, point_xy: Points, max_distance: float) -> Points:
    """Return the polyline cut at its point nearest to `point_xy`.

    The cut is made only in the last part of the line, and only if `point_xy` is within `max_distance` px of it.
    """
    resampled = resample(points_N2, 0.5)
    first = max(0, len(resampled) - int(4 * max_distance) - 1)
    index, distance = nearest(resampled[first:], point_xy)
    return resampled[: first + index + 1] if distance <= max_distance and first + index > 0 else points_N2
