"""Plate detection: finds a square dish in a photograph by its outer edge.

Each of the four sides of a dish appears as several parallel lines: the edges of lid and base, and their rims. Labels,
marker, tape, shadows and roots are lines too, but they do not form a square of four long lines. The detector selects
the largest square with an edge along the straight part of all four sides. Corners are rounded and do not count. It
searches near the tilt at which the lines of the image are strongest. ADR 0037 has the reasons for the selection.

The search uses the reduced image (`thale.imaging.reduced_image`). The median error of a side is 0.3 % of its length.
The maximum error on 38 synthetic plates was 0.9 %.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from thale.imaging.reduced_image import ReducedImage
from thale.schemas import Plate, Point

MAX_TILT_DEG = 8.0
TILT_STEP_DEG = 0.25
SIDE_TILT_DEG = 1.25
"""Maximum deviation of one side from the common tilt: the camera axis is never exactly perpendicular to the plate."""

MIN_SIDE_SHARE = 0.4
"""A plate's side as a share of the image's short side: smaller squares are labels, windows or wells."""

MIN_SIDE_PX = 400
"""On smaller 120 mm plates, roots are thinner than one pixel."""

MAX_ASPECT = 1.03
CORNER_SHARE = 0.18
"""Maximum share of a side that each rounded corner occupies."""

MIN_SUPPORT = 0.45
"""Minimum share of a side's straight part with an edge of one polarity, on the weakest of the four sides."""

MAX_OVERRUN = 0.2
"""Maximum support beyond the corners: edges of a dish end there, edges of walls, shelves and textures continue."""

_BAND_ROWS = 8
_EDGE_THRESHOLD_SIGMA = 3.0
_MIN_NOISE = 0.05
_MAX_LINES = 48
_SIZE_WEIGHT = 8.0
_MAX_CONFIDENCE_DROP = 0.3
"""Maximum difference between the highest confidence and that of the largest square. The lid's edge is fainter than its
rims, but a square of one side of the dish and three edges of the illuminated area has a much lower confidence."""

_ASPECT_WEIGHT = 10.0

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class _Lines:
    """Lines across the bands of an image, each at its best tilt.

    `positions` (N) are columns at the middle row. `slopes` (N) are columns per row. `counts_NPB` is the cumulative
    number of bands with an edge on the line, for each polarity.
    """

    positions: Floats
    slopes: Floats
    counts_NPB: NDArray[np.int32]

    def support(self, line: Indices, start: Floats, end: Floats) -> Floats:
        """Return the share of the rows from start to end with an edge of the line's better polarity."""
        last = self.counts_NPB.shape[2] - 1
        first_band = np.clip(np.round(start / _BAND_ROWS).astype(np.intp), 0, last)
        last_band = np.clip(np.round(end / _BAND_ROWS).astype(np.intp), 0, last)
        edge_bands = self.counts_NPB[line, :, last_band] - self.counts_NPB[line, :, first_band]
        return cast(Floats, edge_bands.max(axis=1) / np.maximum(last_band - first_band, 1))


def find_plate(image: ReducedImage) -> Plate | None:
    """Return the plate in source pixels, or None if no square has enough support on all four sides.

    The confidence (0 to 1) is the mean of the average and the minimum support of the four sides, minus the support
    beyond the corners.
    """
    grey_HW, step = image.grey_HW, image.step
    if min(grey_HW.shape) < 8 * _BAND_ROWS:
        return None
    vertical, horizontal = _edge_strength(grey_HW), _edge_strength(grey_HW.T)
    tilt = _estimate_tilt(vertical, horizontal)
    columns, rows = _find_lines(vertical, -tilt), _find_lines(horizontal, tilt)
    square = _find_largest_square(columns, rows, grey_HW.shape, step)
    if square is None:
        return None
    sides, confidence = square
    corners = _intersect_sides([(columns if i % 2 == 0 else rows) for i in range(4)], sides, grey_HW.shape)
    return _to_plate(image.to_source(corners), confidence)


def _edge_strength(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the gradient of each band of rows along x, bands x W, in units of the image's noise."""
    height, width = grey_HW.shape
    bands = grey_HW[: height // _BAND_ROWS * _BAND_ROWS].reshape(-1, _BAND_ROWS, width).mean(axis=1)
    slope = gaussian_filter1d(bands, 1.0, axis=1, order=1, mode="nearest")
    slope -= np.median(slope)
    return cast(NDArray[np.float32], slope / max(1.4826 * float(np.median(np.abs(slope))), _MIN_NOISE))


def _shear(edges_BX: NDArray[np.float32], tilt_deg: float) -> NDArray[np.float32]:
    """Shift each band so that lines of the given tilt (positive: downwards to the right) become vertical."""
    bands, width = edges_BX.shape
    rows = (np.arange(bands) - (bands - 1) / 2) * _BAND_ROWS
    shifts = np.round(rows * math.tan(math.radians(tilt_deg))).astype(int).clip(-width, width)
    sheared_BX = np.zeros_like(edges_BX)
    for edges_X, sheared_X, shift in zip(edges_BX, sheared_BX, shifts.tolist(), strict=True):
        if shift >= 0:
            sheared_X[: width - shift] = edges_X[shift:]
        else:
            sheared_X[-shift:] = edges_X[:shift]
    return sheared_BX


def _estimate_tilt(vertical: NDArray[np.float32], horizontal: NDArray[np.float32]) -> float:
    """Return the plate's clockwise tilt in degrees, at the maximum sum of line energy over both directions."""
    tilts = np.arange(-MAX_TILT_DEG, MAX_TILT_DEG + TILT_STEP_DEG / 2, TILT_STEP_DEG)
    vertical, horizontal = vertical.clip(-4, 4), horizontal.clip(-4, 4)

    def energy(edges: NDArray[np.float32], tilt: float) -> float:
        return float(np.square(_shear(edges, tilt).mean(axis=0)).sum())

    return float(max(tilts, key=lambda tilt: energy(vertical, -tilt) + energy(horizontal, tilt)))


def _find_lines(edges_BX: NDArray[np.float32], tilt_deg: float) -> _Lines:
    """Return up to `_MAX_LINES` of the strongest lines near a tilt, each a local maximum of support."""
    tilts = np.arange(tilt_deg - SIDE_TILT_DEG, tilt_deg + SIDE_TILT_DEG + TILT_STEP_DEG / 2, TILT_STEP_DEG)
    is_edge_TPBX = np.empty((len(tilts), 2, *edges_BX.shape), bool)
    for number, tilt in enumerate(tilts):
        sheared = _shear(edges_BX, tilt)
        is_edge_TPBX[number, 0] = _widen(sheared > _EDGE_THRESHOLD_SIGMA)
        is_edge_TPBX[number, 1] = _widen(sheared < -_EDGE_THRESHOLD_SIGMA)
    total_TX = is_edge_TPBX.sum(axis=2).max(axis=1)
    best = total_TX.argmax(axis=0)
    total = total_TX.max(axis=0)
    is_peak = (total >= maximum_filter1d(total, 3)) & (total >= 0.2 * len(edges_BX))
    positions = np.flatnonzero(is_peak)
    positions = np.sort(positions[np.argsort(-total[positions], kind="stable")[:_MAX_LINES]])
    is_edge_NPB = is_edge_TPBX[best[positions], :, :, positions]
    counts = np.concatenate(
        [np.zeros((len(positions), 2, 1), np.int32), is_edge_NPB.cumsum(axis=2, dtype=np.int32)], axis=2
    )
    return _Lines(positions.astype(np.float64), np.tan(np.radians(tilts[best[positions]])), counts)


def _widen(is_edge_BX: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return True also for the left and the right neighbour of each edge."""
    wide_BX = is_edge_BX.copy()
    wide_BX[:, 1:] |= is_edge_BX[:, :-1]
    wide_BX[:, :-1] |= is_edge_BX[:, 1:]
    return wide_BX


def _find_largest_square(
    columns: _Lines, rows: _Lines, shape: tuple[int, ...], step: int
) -> tuple[tuple[int, int, int, int], float] | None:
    """Return the left, top, right and bottom line of the best square, and its confidence."""
    pairs = [
        _line_pairs(lines.positions, max(MIN_SIDE_SHARE * min(shape), MIN_SIDE_PX / step)) for lines in (columns, rows)
    ]
    width, height = (
        lines.positions[p[:, 1]] - lines.positions[p[:, 0]] for lines, p in zip((columns, rows), pairs, strict=True)
    )
    across, down = np.nonzero(np.abs(np.log(width[:, None] / height[None, :])) < math.log(MAX_ASPECT))
    if not len(across):
        return None
    left, right = pairs[0][across].T
    top, bottom = pairs[1][down].T
    middle_y, middle_x = (np.array(shape) - 1) / 2
    side = np.sqrt(width[across] * height[down])
    inset = CORNER_SHARE * side
    shares_4KN = np.stack(
        [
            _support_shares(columns, left, rows, (top, bottom), middle_x, inset),
            _support_shares(rows, top, columns, (left, right), middle_y, inset),
            _support_shares(columns, right, rows, (top, bottom), middle_x, inset),
            _support_shares(rows, bottom, columns, (left, right), middle_y, inset),
        ]
    )
    support_4N, overrun_N = shares_4KN[:, 0], shares_4KN[:, 1:].mean(axis=(0, 1))
    score = support_4N.mean(axis=0) - overrun_N + _SIZE_WEIGHT * np.log(side)
    score -= _ASPECT_WEIGHT * np.abs(np.log(width[across] / height[down]))
    confidence_N = (support_4N.mean(axis=0) + support_4N.min(axis=0)) / 2 - overrun_N
    is_candidate = (support_4N.min(axis=0) >= MIN_SUPPORT) & (overrun_N <= MAX_OVERRUN)
    if not is_candidate.any():
        return None
    is_candidate &= confidence_N >= confidence_N[is_candidate].max() - _MAX_CONFIDENCE_DROP
    best = int(np.where(is_candidate, score, -np.inf).argmax())
    return (int(left[best]), int(top[best]), int(right[best]), int(bottom[best])), float(confidence_N[best])


def _support_shares(
    lines: _Lines, line: Indices, others: _Lines, ends: tuple[Indices, Indices], middle: float, inset: Floats
) -> Floats:
    """Return the support along the straight part and along the extensions beyond both corners (3 x M)."""
    reach = lines.positions[line] - middle
    start, end = (others.positions[other] + others.slopes[other] * reach for other in ends)
    return np.stack(
        [
            lines.support(line, start + inset, end - inset),
            lines.support(line, start - inset, start - inset / 8),
            lines.support(line, end + inset / 8, end + inset),
        ]
    )


def _line_pairs(positions: Floats, min_distance: float) -> Indices:
    """Return all ordered pairs of lines (M x 2) that are at least `min_distance` apart."""
    first, second = np.nonzero(positions[None, :] - positions[:, None] >= min_distance)
    return np.stack([first, second], axis=1)


def _intersect_sides(lines: list[_Lines], sides: tuple[int, int, int, int], shape: tuple[int, ...]) -> Floats:
    """Return the corners (4 x 2: top left, top right, bottom right, bottom left) in pixels of the reduced image."""
    middle_y, middle_x = (np.array(shape) - 1) / 2
    left, top, right, bottom = sides
    columns, rows = lines[0], lines[1]
    corners = []
    for row, column in ((top, left), (top, right), (bottom, right), (bottom, left)):
        a, b = columns.positions[column], columns.slopes[column]
        c, d = rows.positions[row], rows.slopes[row]
        x = (a + b * (c - middle_y - d * middle_x)) / (1 - b * d)
        corners.append((x, c + d * (x - middle_x)))
    return np.array(corners)


def _to_plate(corners_42: Floats, confidence: float) -> Plate:
    run, rise = corners_42[1] - corners_42[0]
    points = tuple(Point(x=float(x), y=float(y)) for x, y in corners_42)
    return Plate(
        corners=cast(tuple[Point, Point, Point, Point], points),
        tilt_deg=math.degrees(math.atan2(rise, run)),
        confidence=confidence,
    )
