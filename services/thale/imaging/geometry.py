"""Geometry of resampled images: frames that map pixels to the source image, and tiles for inference."""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Window = tuple[slice, slice]


class Frame(BaseModel):
    """A rectangle of the source image, resampled to `width` x `height` pixels.

    `x0, y0` is the rectangle's top left corner in source pixels. `factor` is the number of frame pixels per source
    pixel. Pixel centres have integer coordinates in both images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x0: int
    """Left edge of the rectangle in source pixels."""
    y0: int
    """Upper edge of the rectangle in source pixels."""
    source_width: int = Field(gt=0)
    """Width of the rectangle in source pixels."""
    source_height: int = Field(gt=0)
    """Height of the rectangle in source pixels."""
    width: int = Field(gt=0)
    """Width of the frame in pixels."""
    height: int = Field(gt=0)
    """Height of the frame in pixels."""

    @classmethod
    def from_box(cls, box_xyxy: tuple[int, int, int, int], factor: float) -> "Frame":
        """Return the frame of a box of the source image at `factor` frame pixels per source pixel."""
        x0, y0, x1, y1 = box_xyxy
        return cls(
            x0=x0,
            y0=y0,
            source_width=x1 - x0,
            source_height=y1 - y0,
            width=max(1, round((x1 - x0) * factor)),
            height=max(1, round((y1 - y0) * factor)),
        )

    @property
    def factor(self) -> float:
        """Frame pixels per source pixel, as the geometric mean of both axes, which differ only by rounding."""
        return float(np.sqrt(self.width * self.height / (self.source_width * self.source_height)))

    def to_source(self, points_N2: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return frame points (x, y) in source pixels."""
        scale = np.array([self.source_width / self.width, self.source_height / self.height])
        shifted = (np.asarray(points_N2, np.float64) + 0.5) * scale - 0.5
        return cast(NDArray[np.float64], shifted + np.array([self.x0, self.y0]))

    def from_source(self, points_N2: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return source points (x, y) in frame pixels."""
        scale = np.array([self.width / self.source_width, self.height / self.source_height])
        relative = np.asarray(points_N2, np.float64) - np.array([self.x0, self.y0]) + 0.5
        return cast(NDArray[np.float64], relative * scale - 0.5)


def tiles(height: int, width: int, tile_px: int, overlap_px: int) -> Iterator[Window]:
    """Yield windows of at most `tile_px` x `tile_px` pixels that cover height x width and overlap their neighbours.

    The number of windows is minimal, and all have the same size. It is the smallest size with this overlap, because
    the network processes overlapping pixels twice (ADR 0033).

    Raises:
        ValueError: If the overlap is negative or not smaller than the tile.
    """
    if not 0 <= overlap_px < tile_px:
        raise ValueError(
            f"overlap {overlap_px} px is invalid: it must be 0 or more and less than the tile ({tile_px} px)"
        )
    for rows in _spans(height, tile_px, overlap_px):
        for columns in _spans(width, tile_px, overlap_px):
            yield rows, columns


def _spans(length: int, tile_px: int, overlap_px: int) -> list[slice]:
    count = max(1, math.ceil((length - overlap_px) / (tile_px - overlap_px)))
    side = math.ceil((length + (count - 1) * overlap_px) / count)
    return [slice(round(start), round(start) + side) for start in np.linspace(0, length - side, count)]


def tile_weights(height: int, width: int, overlap_px: int) -> NDArray[np.float32]:
    """Return the blending weight of each pixel of a tile, float32 HW.

    Weights fall towards the edges, so that overlapping tiles blend without a seam.
    """

    def ramp(length: int) -> NDArray[np.float32]:
        distance = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float32)
        return np.minimum(distance / max(1, overlap_px), 1.0)

    return np.outer(ramp(height), ramp(width)).astype(np.float32)
