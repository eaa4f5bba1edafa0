"""Insertion angle of each lateral: the angle between the lateral and the tip direction of its parent.

Lobet, Pagès and Draye 2011, SmartRoot, Plant Physiology 157, 29-39, doi:10.1104/pp.111.179895. Both directions are
chords of fixed length, because the direction of a traced line at one point depends on its smoothing.
"""

import math
from collections.abc import Sequence

import numpy as np

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points

_PARENT_REACH_MM = 0.5
_SKIP_MM, _REACH_MM = 0.3, 2.0
"""Ends of the lateral's chord. Its first part lies inside the parent, and follows the tracing rather than the root."""
_MIN_LENGTH_MM = 1.0
_MAX_GAP_MM = 0.5


def insertion_angles(lines: Sequence[Points], parents: Sequence[int | None], px_per_mm: float) -> list[float]:
    """Return the insertion angle of each root, degrees; NaN for a primary root.

    It is also NaN for a lateral of less than 1 mm, and for one that starts more than 0.5 mm from its parent's line.

    Args:
        lines: Centre lines from origin to tip, at unit steps.
        parents: Index of the parent of each root; None for a primary root.
        px_per_mm: Pixels of the lines per millimetre.
    """
    return [
        math.nan if parent is None else _insertion_angle(line, lines[parent], px_per_mm)
        for line, parent in zip(lines, parents, strict=True)
    ]


def _insertion_angle(lateral: Points, parent: Points, px_per_mm: float) -> float:
    index, gap = polyline.nearest(parent, lateral[0])
    if gap > _MAX_GAP_MM * px_per_mm or polyline.length(lateral) < _MIN_LENGTH_MM * px_per_mm or len(parent) < 2:
        return math.nan
    reach = max(1, round(_PARENT_REACH_MM * px_per_mm))
    along = parent[min(index + reach, len(parent) - 1)] - parent[max(index - reach, 0)]
    outward = polyline.direction(lateral, _SKIP_MM * px_per_mm, _REACH_MM * px_per_mm)
    norm = float(np.hypot(*along))
    if norm == 0 or not outward.any():
        return math.nan
    return math.degrees(math.acos(float(np.clip(outward @ along / norm, -1, 1))))
