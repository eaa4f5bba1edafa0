"""Faint roots: adds the most likely path between the mask and each tip or base that no root reaches.

A thin lateral can fall below every threshold although its tip is detected as an isolated landmark. The path is the
minimum-cost path through the root probability (compare Cohen and Kimmel, "Global minimum for active contour models: a
minimal path approach", IJCV 24, 1997). The cost of a pixel is the negative logarithm of its probability. The path
therefore follows faint roots, and crosses empty agar on the shortest line.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.schemas import Landmark

_MIN_ROOT_SYSTEM_MM2 = 2.0
_WINDOW_MM = 7.0
_MAX_PATH_COST_MM = 5.0
_MIN_PROBABILITY = 0.02
_COST_ALONG_CERTAIN_ROOT = 0.02
_MIN_BASE_SCORE = 0.5
_MAX_ENDS = 300


def add_faint_roots(
    mask_HW: NDArray[np.bool_], maps: ProbabilityMaps, landmarks: Sequence[Landmark]
) -> NDArray[np.bool_]:
    """Return the mask (bool HW) with a path, one pixel wide, from each isolated tip and reliable base to a root.

    The unit of path costs is a millimetre of empty agar. Ends whose path costs more than `_MAX_PATH_COST_MM` remain
    isolated.
    """
    ends = [landmark for landmark in landmarks if landmark.kind != "root_base" or landmark.score >= _MIN_BASE_SCORE]
    ends = sorted(ends, key=lambda landmark: -landmark.score)[:_MAX_ENDS]
    if not ends or not mask_HW.any():
        return mask_HW
    labels_HW, count = ndimage.label(mask_HW, np.ones((3, 3), int))
    is_root_system = np.bincount(labels_HW.ravel(), minlength=count + 1) >= maps.mm2_to_px2(_MIN_ROOT_SYSTEM_MM2)
    is_root_system[0] = False
    reached_HW = is_root_system[labels_HW]
    extended_HW = mask_HW.copy()
    ends_rc = np.round(
        maps.frame.from_source(np.array([[landmark.x, landmark.y] for landmark in ends]))[:, ::-1]
    ).astype(int)
    for row, col in ends_rc.tolist():
        path_rc = _cheapest_path(row, col, reached_HW, maps)
        reached_HW[tuple(path_rc.T)] = True
        extended_HW[tuple(path_rc.T)] = True
    return extended_HW


def _cheapest_path(row: int, col: int, reached_HW: NDArray[np.bool_], maps: ProbabilityMaps) -> NDArray[np.int64]:
    """Return the pixels (row, column) of the cheapest path from a pixel to a reached root; none if all are too far."""
    height, width = reached_HW.shape
    if not (0 <= row < height and 0 <= col < width) or reached_HW[row, col]:
        return np.zeros((0, 2), np.int64)
    half = round(maps.mm_to_px(_WINDOW_MM))
    top, left = max(0, row - half), max(0, col - half)
    window = slice(top, row + half + 1), slice(left, col + half + 1)
    ends = np.argwhere(reached_HW[window])
    if not len(ends):
        return np.zeros((0, 2), np.int64)
    probability = np.maximum(np.arange(256) / 255, _MIN_PROBABILITY)
    cost = (_COST_ALONG_CERTAIN_ROOT + np.log(probability) / np.log(_MIN_PROBABILITY)) / maps.px_per_mm
    path_finder = MCP_Geometric(cost[maps.root_HW[window]])
    total_HW, _ = path_finder.find_costs([(row - top, col - left)], ends, find_all_ends=False)
    end = ends[int(np.argmin(total_HW[tuple(ends.T)]))]
    if total_HW[tuple(end)] > _MAX_PATH_COST_MM:
        return np.zeros((0, 2), np.int64)
    path_rc: NDArray[np.int64] = np.array(path_finder.traceback(end), np.int64) + np.array([top, left])
    return path_rc
