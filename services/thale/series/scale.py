"""Changes of scale between photographs, and their check by the distances between plants.

A wrong scale is a silent error of every length. The distances between root bases do not change, so they show whether
a change of the millimetres per pixel is one of the camera or one of the calibration.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag
from thale.series.matching import POSITION_SD_MM
from thale.series.registration import Photograph, has_scale

CHANGE_SHARE = 0.03
"""Change of scale that is flagged, as for a given scale that contradicts the plate's edge."""

_MAX_TOLERANCE = 0.1
_Z_90 = 1.645


def find_scale_changes(
    before: Photograph,
    after: Photograph,
    bases: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[Flag, ...]:
    """Return the flags of a change of scale between two photographs.

    `scale_changed` has both values. `scale_inconsistent` means that sizes in millimetres contradict each other, and
    `scale_unconfirmed` that nothing confirms the change. Both make growth rates uncertain.

    Args:
        before: The earlier photograph.
        after: The later photograph.
        bases: Root bases of each plant that is on both, in millimetres.
    """
    old, new = before.phenotype.scale, after.phenotype.scale
    if not (has_scale(before.phenotype) and has_scale(after.phenotype)):
        return ()
    flags = []
    side_ratio = after.plate_side_px / before.plate_side_px
    has_changed = _differs(new.mm_per_px / old.mm_per_px) or _differs(side_ratio) or old.source != new.source
    if has_changed:
        flags.append(Flag(code="scale_changed", message=_describe(before, after)))
    side_mm_ratio = after.plate_side_mm / before.plate_side_mm
    spacing_ratio, tolerance = _spacing_ratio(bases)
    if _differs(side_mm_ratio):
        message = (
            f"the plate is {before.plate_side_mm:.1f} mm wide on {before.name}, and {after.plate_side_mm:.1f} mm on "
            f"{after.name}: one scale is wrong; remove --mm-per-px, or give each scale"
        )
        flags.append(Flag(code="scale_inconsistent", message=message))
    elif abs(spacing_ratio - 1) > tolerance:
        message = (
            f"the distances between plants changed by {spacing_ratio - 1:+.0%} from {before.name} to {after.name}: one "
            "scale is wrong; compare the plate's edge on both overlays"
        )
        flags.append(Flag(code="scale_inconsistent", message=message))
    elif has_changed and not tolerance <= _MAX_TOLERANCE:
        message = (
            f"too few plants are on both {before.name} and {after.name} to confirm the change of scale: compare the "
            "plate's edge on both overlays"
        )
        flags.append(Flag(code="scale_unconfirmed", message=message))
    return tuple(flags)


def _differs(ratio: float) -> bool:
    return not math.isnan(ratio) and abs(ratio - 1) > CHANGE_SHARE


def _describe(before: Photograph, after: Photograph) -> str:
    parts = []
    for photograph in (before, after):
        scale = photograph.phenotype.scale
        side = photograph.plate_side_px
        plate = "" if math.isnan(side) else f", plate {side:.0f} px"
        parts.append(f"{scale.mm_per_px:.4g} mm/px ({scale.source.replace('_', ' ')}{plate}) on {photograph.name}")
    return f"the scale is {parts[0]}, and {parts[1]}"


def _spacing_ratio(bases: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float]:
    """Return the ratio of the extents of the root bases, and its tolerance: 90 % limits, infinite below two plants."""
    if len(bases) < 2:
        return 1.0, math.inf
    old, new = (np.array([pair[index] for pair in bases]) for index in (0, 1))
    old_extent, new_extent = (float(np.linalg.norm(points - points.mean(axis=0))) for points in (old, new))
    if old_extent <= 0 or new_extent <= 0:
        return 1.0, math.inf
    return new_extent / old_extent, max(CHANGE_SHARE, _Z_90 * math.sqrt(2) * POSITION_SD_MM / old_extent)
