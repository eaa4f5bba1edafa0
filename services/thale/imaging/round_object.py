"""Search for a large circle in a photograph: a round dish, the field of a microscope, or an eye."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from thale.imaging.reduced_image import ReducedImage

MIN_SUPPORT = 0.6
"""Minimum share of the circumference with an edge across it. Round dishes have at least 0.9, plates and photographs of
other things up to 0.45 (ADR 0115)."""

_SIZE_PX = 160
_MIN_RADIUS_SHARE = 0.22
_MAX_RADIUS_SHARE = 0.56
"""Radius as a share of the image's short side. A larger circle is not completely in the image."""
_ANGLES = 180
_MIN_EDGE_LEVELS = 1.0
_CANDIDATES = 12
_MIN_COSINE = 0.92
"""Minimum cosine of the angle between an edge's normal and the radius. The lines of a grid have only two directions, so
they support at most half of a circle."""


def circle_support(image: ReducedImage) -> float:
    """Return the largest share of the circumference of any large circle that lies on edges across the circle."""
    grey_HW = _shrink(image.grey_HW)
    gradient_y_HW, gradient_x_HW = (ndimage.gaussian_filter(grey_HW, 1.0, order=order) for order in ((1, 0), (0, 1)))
    magnitude_HW = np.hypot(gradient_x_HW, gradient_y_HW)
    threshold = max(_MIN_EDGE_LEVELS, float(np.quantile(magnitude_HW, 0.85)))
    y, x = np.nonzero(magnitude_HW > threshold)
    if len(y) < _ANGLES // 4:
        return 0.0
    towards = np.stack([gradient_x_HW[y, x], gradient_y_HW[y, x]], axis=1) / magnitude_HW[y, x][:, None]
    short = min(grey_HW.shape)
    radii = np.arange(_MIN_RADIUS_SHARE * short, _MAX_RADIUS_SHARE * short, 1.0)
    votes_HW = _vote_for_centres(np.stack([x, y], axis=1), towards, radii, grey_HW.shape)
    best = 0.0
    smooth_HW = ndimage.gaussian_filter(votes_HW, 1.0)
    for index in np.argsort(-smooth_HW, axis=None)[:_CANDIDATES]:
        centre_y, centre_x = np.unravel_index(index, smooth_HW.shape)
        centre = (float(centre_x), float(centre_y))
        best = max(best, _support(gradient_x_HW, gradient_y_HW, threshold / 2, centre, radii))
    return best


def _shrink(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = grey_HW.shape
    factor = _SIZE_PX / max(height, width)
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    return np.asarray(Image.fromarray(grey_HW).resize(size, Image.Resampling.BOX), np.float32)


def _vote_for_centres(
    points_N2: NDArray[np.intp], towards_N2: NDArray[np.float32], radii: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the number of edges whose normal passes through each pixel at a possible radius, on either side."""
    votes_HW = np.zeros(shape)
    for radius in (*radii[::2], *(-radii[::2])):
        centres_N2 = np.rint(points_N2 + radius * towards_N2).astype(np.intp)
        inside = ((centres_N2 >= 0) & (centres_N2 < [shape[1], shape[0]])).all(axis=1)
        np.add.at(votes_HW, (centres_N2[inside, 1], centres_N2[inside, 0]), 1)
    return votes_HW


def _support(
    gradient_x_HW: NDArray[np.float32],
    gradient_y_HW: NDArray[np.float32],
    threshold: float,
    centre_xy: tuple[float, float],
    radii: NDArray[np.float64],
) -> float:
    """Return the largest share of directions in which an edge of one polarity crosses a circle around the centre."""
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    height, width = gradient_x_HW.shape
    x = np.rint(centre_xy[0] + radii[:, None] * cos).astype(np.intp)
    y = np.rint(centre_xy[1] + radii[:, None] * sin).astype(np.intp)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    radial_RA = np.where(inside, gradient_x_HW[y, x] * cos + gradient_y_HW[y, x] * sin, 0)
    is_across_RA = np.abs(radial_RA) > _MIN_COSINE * np.hypot(gradient_x_HW[y, x], gradient_y_HW[y, x])
    radial_RA = np.where(is_across_RA, radial_RA, 0)
    crossing_RA = [ndimage.maximum_filter1d(sign * radial_RA, 3, axis=0) > threshold for sign in (1, -1)]
    return float(max(cast(float, crossing.mean(axis=1).max()) for crossing in crossing_RA))
