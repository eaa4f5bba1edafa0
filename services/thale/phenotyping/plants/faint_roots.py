"""Roots too faint for the mask: from a tip or base that no root leads to, the likeliest way to a root is taken.

A thin lateral breaks up or falls below every threshold long before its tip, which stands alone on the agar, is missed.
The way is the minimum-cost path through the root probability (compare Cohen and Kimmel, "Global minimum for active
contour models: a minimal path approach", IJCV 24, 1997). A pixel costs the logarithm of its probability, so that a
faint ridge is worth following and empty agar is crossed the shortest way.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from thale.phenotyping.plants.probability_maps import Maps
from thale.schemas import Landmark

_LEAST_NETWORK_MM2 = 2.0
_WINDOW_MM = 7.0
_FARTHEST_COST_MM = 5.0
_LEAST_PROBABILITY = 0.02
_COST_ALONG_CERTAIN_ROOT = 0.02
_LEAST_BASE_SCORE = 0.5
_MOST_ENDS = 300


def with_faint_roots(mask_HW: NDArray[np.bool_], maps: Maps, landmarks: Sequence[Landmark]) -> NDArray[np.bool_]:
    """Return the mask (bool HW) with a path, a pixel wide, from every tip and sure base that no larger root leads to.

    A path costs as many millimetres as of empty agar; ends that cost more than `_FARTHEST_COST_MM` stay alone.
    """
    ends = [mark for mark in landmarks if mark.kind != "root_base" or mark.score >= _LEAST_BASE_SCORE]
    ends = sorted(ends, key=lambda mark: -mark.score)[:_MOST_ENDS]
    if not ends or not mask_HW.any():
        return mask_HW
    labels_HW, count = ndimage.label(mask_HW, np.ones((3, 3), int))
    network = np.bincount(labels_HW.ravel(), minlength=count + 1) >= maps.px2(_LEAST_NETWORK_MM2)
    network[0] = False
    reached_HW = network[labels_HW]
    grown_HW = mask_HW.copy()
    places_rc = np.round(maps.frame.from_source(np.array([[mark.x, mark.y] for mark in ends]))[:, ::-1]).astype(int)
    for row, col in places_rc.tolist():
        path_rc = _way_back(row, col, reached_HW, maps)
        reached_HW[tuple(path_rc.T)] = True
        grown_HW[tuple(path_rc.T)] = True
    return grown_HW


def _way_back(row: int, col: int, reached_HW: NDArray[np.bool_], maps: Maps) -> NDArray[np.int64]:
    """Return the pixels (row, column) of the cheapest path from a place to a reached root; none if all are too far."""
    height, width = reached_HW.shape
    if not (0 <= row < height and 0 <= col < width) or reached_HW[row, col]:
        return np.zeros((0, 2), np.int64)
    half = round(maps.px(_WINDOW_MM))
    top, left = max(0, row - half), max(0, col - half)
    window = slice(top, row + half + 1), slice(left, col + half + 1)
    ends = np.argwhere(reached_HW[window])
    if not len(ends):
        return np.zeros((0, 2), np.int64)
    likely = np.maximum(np.arange(256) / 255, _LEAST_PROBABILITY)
    cost = (_COST_ALONG_CERTAIN_ROOT + np.log(likely) / np.log(_LEAST_PROBABILITY)) / maps.px_per_mm
    march = MCP_Geometric(cost[maps.root_HW[window]])
    total_HW, _ = march.find_costs([(row - top, col - left)], ends, find_all_ends=False)
    end = ends[int(np.argmin(total_HW[tuple(ends.T)]))]
    if total_HW[tuple(end)] > _FARTHEST_COST_MM:
        return np.zeros((0, 2), np.int64)
    path_rc: NDArray[np.int64] = np.array(march.traceback(end), np.int64) + np.array([top, left])
    return path_rc
