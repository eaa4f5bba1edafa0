"""Probability maps of one plate with their scale, and the mask in which roots are traced.

This package works in frame pixels and returns source pixels. Thresholds are in millimetres;
`ProbabilityMaps.mm_to_px` converts them to pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.imaging.components import fill_small_holes, find_components, hysteresis_mask
from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationPrediction
from thale.schemas import Flag

NOMINAL_MM_PER_PX = 0.0625
"""Assumed scale if the scale is unknown. The models then process the pixels without resampling."""

ROOT_LOW, ROOT_HIGH = 0.35, 0.55
"""Hysteresis thresholds: a root pixel exceeds `ROOT_LOW` and is connected to one that exceeds `ROOT_HIGH`."""

_MAX_ROOT_SHARE = 0.25
_MIN_ROOT_MM2 = 0.15
_MAX_HOLE_MM2 = 0.12
_MAX_ROOT_PIXELS = 1_500_000


@dataclass(frozen=True)
class ProbabilityMaps:
    """Probabilities (uint8 HW, 255 is certain) of root, shoot and seed, in pixels of `frame`."""

    root_HW: NDArray[np.uint8]
    shoot_HW: NDArray[np.uint8]
    seed_HW: NDArray[np.uint8]
    frame: Frame
    px_per_mm: float

    @classmethod
    def from_prediction(cls, segmentation: SegmentationPrediction) -> "ProbabilityMaps":
        """Return the maps of a segmentation, at the nominal scale if its scale is unknown."""
        frame, scale = segmentation.meta.frame, segmentation.meta.calibration.scale
        px_per_mm = frame.factor / scale.mm_per_px if scale.is_known else 1 / NOMINAL_MM_PER_PX
        root, shoot, seed = (segmentation.class_probability(name) for name in ("root", "shoot", "seed"))
        return cls(root, shoot, seed, frame, float(px_per_mm))

    def mm_to_px(self, mm: float) -> float:
        """Return a length of `mm` millimetres in frame pixels."""
        return mm * self.px_per_mm

    def mm2_to_px2(self, mm2: float) -> float:
        """Return an area of `mm2` square millimetres in frame pixels."""
        return mm2 * self.px_per_mm**2


def root_mask(maps: ProbabilityMaps) -> tuple[NDArray[np.bool_], tuple[Flag, ...]]:
    """Return the root mask (bool HW) without small components and holes, and its flags.

    If more than a quarter of the image is root, the prediction is wrong: the mask is empty and flagged.
    """
    likely_HW = hysteresis_mask(maps.root_HW, ROOT_LOW * 255, ROOT_HIGH * 255)
    likely_HW &= (maps.root_HW >= maps.shoot_HW) & (maps.root_HW >= maps.seed_HW)
    share = np.count_nonzero(likely_HW) / likely_HW.size
    if share > _MAX_ROOT_SHARE:
        message = f"{share:.0%} of the image is classified as root: no root system was traced"
        return np.zeros_like(likely_HW), (Flag(code="root_everywhere", message=message),)
    mask_HW, dropped_count = _select_largest_components(likely_HW, maps.mm2_to_px2(_MIN_ROOT_MM2))
    fill_small_holes(mask_HW, maps.mm2_to_px2(_MAX_HOLE_MM2))
    if not dropped_count:
        return mask_HW, ()
    message = f"{dropped_count} small root-like objects were ignored: the image has too many root pixels to trace"
    return mask_HW, (Flag(code="clutter", message=message),)


def _select_largest_components(mask_HW: NDArray[np.bool_], min_px: float) -> tuple[NDArray[np.bool_], int]:
    """Select components of at least `min_px` pixels, the largest first, up to a total of `_MAX_ROOT_PIXELS`.

    Returns:
        The mask of the selected components, and the number of components beyond the total.
    """
    components = find_components(mask_HW, 8)
    sizes = components.sizes
    is_selected = sizes >= min_px
    is_selected[0] = False
    largest_first = np.argsort(sizes * is_selected)[::-1]
    is_within_limit = np.cumsum((sizes * is_selected)[largest_first]) <= _MAX_ROOT_PIXELS
    is_dropped = is_selected[largest_first] & ~is_within_limit
    is_selected[largest_first[is_dropped]] = False
    return components.select(is_selected), int(is_dropped.sum())
