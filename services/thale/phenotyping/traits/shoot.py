"""Shoot traits from the outline: hypocotyl length and leaf count.

A geodesic front starts at the root base and propagates through the shoot. It reaches each pixel at the pixel's geodesic
distance (for level sets of this distance as a skeleton, see Verroust and Lazarus, The Visual Computer 16, 2000). Along
the hypocotyl, the front is narrow and connected. The hypocotyl ends at the point where the front splits or widens. A
leaf ends at a local maximum of the distance. Deriving both traits from one front is thale's own method. It compares
only ratios of widths, so it requires no scale.
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
from thale.phenotyping.traits.length import primary_root, total_root_length
from thale.schemas import Plant

_MAX_SIDE_PX = 256
_MAX_COMPONENTS = 20
_NARROW_WIDTH_RATIO = 1.3
"""Maximum width of a narrow front, relative to its median width along the hypocotyl."""

_MIN_WIDENING_RATIO = 2.0
_MAX_WIDTH_RATIO = 5.0
"""Maximum width of a hypocotyl relative to the plant's roots. Wider parts are leaves in front of it."""

_MIN_LOBE_SHARE = 0.04
_MIN_LEAF_SHARE = 0.3
"""Shares of the maximum distance: the minimum prominence of a leaf's end, and its minimum distance."""

_RING_WIDTH = 1.5
"""Steps between pixels are shorter than this, so a ring of this width has no holes."""

_EIGHT_CONNECTED = np.ones((3, 3), int)


@dataclass(frozen=True)
class _Front:
    """Propagation of a geodesic front through a shoot, in pixels of the rasterised shoot.

    `distance_HW` is the geodesic distance from the start, 0 outside the shoot. `widths` is the number of pixels that
    the front reaches at each step. `gap` is the distance from the root base to the start. `pixel_size` is the side of a
    raster pixel in source pixels.
    """

    distance_HW: NDArray[np.float64]
    widths: NDArray[np.float64]
    gap: float
    pixel_size: float


def hypocotyl_length(plant: Plant) -> float:
    """Return the geodesic length from the root base to the point at which the shoot splits or widens, source px.

    NaN if leaves hide the hypocotyl: the outline then has no narrow part that starts at the root base and is longer
    than wide.
    """
    front = _propagate_front(plant)
    if front is None:
        return math.nan
    narrow_end, width = _find_narrow_section(front.widths)
    if not (front.gap <= width / 2 and width * front.pixel_size <= _MAX_WIDTH_RATIO * _mean_root_width(plant)):
        return math.nan
    end = _find_branching_step(front.distance_HW, int(narrow_end))
    return (front.gap + end) * front.pixel_size if end > width else math.nan


def leaf_count(plant: Plant) -> float:
    """Return the number of leaf tips: the landmarks of a landmark model, else the ends of the shoot's outline."""
    if has_leaf_tips(plant):
        return float(sum(landmark.kind == "leaf_tip" for landmark in plant.landmarks))
    front = _propagate_front(plant)
    if front is None:
        return math.nan
    end, _ = _find_narrow_section(front.widths)
    max_distance = float(front.distance_HW.max())
    min_distance = max(_MIN_LEAF_SHARE * max_distance, 0.0 if math.isnan(end) else end)
    lobes_HW, count = ndimage.label(h_maxima(front.distance_HW, _MIN_LOBE_SHARE * max_distance), _EIGHT_CONNECTED)
    lobe_distances = ndimage.maximum(front.distance_HW, lobes_HW, range(1, count + 1))
    return float(np.count_nonzero(np.asarray(lobe_distances) > min_distance))


def _mean_root_width(plant: Plant) -> float:
    """Return the area of the root system over its length, source px; infinite if the area is unknown."""
    area = organ_area(plant, "root")
    return math.inf if math.isnan(area) else area / total_root_length(plant)


def has_leaf_tips(plant: Plant) -> bool:
    """Return True if the plant has leaf tip landmarks."""
    return any(landmark.kind == "leaf_tip" for landmark in plant.landmarks)


def _propagate_front(plant: Plant) -> _Front | None:
    """Return the front; None for a plant without a visible shoot or root, and for a shoot of one pixel."""
    root = primary_root(plant)
    raster = _rasterise_shoot(plant)
    if root is None or raster is None:
        return None
    mask_HW, corner_xy, pixel_size = raster
    base_xy = (np.array(root.points[0]) - corner_xy) / pixel_size
    pixels_rc = np.argwhere(mask_HW)
    gap, nearest = cKDTree(pixels_rc[:, ::-1]).query(base_xy)
    start_rc = tuple(pixels_rc[nearest].tolist())
    joined_HW = _join_components(mask_HW, start_rc)
    costs_HW, _ = MCP_Geometric(np.where(joined_HW, 1.0, -1.0)).find_costs([start_rc])
    reached_HW = np.isfinite(costs_HW) & joined_HW
    if np.count_nonzero(reached_HW) < 2:
        return None
    widths = np.bincount(costs_HW[reached_HW].astype(int))
    smooth = ndimage.uniform_filter1d(widths.astype(float), 3, mode="nearest")
    return _Front(np.where(reached_HW, costs_HW, 0.0), smooth, float(gap), pixel_size)


def _rasterise_shoot(plant: Plant) -> tuple[NDArray[np.bool_], NDArray[np.float64], float] | None:
    """Return the mask of the shoot from its outlines, its first pixel in source px, and its pixel size in source px."""
    outlines = [np.reshape(outline, (-1, 2)) for organ in plant.organs if organ.kind == "shoot"
                for outline in organ.polygons]  # fmt: skip
    if not outlines:
        return None
    points = np.vstack(outlines)
    extent = np.ptp(points, axis=0)
    pixel_size = max(1.0, float(extent.max()) / _MAX_SIDE_PX)
    corner_xy = points.min(axis=0) - pixel_size
    width, height = (np.ceil(extent / pixel_size) + 3).astype(int).tolist()
    mask = Image.new("1", (width, height))
    draw = ImageDraw.Draw(mask)
    for outline in outlines:
        draw.polygon([(x, y) for x, y in (outline - corner_xy) / pixel_size], fill=1, outline=1)
    return np.array(mask), corner_xy, pixel_size


def _join_components(mask_HW: NDArray[np.bool_], start_rc: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the shoot with its components joined to the first, nearest first, because thin petioles break."""
    joined_HW = mask_HW.copy()
    for _ in range(_MAX_COMPONENTS):
        labels_HW, count = ndimage.label(joined_HW, _EIGHT_CONNECTED)
        if count < 2:
            break
        reached_HW = labels_HW == labels_HW[start_rc]
        reached_rc, others_rc = np.argwhere(reached_HW), np.argwhere(joined_HW & ~reached_HW)
        gaps, nearest = cKDTree(reached_rc).query(others_rc)
        closest = int(np.argmin(gaps))
        joined_HW[line(*reached_rc[nearest[closest]], *others_rc[closest])] = True
    return joined_HW


def _find_narrow_section(widths: NDArray[np.float64]) -> tuple[float, float]:
    """Return the end (in steps) and the width (in pixels) of the narrow part of a front; NaN if it has none.

    The largest increase of the width separates the hypocotyl from the leaves. The search starts at the first step at
    which the front, which starts at a point, has the full width of the shoot.
    """
    falls = np.flatnonzero(np.diff(widths) <= 0)
    start = int(falls[0]) if len(falls) else len(widths) - 1
    rise = widths[start:] - np.minimum.accumulate(widths[start:])
    top = start + int(np.argmax(rise))
    min_width = widths[start : top + 1].min()
    if widths[top] < _MIN_WIDENING_RATIO * min_width:
        return math.nan, math.nan
    mid_width = (min_width + widths[top]) / 2
    half = int(np.flatnonzero(widths[:top] < mid_width)[-1])
    along = widths[start : half + 1]
    typical_width = float(np.median(along[along < mid_width]))
    return float(np.flatnonzero(widths[: half + 1] <= _NARROW_WIDTH_RATIO * typical_width)[-1]), typical_width


def _find_branching_step(distance_HW: NDArray[np.float64], end: int) -> int:
    """Return the last step up to `end` at which the front was connected.

    Petioles together can be as narrow as the hypocotyl. The front then splits before it widens.
    """
    at_end_HW = (distance_HW >= end) & (distance_HW < end + _RING_WIDTH)
    joined_step, split_step = 0, end + 1
    while split_step - joined_step > 1:
        step = (joined_step + split_step) // 2
        labels_HW, _ = ndimage.label((distance_HW >= step) & (distance_HW < end + _RING_WIDTH), _EIGHT_CONNECTED)
        if len(np.unique(labels_HW[at_end_HW])) == 1:
            joined_step = step
        else:
            split_step = step
    return joined_step
