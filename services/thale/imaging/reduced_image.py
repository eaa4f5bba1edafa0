"""Grey copy of a photograph, reduced to about a thousand pixels, on which dishes are searched and checked."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONG_SIDE_PX = 1100
"""Maximum length of the long side. The rims of a plate are still separate lines, and a search takes 0.2 s."""
_BAND_ROWS = 32


@dataclass(frozen=True)
class ReducedImage:
    """A part of a photograph in grey levels, float32 HW.

    One pixel is the mean of `step` x `step` source pixels. `offset_xy` is the part's first pixel in the reduced image.
    """

    grey_HW: NDArray[np.float32]
    step: int
    offset_xy: tuple[int, int] = (0, 0)

    def to_source(self, points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions of this part in source pixels."""
        return np.asarray((points_N2 + np.array(self.offset_xy) + 0.5) * self.step - 0.5)

    def from_source(self, points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return source positions in pixels of this part."""
        return np.asarray((points_N2 + 0.5) / self.step - 0.5 - np.array(self.offset_xy))

    def crop(self, left: int, top: int, right: int, bottom: int) -> "ReducedImage":
        """Return the part between two columns and two rows; the last ones are exclusive."""
        x, y = self.offset_xy
        return ReducedImage(self.grey_HW[top:bottom, left:right], self.step, (x + left, y + top))


def reduce_to_grey(image_HW3: NDArray[np.uint8]) -> ReducedImage:
    """Return the grey copy of a photograph.

    It processes bands of rows, because Pillow copies its input at four bytes per pixel. A copy of the whole photograph
    does not fit into the processor's caches.
    """
    step = max(1, math.ceil(max(image_HW3.shape[:2]) / LONG_SIDE_PX))
    rows = step * _BAND_ROWS
    bands = (Image.fromarray(image_HW3[top : top + rows]).reduce(step) for top in range(0, len(image_HW3), rows))
    grey_HW = np.concatenate([np.asarray(band, np.float32).mean(axis=2) for band in bands])
    return ReducedImage(grey_HW, step)
