"""Checks of the pixels of an image: drawings, few grey levels, and clipped light."""

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag

MAX_FLAT_SHARE = 0.97
"""Maximum share of pixels that equal their right neighbour. Sensor noise makes neighbours differ: synthetic plates have
up to 0.88, drawings at least 0.87, and those without text 0.97. A JPEG of quality 20 has up to 0.93."""

MIN_GREY_LEVELS = 12
"""Minimum number of grey levels between the darkest and the brightest percent, if levels between them are missing. The
contrast of roots is 3 to 18 %, so most of them would be lost."""

MAX_CLIPPED_SHARE = 0.2
"""Maximum share of pixels that are black or white."""

_MAX_SAMPLES = 300_000
_TAIL = 0.01
_MIN_USE = 0.01
"""Minimum frequency of a used level, as a share of the mean frequency."""


def pixel_flags(pixels_HW3: NDArray[np.uint8]) -> list[Flag]:
    """Return a flag for each property of the pixels that makes traits uncertain.

    Args:
        pixels_HW3: The image, or the part of it that shows the plate.
    """
    rows = max(1, pixels_HW3.size // 3 // _MAX_SAMPLES)
    sampled_HW3 = pixels_HW3[::rows]
    flags = []
    flat_share = float((sampled_HW3[:, 1:] == sampled_HW3[:, :-1]).all(axis=2).mean())
    if flat_share > MAX_FLAT_SHARE:
        message = (
            f"this is not a photograph: {flat_share:.0%} of the pixels equal their neighbour, as in a drawing or a "
            "screenshot; send the file of the camera"
        )
        flags.append(Flag(code="not_a_photograph", message=message))
    counts = np.bincount(sampled_HW3[..., 1].ravel(), minlength=256)
    levels, span = _grey_levels(counts)
    if levels < MIN_GREY_LEVELS and span > 2 * levels:
        message = (
            f"the image has only {levels} grey levels over a range of {span}, so faint roots are lost: send the file "
            "of the camera, without conversion to fewer levels"
        )
        flags.append(Flag(code="few_grey_levels", message=message))
    clipped_share = float(max(counts[:2].sum(), counts[254:].sum()) / counts.sum())
    if clipped_share > MAX_CLIPPED_SHARE and flat_share <= MAX_FLAT_SHARE:
        message = (
            f"{clipped_share:.0%} of the plate is black or white, so roots may be invisible there: change the exposure"
        )
        flags.append(Flag(code="clipped", message=message))
    return flags


def _grey_levels(counts_256: NDArray[np.intp]) -> tuple[int, int]:
    """Return the number of used grey levels, and the range, between the 1st and the 99th percentile."""
    cumulative = counts_256.cumsum() / counts_256.sum()
    low, high = np.searchsorted(cumulative, [_TAIL, 1 - _TAIL])
    counts = counts_256[low : high + 1]
    return int((counts > _MIN_USE * counts.mean()).sum()), len(counts)
