"""The probability maps of one plate with their scale, and the mask in which roots are traced.

Lengths in this package are frame pixels inside and source pixels outside; thresholds are written in millimetres and
turned into pixels by `Maps.px`, in one place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationAnswer
from thale.schemas import Flag

NOMINAL_MM_PER_PX = 0.0625
"""What a pixel is taken for where the scale is unknown: then the models, too, take pixels as they are."""

ROOT_LOW, ROOT_HIGH = 0.35, 0.55
"""A root pixel is likelier than `ROOT_LOW` and hangs together with one likelier than `ROOT_HIGH`."""

_LARGEST_ROOT_SHARE = 0.25
_SMALLEST_ROOT_MM2 = 0.15
_LARGEST_HOLE_MM2 = 0.12
_MOST_ROOT_PIXELS = 1_500_000


@dataclass(frozen=True)
class Maps:
    """Probabilities (uint8 HW, 255 is certain) of root, shoot and seed in pixels of `frame`."""

    root_HW: NDArray[np.uint8]
    shoot_HW: NDArray[np.uint8]
    seed_HW: NDArray[np.uint8]
    frame: Frame
    px_per_mm: float

    @classmethod
    def of(cls, segmentation: SegmentationAnswer) -> "Maps":
        """Return the maps of a segmentation, at the nominal scale where its own is unknown."""
        frame, scale = segmentation.meta.frame, segmentation.meta.calibration.scale
        px_per_mm = frame.factor / scale.mm_per_px if scale.known else 1 / NOMINAL_MM_PER_PX
        root, shoot, seed = (segmentation.plane(name) for name in ("root", "shoot", "seed"))
        return cls(root, shoot, seed, frame, float(px_per_mm))

    def px(self, mm: float) -> float:
        """Return a length of `mm` millimetres in frame pixels."""
        return mm * self.px_per_mm

    def px2(self, mm2: float) -> float:
        """Return an area of `mm2` square millimetres in frame pixels."""
        return mm2 * self.px_per_mm**2


def root_mask(maps: Maps) -> tuple[NDArray[np.bool_], tuple[Flag, ...]]:
    """Return where roots are (bool HW): connected, without specks and pinholes, and what to know about it.

    A map that calls a quarter of the picture root has not understood the picture: its mask is empty and flagged.
    """
    likely_HW = apply_hysteresis_threshold(maps.root_HW, ROOT_LOW * 255, ROOT_HIGH * 255)
    likely_HW &= (maps.root_HW >= maps.shoot_HW) & (maps.root_HW >= maps.seed_HW)
    share = float(likely_HW.mean())
    if share > _LARGEST_ROOT_SHARE:
        message = f"{share:.0%} of the picture looks like root: no root system was traced"
        return np.zeros_like(likely_HW), (Flag(code="root_everywhere", message=message),)
    kept_HW, dropped = _largest_components(likely_HW, maps.px2(_SMALLEST_ROOT_MM2))
    kept_HW |= _small_components(~kept_HW, maps.px2(_LARGEST_HOLE_MM2))
    if not dropped:
        return kept_HW, ()
    message = f"{dropped} small root-like objects were left out: the picture holds too many to trace them all"
    return kept_HW, (Flag(code="clutter", message=message),)


def _largest_components(mask_HW: NDArray[np.bool_], least_px: float) -> tuple[NDArray[np.bool_], int]:
    """Keep components of at least `least_px` pixels, the largest first, up to `_MOST_ROOT_PIXELS` in all."""
    labels_HW, sizes = _label(mask_HW, 8)
    keep = sizes >= least_px
    keep[0] = False
    largest_first = np.argsort(sizes * keep)[::-1]
    within = np.cumsum((sizes * keep)[largest_first]) <= _MOST_ROOT_PIXELS
    dropped = keep[largest_first] & ~within
    keep[largest_first[dropped]] = False
    return keep[labels_HW], int(dropped.sum())


def _small_components(mask_HW: NDArray[np.bool_], most_px: float) -> NDArray[np.bool_]:
    labels_HW, sizes = _label(mask_HW, 4)
    small = sizes <= most_px
    small[0] = False
    return small[labels_HW]


def _label(mask_HW: NDArray[np.bool_], connectivity: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    structure = np.ones((3, 3), int) if connectivity == 8 else None
    labels_HW, _ = ndimage.label(mask_HW, structure)
    return labels_HW, np.bincount(labels_HW.ravel())
