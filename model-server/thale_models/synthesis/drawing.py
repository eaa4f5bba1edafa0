"""Canvas of a float image and a class mask, with anti-aliased strokes that touch only nearby pixels.

A plate has twelve million pixels, and a root covers a few thousand. Every stroke is therefore a `StrokeMask`: the
nearby pixels, with their distances from its centre line. Optical blur is part of the coverage, so the whole image
is never blurred. A canvas may show a window of a larger scene. Its origin is then subtracted from every point.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Points = NDArray[np.float64]
"""N x 2 points as x, y."""

Colour = NDArray[np.float32]
"""Three channels: grey levels 0 to 255, or a factor for each."""

_BATCH_PIXELS = 2_000_000
_LOGISTIC_OF_NORMAL = 1.702
_BLUR_REACH = 2.5


@dataclass(frozen=True)
class StrokeMask:
    """Pixels of one stroke: flat index, distance from the centre line and local radius, in px."""

    flat: NDArray[np.intp]
    distance: NDArray[np.float32]
    radius: NDArray[np.float32]

    def coverage(self, blur_px: float, width: float = 1.0) -> NDArray[np.float32]:
        """Return the fraction of each pixel that the stroke covers, after a Gaussian blur.

        `width` scales the stroke: one mask serves for the stroke and for its darker rim or brighter core.
        """
        radius = self.radius * width
        steepness = _LOGISTIC_OF_NORMAL / max(blur_px, 0.3)

        def cdf(px: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(px * steepness, -40, 40))), np.float32)

        return cdf(radius - self.distance) + cdf(radius + self.distance) - 1.0

    def covered_pixels(self, min_radius_px: float = 0.0) -> NDArray[np.intp]:
        """Return the flat indices of the pixels within the stroke, whose radius is at least `min_radius_px`."""
        return self.flat[self.distance <= np.maximum(self.radius, min_radius_px)]


class PlateCanvas:
    """An image (float32 HW3, grey levels 0 to 255) and its organ mask (uint8 HW)."""

    def __init__(self, height: int, width: int, blur_px: float, origin_xy: tuple[int, int] = (0, 0)) -> None:
        self.image_HW3 = np.zeros((height, width, 3), np.float32)
        self.mask_HW = np.zeros((height, width), np.uint8)
        self.blur_px = blur_px
        self.origin = np.array(origin_xy, np.float64)
        self._nearest = np.full(height * width, np.inf, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.mask_HW.shape
        return height, width

    def rasterise_polyline(self, points_N2: Points, radius_px: float | NDArray[np.floating]) -> StrokeMask:
        """Return the stroke of a polyline. The radius may differ from point to point."""
        radii = np.broadcast_to(np.asarray(radius_px, np.float32), len(points_N2))
        return self._rasterise_segments(points_N2[:-1], points_N2[1:], radii[:-1], radii[1:])

    def rasterise_discs(self, points_N2: Points, radius_px: float | NDArray[np.floating]) -> StrokeMask:
        """Return the stroke of several discs."""
        radii = np.broadcast_to(np.asarray(radius_px, np.float32), len(points_N2))
        return self._rasterise_segments(points_N2, points_N2, radii, radii)

    def rasterise_ellipse(
        self, centre: Points, semi_axes: tuple[float, float], angle: float, bend: float = 0.0
    ) -> StrokeMask:
        """Return the stroke of an ellipse in px. `bend` curves its long axis, as for a leaf in side view."""
        long, short = max(semi_axes[0], 0.5), max(semi_axes[1], 0.5)
        centre = np.asarray(centre) - self.origin
        reach = long * (1 + abs(bend)) + _BLUR_REACH * self.blur_px + 1
        height, width = self.shape
        x0, x1 = np.clip([int(centre[0] - reach), int(centre[0] + reach) + 1], 0, width)
        y0, y1 = np.clip([int(centre[1] - reach), int(centre[1] + reach) + 1], 0, height)
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        across = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        across = across - bend * along**2 / long
        distance = np.hypot(along / long, across / short).astype(np.float32) * short
        near = distance < short + _BLUR_REACH * self.blur_px + 1
        flat = (y.astype(np.intp) * width + x.astype(np.intp))[near]
        return StrokeMask(flat, distance[near], np.full(flat.shape, short, np.float32))

    def shade(self, stroke: StrokeMask, factor: Colour, coverage: NDArray[np.float32] | None = None) -> None:
        """Multiply the light under a stroke by a factor per stroke or per pixel, as a translucent object does."""
        alpha_N = stroke.coverage(self.blur_px) if coverage is None else coverage
        pixels = self.image_HW3.reshape(-1, 3)
        pixels[stroke.flat] *= 1.0 + alpha_N[:, None] * (np.asarray(factor, np.float32) - 1.0)

    def paint(self, stroke: StrokeMask, colour: Colour, opacity: float | NDArray[np.float32] = 1.0) -> None:
        """Blend a colour per stroke or per pixel over the pixels of a stroke."""
        alpha_N1 = (stroke.coverage(self.blur_px) * opacity)[:, None]
        pixels = self.image_HW3.reshape(-1, 3)
        pixels[stroke.flat] = pixels[stroke.flat] * (1.0 - alpha_N1) + np.asarray(colour, np.float32) * alpha_N1

    def set_class(self, stroke: StrokeMask, class_index: int, min_radius_px: float = 0.0) -> None:
        """Write a class to the mask at the pixels of a stroke."""
        self.mask_HW.reshape(-1)[stroke.covered_pixels(min_radius_px)] = class_index

    def shade_window(self, factor: Image.Image, centre: Points) -> None:
        """Multiply a window around `centre` by an image of factors (mode F), clipped to the canvas."""
        values = np.asarray(factor, np.float32)
        left, top = (np.asarray(centre) - self.origin - np.array(factor.size) / 2).round().astype(int)
        height, width = self.shape
        y0, y1 = np.clip([top, top + values.shape[0]], 0, height)
        x0, x1 = np.clip([left, left + values.shape[1]], 0, width)
        self.image_HW3[y0:y1, x0:x1] *= values[y0 - top : y1 - top, x0 - left : x1 - left, None]

    def _rasterise_segments(
        self, start_N2: Points, end_N2: Points, start_radius: NDArray[np.floating], end_radius: NDArray[np.floating]
    ) -> StrokeMask:
        start, end = start_N2 - self.origin, end_N2 - self.origin
        height, width = self.shape
        reach = np.maximum(start_radius, end_radius) + _BLUR_REACH * self.blur_px + 1
        low, high = np.minimum(start, end) - reach[:, None], np.maximum(start, end) + reach[:, None]
        visible = (high > 0).all(1) & (low < [width, height]).all(1)
        start, end, low, high = start[visible], end[visible], low[visible], high[visible]
        radii = np.stack([start_radius[visible], end_radius[visible]], 1).astype(np.float32)
        if not len(start):
            return StrokeMask(np.empty(0, np.intp), np.empty(0, np.float32), np.empty(0, np.float32))
        side = int(np.ceil((high - low).max())) + 1
        batch = max(1, _BATCH_PIXELS // side**2)
        batches = [
            self._near_segments(
                start[i : i + batch], end[i : i + batch], radii[i : i + batch], low[i : i + batch], side
            )
            for i in range(0, len(start), batch)
        ]
        flat, distance, radius = (np.concatenate(column) for column in zip(*batches, strict=True))
        return self._keep_nearest(flat, distance, radius)

    def _near_segments(
        self, start: Points, end: Points, radii: NDArray[np.float32], low: Points, side: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
        corner = np.floor(low)
        offsets = np.arange(side, dtype=np.float32)
        x = (corner[:, 0] - start[:, 0]).astype(np.float32)[:, None, None] + offsets[None, None, :]
        y = (corner[:, 1] - start[:, 1]).astype(np.float32)[:, None, None] + offsets[None, :, None]
        step = (end - start).astype(np.float32)
        length2 = np.maximum((step**2).sum(1), 1e-6)
        unit = step / length2[:, None]
        along = np.clip(x * unit[:, 0, None, None] + y * unit[:, 1, None, None], 0, 1)
        distance = np.hypot(x - along * step[:, 0, None, None], y - along * step[:, 1, None, None])
        radius = radii[:, 0, None, None] + along * (radii[:, 1] - radii[:, 0])[:, None, None]
        height, width = self.shape
        column = corner[:, 0].astype(np.intp)[:, None, None] + np.arange(side)[None, None, :]
        row = corner[:, 1].astype(np.intp)[:, None, None] + np.arange(side)[None, :, None]
        near = distance < radius + np.float32(_BLUR_REACH * self.blur_px + 1)
        near &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
        return (row * width + column)[near], distance[near], radius[near]

    def _keep_nearest(
        self, flat: NDArray[np.intp], distance: NDArray[np.float32], radius: NDArray[np.float32]
    ) -> StrokeMask:
        depth = distance - radius
        np.minimum.at(self._nearest, flat, depth)
        winners = np.flatnonzero(depth == self._nearest[flat])
        self._nearest[flat] = np.inf
        unique, first = np.unique(flat[winners], return_index=True)
        return StrokeMask(unique, distance[winners[first]], radius[winners[first]])


def sample_smooth_field(rng: np.random.Generator, height: int, width: int, cells: int) -> NDArray[np.float32]:
    """Return a smooth random field, float32 HW with a standard deviation of about 1, of `cells` per longer side."""
    longer = max(height, width)
    rows, cols = max(2, round(cells * height / longer)), max(2, round(cells * width / longer))
    coarse = Image.fromarray(rng.standard_normal((rows, cols), dtype=np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
