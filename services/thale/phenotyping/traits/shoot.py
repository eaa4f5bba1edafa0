"""What a shoot's outline tells of its form: how long the hypocotyl is, and how many leaves are seen.

A front starts at the root base and runs through the shoot; each pixel is reached at its geodesic distance (level sets
of such a distance as the skeleton of a form: Verroust and Lazarus, The Visual Computer 16, 2000). Along the hypocotyl
the front is narrow and in one piece; the hypocotyl ends where it parts or widens. A leaf ends where the front dies out,
at a maximum of the distance. To read both off one front is ours. It needs no scale: it compares widths with each other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import line
from skimage.graph import MCP_Geometric
from skimage.morphology import h_maxima

from thale.phenotyping.traits.area import organ_area
from thale.phenotyping.traits.length import primary, total_root_length
from thale.schemas import Plant

_LARGEST_SIDE_PX = 256
_MOST_PIECES = 20
_NARROW = 1.3
"""The front counts as narrow up to this many times its usual width along the hypocotyl."""

_WIDENING = 2.0
_WIDEST = 5.0
"""A hypocotyl is at most this many times as wide as the plant's roots: what is wider is a leaf in front of it."""

_LEAST_LOBE_SHARE = 0.04
_LEAST_LEAF_SHARE = 0.3
"""A leaf's end stands out from its surroundings by the first share of the longest way, and lies beyond the second."""

_RING = 1.5
"""Steps from pixel to pixel are at most this long, so a ring of this width is closed."""

_EIGHT = np.ones((3, 3), int)


@dataclass(frozen=True)
class _Front:
    """The way of a front through a shoot.

    `distance_HW` is how far from the start the front has run (pixels of the drawn shoot, 0 outside of it), `widths` how
    many pixels it reaches at each step, and `gap` the way from the root base to the start. `px` is the edge of a
    drawn pixel in source pixels.
    """

    distance_HW: NDArray[np.float64]
    widths: NDArray[np.float64]
    gap: float
    px: float


def hypocotyl_length(plant: Plant) -> float:
    """Return the way through the shoot from the root base to where it parts or widens into leaves, source px.

    Unknown where the outline shows no narrow part that begins at the root base and is longer than wide: leaves hide it.
    """
    front = _front(plant)
    if front is None:
        return math.nan
    narrow_to, width = _narrow_part(front.widths)
    if not (front.gap <= width / 2 and width * front.px <= _WIDEST * _mean_root_width(plant)):
        return math.nan
    end = _where_it_parts(front.distance_HW, int(narrow_to))
    return (front.gap + end) * front.px if end > width else math.nan


def leaf_count(plant: Plant) -> float:
    """Return the number of leaf tips: as a landmark model sees them, else the ends of the shoot's outline."""
    if has_leaf_tips(plant):
        return float(sum(mark.kind == "leaf_tip" for mark in plant.landmarks))
    front = _front(plant)
    if front is None:
        return math.nan
    end, _ = _narrow_part(front.widths)
    furthest = float(front.distance_HW.max())
    nearest = max(_LEAST_LEAF_SHARE * furthest, 0.0 if math.isnan(end) else end)
    lobes_HW, count = ndimage.label(h_maxima(front.distance_HW, _LEAST_LOBE_SHARE * furthest), _EIGHT)
    reached = ndimage.maximum(front.distance_HW, lobes_HW, range(1, count + 1))
    return float(np.count_nonzero(np.asarray(reached) > nearest))


def _mean_root_width(plant: Plant) -> float:
    """Return the area of the root system over its length, source px; infinite where no area is known."""
    area = organ_area(plant, "root")
    return math.inf if math.isnan(area) else area / total_root_length(plant)


def has_leaf_tips(plant: Plant) -> bool:
    """Whether a landmark model saw leaf tips of this plant."""
    return any(mark.kind == "leaf_tip" for mark in plant.landmarks)


def _front(plant: Plant) -> _Front | None:
    """Return the front's way; None for a plant without a visible shoot or root, and for a shoot of one pixel."""
    root = primary(plant)
    drawn = _drawn(plant)
    if root is None or drawn is None:
        return None
    mask_HW, corner_xy, px = drawn
    base_xy = (np.array(root.points[0]) - corner_xy) / px
    places_rc = np.argwhere(mask_HW)
    gap, nearest = cKDTree(places_rc[:, ::-1]).query(base_xy)
    start_rc = tuple(places_rc[nearest].tolist())
    whole_HW = _in_one_piece(mask_HW, start_rc)
    costs_HW, _ = MCP_Geometric(np.where(whole_HW, 1.0, -1.0)).find_costs([start_rc])
    reached_HW = np.isfinite(costs_HW) & whole_HW
    if np.count_nonzero(reached_HW) < 2:
        return None
    widths = np.bincount(costs_HW[reached_HW].astype(int))
    smooth = ndimage.uniform_filter1d(widths.astype(float), 3, mode="nearest")
    return _Front(np.where(reached_HW, costs_HW, 0.0), smooth, float(gap), px)


def _drawn(plant: Plant) -> tuple[NDArray[np.bool_], NDArray[np.float64], float] | None:
    """Return the shoot drawn from its outlines, its first pixel in the source, and source pixels a drawn pixel."""
    outlines = [np.reshape(outline, (-1, 2)) for organ in plant.organs if organ.kind == "shoot"
                for outline in organ.polygons]  # fmt: skip
    if not outlines:
        return None
    places = np.vstack(outlines)
    extent = np.ptp(places, axis=0)
    px = max(1.0, float(extent.max()) / _LARGEST_SIDE_PX)
    corner_xy = places.min(axis=0) - px
    width, height = (np.ceil(extent / px) + 3).astype(int).tolist()
    picture = Image.new("1", (width, height))
    pencil = ImageDraw.Draw(picture)
    for outline in outlines:
        pencil.polygon([(x, y) for x, y in (outline - corner_xy) / px], fill=1, outline=1)
    return np.array(picture), corner_xy, px


def _in_one_piece(mask_HW: NDArray[np.bool_], start_rc: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the shoot with its pieces joined to the one at the start, the nearest first: thin petioles break."""
    joined_HW = mask_HW.copy()
    for _ in range(_MOST_PIECES):
        labels_HW, count = ndimage.label(joined_HW, _EIGHT)
        if count < 2:
            break
        reached_HW = labels_HW == labels_HW[start_rc]
        reached_rc, others_rc = np.argwhere(reached_HW), np.argwhere(joined_HW & ~reached_HW)
        gaps, nearest = cKDTree(reached_rc).query(others_rc)
        closest = int(np.argmin(gaps))
        joined_HW[line(*reached_rc[nearest[closest]], *others_rc[closest])] = True
    return joined_HW


def _narrow_part(widths: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the narrow part of a front ends and how wide it is, in steps and pixels; NaN where there is none.

    The largest rise of the width parts the hypocotyl from the leaves. It is looked for from where the front, which
    starts at a point, has first grown to the width of what it runs through.
    """
    falls = np.flatnonzero(np.diff(widths) <= 0)
    grown = int(falls[0]) if len(falls) else len(widths) - 1
    rise = widths[grown:] - np.minimum.accumulate(widths[grown:])
    top = grown + int(np.argmax(rise))
    least = widths[grown : top + 1].min()
    if widths[top] < _WIDENING * least:
        return math.nan, math.nan
    middle = (least + widths[top]) / 2
    half = int(np.flatnonzero(widths[:top] < middle)[-1])
    along = widths[grown : half + 1]
    usual = float(np.median(along[along < middle]))
    return float(np.flatnonzero(widths[: half + 1] <= _NARROW * usual)[-1]), usual


def _where_it_parts(distance_HW: NDArray[np.float64], end: int) -> int:
    """Return the last step up to `end` at which the front that gets there was in one piece.

    Petioles together may be no wider than the hypocotyl that they spring from: then the front parts before it widens.
    """
    at_end_HW = (distance_HW >= end) & (distance_HW < end + _RING)
    together, apart = 0, end + 1
    while apart - together > 1:
        step = (together + apart) // 2
        labels_HW, _ = ndimage.label((distance_HW >= step) & (distance_HW < end + _RING), _EIGHT)
        if len(np.unique(labels_HW[at_end_HW])) == 1:
            together = step
        else:
            apart = step
    return together
