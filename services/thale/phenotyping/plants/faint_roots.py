"""Faint roots: adds the most likely path between the mask and each tip or base that no root reaches.

A thin lateral can fall below every threshold although its tip is detected as an isolated landmark. The path is the
minimum-cost path through the root probability (compare Cohen and Kimmel, "Global minimum for active contour models: a
minimal path approach", IJCV 24, 1997). The cost of a pixel is the negative logarithm of its probability. The path
therefore follows faint roots, and crosses empty agar on the shortest line.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from thale.imaging.components import find_components
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
    components = find_components(mask_HW, 8)
    reached_HW = components.select(components.sizes >= maps.mm2_to_px2(_MIN_ROOT_SYSTEM_MM2))
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
    if not reached_HW[window].any():
        return np.zeros((0, 2), np.int64)
    probability = np.maximum(np.arange(256) / 255, _MIN_PROBABILITY)
    cost = (_COST_ALONG_CERTAIN_ROOT + np.log(probability) / np.log(_MIN_PROBABILITY)) / maps.px_per_mm
    search = _RootSearch(cost[maps.root_HW[window]], reached_HW[window])
    path_rc: NDArray[np.int64] = search.find_path((row - top, col - left)) + np.array([top, left])
    return path_rc


class _RootSearch(MCP_Geometric):  # type: ignore[misc]  # skimage has no types
    """Search of the cheapest path to a reached root, which ends at the first reached pixel or at the maximum cost.

    `find_costs` with the reached pixels as its ends would compare each visited pixel with each of them.
    """

    def __init__(self, cost_HW: NDArray[np.float64], reached_HW: NDArray[np.bool_]) -> None:
        super().__init__(cost_HW)
        self._reached = reached_HW.tobytes("F")
        self._height = len(reached_HW)
        self._end: int | None = None

    def goal_reached(self, index: int, cumcost: float) -> int:
        """Return 2, which ends the search, or 0. The index is that of the Fortran order."""
        if cumcost > _MAX_PATH_COST_MM:
            return 2
        if self._reached[index]:
            self._end = index
            return 2
        return 0

    def find_path(self, start_rc: tuple[int, int]) -> NDArray[np.int64]:
        """Return the pixels (row, column) of the path from a pixel; none without a reached pixel up to the maximum."""
        self.find_costs([start_rc])
        if self._end is None:
            return np.zeros((0, 2), np.int64)
        col, row = divmod(self._end, self._height)
        return np.array(self.traceback((row, col)), np.int64)
