"""Appearance of a square that plate detection has found: is it a dish of agar, or a frame, a grid or a page?

A dish has rounded corners, several parallel rims along each side, and agar that is even apart from thin roots. A frame,
a tile, a window or a printed grid has sharp corners or single lines, and a page, a tissue or soil is uneven everywhere.
The limits are between synthetic plates and drawn pictures of other things (ADR 0115).
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thale.imaging.reduced_image import ReducedImage
from thale.schemas import Plate

MAX_CORNER_EDGE_SHARE = 0.3
"""Maximum share of the outermost 3 mm of the sides with the edge of the side. The edge of a dish has left its line
there, because the smallest corner radius is 8 mm. Plates have up to 0.1, drawn squares at least 0.39."""

MIN_RIM_LINES = 3
"""Minimum number of parallel lines along the side with the second fewest. Plates have at least 4, frames 1 or 2."""

MAX_BUSY_SHARE = 0.15
"""Maximum share of the agar on an edge. Plates have up to 0.04, and 0.1 with the contrast multiplied by 2.5."""

MAX_ROUGHNESS = 2.0
"""Maximum median gradient of the agar, in grey levels per reduced pixel. Plates have up to 0.33, and 1.4 with a noise
of 8 grey levels."""

MAX_HORIZONTAL_LINE_SHARE = 0.6
"""Maximum share of the width of the agar that one horizontal line covers. No root grows straight across a dish. A
vertical root and the side of a label are lines too, so only horizontal lines count."""

_PX_PER_MM = 6
_SIDE_MM = 120
"""Side of a dish in this module. Other dishes have the same proportions."""
_MARGIN_MM, _RIM_MM = 2, 10
_EDGE_LEVELS = 10.0
_SMOOTHING_PX = 0.8
_ALONG_PX = 3.0
"""Smoothing along a side, so that noise is no edge where the side's own edge is faint."""
_MIN_RIM_STRENGTH = 0.25
_SEGMENTS = 5


@dataclass(frozen=True)
class DishAppearance:
    """Properties of a square; the limits of this module state their meaning."""

    corner_edge_share: float
    rim_lines: int
    busy_share: float
    roughness: float
    horizontal_line_share: float

    def doubts(self) -> list[str]:
        """Return the reasons why the square is not a dish of agar; none if it looks like one."""
        reasons = []
        if self.corner_edge_share > MAX_CORNER_EDGE_SHARE:
            reasons.append("its corners are sharp, and those of a dish are round")
        if self.rim_lines < MIN_RIM_LINES:
            reasons.append("it has no parallel rims of a lid and a base")
        if self.busy_share > MAX_BUSY_SHARE or self.roughness > MAX_ROUGHNESS:
            reasons.append("its inside is patterned, and agar is even")
        if self.horizontal_line_share > MAX_HORIZONTAL_LINE_SHARE:
            reasons.append("a straight line crosses its inside")
        return reasons


def dish_appearance(image: ReducedImage, plate: Plate) -> DishAppearance:
    """Return the properties of a square in a photograph."""
    upright_HW = _rectify(image, plate)
    margin, rim = _MARGIN_MM * _PX_PER_MM, (_MARGIN_MM + _RIM_MM) * _PX_PER_MM
    gradient_x_HW, gradient_y_HW = (
        ndimage.gaussian_filter(upright_HW, _SMOOTHING_PX, order=order) for order in ((0, 1), (1, 0))
    )
    agar = (slice(rim, -rim), slice(rim, -rim))
    magnitude_HW = np.hypot(gradient_x_HW, gradient_y_HW)[agar]
    roughness = float(np.median(magnitude_HW))
    sides = [_side_edges(gradient_x_HW, gradient_y_HW, side) for side in range(4)]
    return DishAppearance(
        corner_edge_share=float(np.mean([_corner_edge_share(edges_HW, margin, roughness) for edges_HW in sides])),
        rim_lines=sorted(_count_rim_lines(edges_HW, margin) for edges_HW in sides)[1],
        busy_share=float((magnitude_HW > _EDGE_LEVELS).mean()),
        roughness=roughness,
        horizontal_line_share=_line_share(gradient_y_HW[agar], roughness),
    )


def _rectify(image: ReducedImage, plate: Plate) -> NDArray[np.float32]:
    """Return the square, upright and with a margin, at 6 pixels per mm of a dish of 120 mm."""
    size = (_SIDE_MM + 2 * _MARGIN_MM) * _PX_PER_MM
    corners_42 = image.from_source(np.array([(corner.x, corner.y) for corner in plate.corners]))
    share = (np.arange(size) + 0.5) / (_SIDE_MM * _PX_PER_MM) - _MARGIN_MM / _SIDE_MM
    u_HW, v_HW = np.meshgrid(share, share)
    weights_4HW = np.stack([(1 - u_HW) * (1 - v_HW), u_HW * (1 - v_HW), u_HW * v_HW, (1 - u_HW) * v_HW])
    xy_HW2 = np.tensordot(weights_4HW, corners_42, axes=(0, 0))
    coordinates = [xy_HW2[..., 1], xy_HW2[..., 0]]
    return cast(NDArray[np.float32], ndimage.map_coordinates(image.grey_HW, coordinates, order=1, mode="nearest"))


def _side_edges(
    gradient_x_HW: NDArray[np.float32], gradient_y_HW: NDArray[np.float32], side: int
) -> NDArray[np.float32]:
    """Return the gradient across a side, turned so that the side is at the top."""
    if side % 2 == 0:
        return gradient_y_HW if side == 0 else -gradient_y_HW[::-1]
    return (gradient_x_HW if side == 1 else -gradient_x_HW[:, ::-1]).T


def _corner_edge_share(edges_HW: NDArray[np.float32], margin: int, roughness: float) -> float:
    """Return the share of both ends of a side, from 0.5 to 3 mm off the corners, with the edge of its middle."""
    band_HW = ndimage.gaussian_filter1d(edges_HW[margin - _PX_PER_MM : margin + _PX_PER_MM], _ALONG_PX, axis=1)
    middle = slice(margin + 20 * _PX_PER_MM, -(margin + 20 * _PX_PER_MM))
    profile = band_HW[:, middle].mean(axis=1)
    row = int(np.abs(profile).argmax())
    line_W = ndimage.maximum_filter1d(np.sign(profile[row]) * band_HW, 3, axis=0)[row]
    threshold = max(float(np.median(line_W[middle])) / 2, roughness / 4)
    near, far = margin + _PX_PER_MM // 2, margin + 3 * _PX_PER_MM
    ends = np.concatenate([line_W[near:far], line_W[-far:-near]])
    return float((ends > threshold).mean())


def _count_rim_lines(edges_HW: NDArray[np.float32], margin: int) -> int:
    """Return the number of edges within 8 mm of a side. A rim may be slightly oblique, so segments are evaluated."""
    middle = slice(margin + 25 * _PX_PER_MM, -(margin + 25 * _PX_PER_MM))
    band_HW = edges_HW[margin - _PX_PER_MM : margin + 8 * _PX_PER_MM, middle]
    medians_SH = np.stack([np.median(segment_HW, axis=1) for segment_HW in np.array_split(band_HW, _SEGMENTS, axis=1)])
    strength_H = np.abs(medians_SH).mean(axis=0)
    is_line_H = (strength_H == ndimage.maximum_filter1d(strength_H, 5)) & (strength_H > _MIN_RIM_STRENGTH)
    return int(is_line_H.sum())


def _line_share(gradient_y_HW: NDArray[np.float32], roughness: float) -> float:
    """Return the largest share of a row with an edge of one polarity."""
    threshold = max(2.5 * roughness, 1.0)
    shares = [
        (ndimage.maximum_filter1d(sign * gradient_y_HW, 3, axis=0) > threshold).mean(axis=1).max() for sign in (1, -1)
    ]
    return float(max(shares))
