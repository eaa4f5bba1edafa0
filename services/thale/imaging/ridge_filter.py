"""Hessian ridge filter: a classical line detector, used as an independent quality check of the network (ADR 0040).

A root is a ridge of the grey levels: their curvature is high across the root and low along it. The curvature is the
Hessian's eigenvalue of larger magnitude, at the scale of the root's width (Lindeberg, "Edge detection and ridge
detection with
automatic scale selection", IJCV 30, 1998; Sato et al., Medical Image Analysis 2, 1998). Three octaves cover the roots
of a plate. `skimage.filters.sato` takes seven times as long for one polarity. It differentiates by convolution and
stores every scale of the whole image; this filter uses differences of one smoothed band.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

SIGMA_PX = 1.2
"""Standard deviation of the smoothing on each octave. With pixels of 0.0625 mm, it detects lines 0.15 to 1 mm wide."""

NOISE_FLOOR = 3
"""Minimum contrast of a ridge in grey levels. Weaker responses are noise and set to 0, so that the map also
compresses well."""

_OCTAVES = 3
_BAND_ROWS = 256
_HALO_ROWS = 32
_TRUNCATE = 3.0
_MAX_CONTRAST = 127
_CONTRAST_OF_CURVATURE = 1.5 * np.sqrt(3)
"""The maximum over scales of the normalised curvature of a Gaussian line with contrast c is 2 / (3 sqrt 3) c."""


def ridge_response(pixels_HW3: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the ridge contrast of each pixel in grey levels, int8 HW: positive for bright ridges, 0 without a ridge.

    The filter processes bands of rows to limit memory. The halo of a band exceeds the filter's support, so that the
    result equals that of the whole image.
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
    """Yield bands of rows, each without and with its halo. Both start at integer pixels of every octave."""
    for top in range(0, height, _BAND_ROWS):
        bottom = min(height, top + _BAND_ROWS)
        yield slice(top, bottom), slice(max(0, top - _HALO_ROWS), min(height, bottom + _HALO_ROWS))


def _multiscale_ridges(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed ridge contrast of each pixel, at the octave with the strongest response."""
    strongest_HW = _hessian_eigenvalue(grey_HW)
    for octave in range(1, _OCTAVES):
        coarse = Image.fromarray(grey_HW).reduce(2**octave)
        coarse_response = Image.fromarray(_hessian_eigenvalue(np.asarray(coarse)))
        # If a side is not a multiple of 2**octave, the last row or column of `reduce` covers fewer pixels.
        full_size = tuple(side * 2**octave for side in coarse_response.size)
        upsampled_HW = np.asarray(coarse_response.resize(full_size, Image.Resampling.BILINEAR))[
            : len(grey_HW), : grey_HW.shape[1]
        ]
        np.copyto(strongest_HW, upsampled_HW, where=np.abs(upsampled_HW) > np.abs(strongest_HW))
    return strongest_HW


def _hessian_eigenvalue(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Hessian's eigenvalue of larger magnitude as a contrast, positive for bright lines."""
    smooth_HW = np.pad(gaussian_filter(grey_HW, SIGMA_PX, truncate=_TRUNCATE, mode="nearest"), 1, mode="edge")
    centre = smooth_HW[1:-1, 1:-1]
    across = smooth_HW[1:-1, 2:] + smooth_HW[1:-1, :-2] - 2 * centre
    down = smooth_HW[2:, 1:-1] + smooth_HW[:-2, 1:-1] - 2 * centre
    mixed = (smooth_HW[2:, 2:] + smooth_HW[:-2, :-2] - smooth_HW[2:, :-2] - smooth_HW[:-2, 2:]) / 4
    mean = (across + down) / 2
    spread = np.sqrt(((across - down) / 2) ** 2 + mixed**2)
    larger = np.where(mean > 0, mean + spread, mean - spread)
    return cast(NDArray[np.float32], np.float32(-(SIGMA_PX**2) * _CONTRAST_OF_CURVATURE) * larger)
