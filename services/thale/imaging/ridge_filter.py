"""Where lines run in a photograph, found without a net: the second method, run beside it as a quality check.

A root is a ridge of the grey levels: along its normal they bend strongly, along its run they do not. What bends is
told by the larger eigenvalue of the Hessian, at the scale of the root's width (Lindeberg, "Edge detection and ridge
detection with automatic scale selection", IJCV 30, 1998; Sato et al., Medical Image Analysis 2, 1998). Three octaves
cover the roots of a plate. `skimage.filters.sato` takes seven times as long for one polarity: it differentiates by
convolution and holds every scale of the whole picture; here differences of one smoothed band do.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

SIGMA_PX = 1.2
"""Standard deviation of the smoothing on each octave. With pixels of 0.0625 mm: lines 0.15 to 1 mm wide."""

NOISE_FLOOR = 3
"""Fainter ridges (grey levels) are noise, and left out: the plane is empty where nothing is, and packs well."""

_OCTAVES = 3
_BAND_ROWS = 256
_HALO_ROWS = 32
_TRUNCATE = 3.0
_MAX_CONTRAST = 127
_CONTRAST_OF_CURVATURE = 1.5 * np.sqrt(3)
"""A line of Gaussian profile and contrast c bends by at most 2 / (3 sqrt 3) c at its own scale."""


def ridge_response(pixels_HW3: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return each pixel's ridge, int8 HW: its contrast in grey levels, positive where bright, 0 where there is none.

    It goes by bands of rows whose halo holds all that a filter reaches, so the answer is the same as in one piece,
    and beside it memory holds one band.
    """
    height, width = pixels_HW3.shape[:2]
    response_HW = np.empty((height, width), np.int8)
    for rows, halo_rows in _row_bands(height):
        grey_HW = np.asarray(Image.fromarray(pixels_HW3[halo_rows]).convert("L"), np.float32)
        contrast_HW = _multiscale_ridges(grey_HW)[rows.start - halo_rows.start :][: rows.stop - rows.start]
        contrast_HW[np.abs(contrast_HW) < NOISE_FLOOR] = 0
        response_HW[rows] = np.clip(contrast_HW, -_MAX_CONTRAST, _MAX_CONTRAST)
    return response_HW


def _row_bands(height: int) -> Iterator[tuple[slice, slice]]:
    """Yield bands of rows and the rows that must be seen for them; both begin at whole pixels of every octave."""
    for top in range(0, height, _BAND_ROWS):
        bottom = min(height, top + _BAND_ROWS)
        yield slice(top, bottom), slice(max(0, top - _HALO_ROWS), min(height, bottom + _HALO_ROWS))


def _multiscale_ridges(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return signed ridge contrast, at each pixel that of the octave where it is strongest."""
    strongest_HW = _hessian_eigenvalue(grey_HW)
    for octave in range(1, _OCTAVES):
        coarse = Image.fromarray(grey_HW).reduce(2**octave)
        coarse_response = Image.fromarray(_hessian_eigenvalue(np.asarray(coarse)))
        # Sizes that no power of two divides: the last row and column of `reduce` stand for fewer pixels.
        full_size = tuple(side * 2**octave for side in coarse_response.size)
        upsampled_HW = np.asarray(coarse_response.resize(full_size, Image.Resampling.BILINEAR))[
            : len(grey_HW), : grey_HW.shape[1]
        ]
        np.copyto(strongest_HW, upsampled_HW, where=np.abs(upsampled_HW) > np.abs(strongest_HW))
    return strongest_HW


def _hessian_eigenvalue(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Hessian's eigenvalue of larger magnitude as contrast: a bright line bends down and counts positive."""
    smooth_HW = np.pad(gaussian_filter(grey_HW, SIGMA_PX, truncate=_TRUNCATE, mode="nearest"), 1, mode="edge")
    centre = smooth_HW[1:-1, 1:-1]
    across = smooth_HW[1:-1, 2:] + smooth_HW[1:-1, :-2] - 2 * centre
    down = smooth_HW[2:, 1:-1] + smooth_HW[:-2, 1:-1] - 2 * centre
    mixed = (smooth_HW[2:, 2:] + smooth_HW[:-2, :-2] - smooth_HW[2:, :-2] - smooth_HW[:-2, 2:]) / 4
    mean = (across + down) / 2
    spread = np.sqrt(((across - down) / 2) ** 2 + mixed**2)
    larger = np.where(mean > 0, mean + spread, mean - spread)
    return cast(NDArray[np.float32], np.float32(-(SIGMA_PX**2) * _CONTRAST_OF_CURVATURE) * larger)
