"""Find a square dish in a photograph by its outer edge.

A dish shows as a bundle of parallel lines on each of four sides: the edge of the lid, the edge of the base, their rims.
Labels, felt-tip marks, tape, shadows and roots are lines too, but not four long ones in a square. So the search looks
for the largest square whose four sides are each supported along their straight part (corners are rounded), near the
one tilt at which the lines of the picture are strongest.

The search runs on the picture reduced to about a thousand pixels, which gives a side to about 0.3 % of its length
(median; the worst of 38 drawn plates was 0.9 % off).
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from thale.schemas import Plate, Point

SEARCH_PX = 1100
"""Long side of the picture that is searched."""

MAX_TILT_DEG = 8.0
TILT_STEP_DEG = 0.25
SIDE_TILT_DEG = 1.25
"""How far one side may lean from the common tilt: the camera never looks quite straight at the plate."""

MIN_SIDE_SHARE = 0.4
"""A plate's side as a share of the picture's short side: a smaller square is a label, a window, a well."""

MIN_SIDE_PX = 400
"""A 120 mm plate of so few pixels shows roots thinner than one of them."""

MAX_ASPECT = 1.03
CORNER_SHARE = 0.18
"""Share of a side that each rounded corner may take."""

MIN_SUPPORT = 0.45
"""Share of a side's straight part that must show an edge of one polarity, on the weakest of the four sides."""

MAX_OVERRUN = 0.2
"""Most support beyond the corners: a dish's edges end there, those of walls, shelves and textures go on."""

_BAND_ROWS = 8
_EDGE_THRESHOLD_SIGMA = 3.0
_MIN_NOISE = 0.05
_MAX_LINES = 48
_SIZE_WEIGHT = 8.0
_MAX_CONFIDENCE_DROP = 0.3
"""How much less sure than the surest square the largest may be: the lid's edge is fainter than its rims, but a square
that borrows one side from the dish and three from the light is far less sure."""

_ASPECT_WEIGHT = 10.0

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class _Lines:
    """Lines that cross the bands of a picture, each at the tilt that suits it best.

    `places` (N) are columns at the middle row, `slopes` (N) columns a row, and `counts_NPB` the running number of bands
    that show an edge there, one row of numbers for each polarity.
    """

    positions: Floats
    slopes: Floats
    counts_NPB: NDArray[np.int32]

    def support(self, line: Indices, start: Floats, end: Floats) -> Floats:
        """Return the share of the rows from start to end along which a line shows an edge of its better polarity."""
        last = self.counts_NPB.shape[2] - 1
        first_band = np.clip(np.round(start / _BAND_ROWS).astype(np.intp), 0, last)
        last_band = np.clip(np.round(end / _BAND_ROWS).astype(np.intp), 0, last)
        edge_bands = self.counts_NPB[line, :, last_band] - self.counts_NPB[line, :, first_band]
        return cast(Floats, edge_bands.max(axis=1) / np.maximum(last_band - first_band, 1))


def find_plate(image_HW3: NDArray[np.uint8]) -> Plate | None:
    """Return the dish, or None where no square has enough support on all four sides.

    The plate's confidence, 0 to 1, is the mean of its sides' average support and of its weakest side's, less what its
    sides run on beyond the corners.
    """
    step = max(1, math.ceil(max(image_HW3.shape[:2]) / SEARCH_PX))
    grey_HW = np.asarray(Image.fromarray(image_HW3).reduce(step), np.float32).mean(axis=2)
    if min(grey_HW.shape) < 8 * _BAND_ROWS:
        return None
    upright, level = _edge_strength(grey_HW), _edge_strength(grey_HW.T)
    tilt = _estimate_tilt(upright, level)
    columns, rows = _find_lines(upright, -tilt), _find_lines(level, tilt)
    square = _find_largest_square(columns, rows, grey_HW.shape, step)
    if square is None:
        return None
    sides, confidence = square
    corners = _intersect_sides([(columns if i % 2 == 0 else rows) for i in range(4)], sides, grey_HW.shape)
    corners = (corners + 0.5) * step - 0.5
    return _to_plate(corners, confidence)


def _edge_strength(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how steep each band of rows is along x, bands x W, in units of the picture's own noise."""
    height, width = grey_HW.shape
    bands = grey_HW[: height // _BAND_ROWS * _BAND_ROWS].reshape(-1, _BAND_ROWS, width).mean(axis=1)
    slope = gaussian_filter1d(bands, 1.0, axis=1, order=1, mode="nearest")
    slope -= np.median(slope)
    return cast(NDArray[np.float32], slope / max(1.4826 * float(np.median(np.abs(slope))), _MIN_NOISE))


def _shear(edges_BX: NDArray[np.float32], tilt_deg: float) -> NDArray[np.float32]:
    """Shift each band so that lines of that tilt (positive: to the right, going down) stand upright."""
    bands, width = edges_BX.shape
    rows = (np.arange(bands) - (bands - 1) / 2) * _BAND_ROWS
    columns = np.arange(width) + np.round(rows * math.tan(math.radians(tilt_deg))).astype(np.intp)[:, None]
    inside = (columns >= 0) & (columns < width)
    return np.where(inside, edges_BX[np.arange(bands)[:, None], columns.clip(0, width - 1)], np.float32(0))


def _estimate_tilt(upright: NDArray[np.float32], level: NDArray[np.float32]) -> float:
    """Return the plate's clockwise tilt in degrees: where the lines of both directions, summed up, stand out most."""
    tilts = np.arange(-MAX_TILT_DEG, MAX_TILT_DEG + TILT_STEP_DEG / 2, TILT_STEP_DEG)
    upright, level = upright.clip(-4, 4), level.clip(-4, 4)

    def energy(edges: NDArray[np.float32], tilt: float) -> float:
        return float(np.square(_shear(edges, tilt).mean(axis=0)).sum())

    return float(max(tilts, key=lambda tilt: energy(upright, -tilt) + energy(level, tilt)))


def _find_lines(edges_BX: NDArray[np.float32], tilt_deg: float) -> _Lines:
    """Return the strongest lines near a tilt, at most `_MOST_LINES`, each a local maximum of support."""
    tilts = np.arange(tilt_deg - SIDE_TILT_DEG, tilt_deg + SIDE_TILT_DEG + TILT_STEP_DEG / 2, TILT_STEP_DEG)
    is_edge_TPBX = np.empty((len(tilts), 2, *edges_BX.shape), bool)
    for number, tilt in enumerate(tilts):
        sheared = _shear(edges_BX, tilt)
        is_edge_TPBX[number, 0] = maximum_filter1d(sheared, 3, axis=1) > _EDGE_THRESHOLD_SIGMA
        is_edge_TPBX[number, 1] = maximum_filter1d(-sheared, 3, axis=1) > _EDGE_THRESHOLD_SIGMA
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


def _find_largest_square(
    columns: _Lines, rows: _Lines, shape: tuple[int, ...], step: int
) -> tuple[tuple[int, int, int, int], float] | None:
    """Return the left, top, right and bottom line of the best square, and how sure it is."""
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

    def support_shares(
        lines: _Lines, line: Indices, others: _Lines, ends: tuple[Indices, Indices], middle: float
    ) -> Floats:
        """Return support along the straight part, and along the line's extensions beyond both corners."""
        reach = lines.positions[line] - middle
        start, end = (others.positions[other] + others.slopes[other] * reach for other in ends)
        return np.stack(
            [
                lines.support(line, start + inset, end - inset),
                lines.support(line, start - inset, start - inset / 8),
                lines.support(line, end + inset / 8, end + inset),
            ]
        )

    shares_4KN = np.stack(
        [
            support_shares(columns, left, rows, (top, bottom), middle_x),
            support_shares(rows, top, columns, (left, right), middle_y),
            support_shares(columns, right, rows, (top, bottom), middle_x),
            support_shares(rows, bottom, columns, (left, right), middle_y),
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


def _line_pairs(positions: Floats, min_distance: float) -> Indices:
    """Return all pairs of lines (M x 2, in order) at least so far apart."""
    first, second = np.nonzero(positions[None, :] - positions[:, None] >= min_distance)
    return np.stack([first, second], axis=1)


def _intersect_sides(lines: list[_Lines], sides: tuple[int, int, int, int], shape: tuple[int, ...]) -> Floats:
    """Return where the sides cross (4 x 2: top left, top right, bottom right, bottom left), in the lines' pixels."""
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
