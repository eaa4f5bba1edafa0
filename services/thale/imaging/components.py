"""Connected components of masks of which only few pixels are True, as those of roots, shoots and ridges.

Pixels without a component are read once per mask. Everything else is computed for the pixels of the components.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thale.imaging.geometry import Window


@dataclass(frozen=True)
class Components:
    """Connected components of a mask, numbered from 1 in the order of their first pixels.

    `flat_N` has the index of each True pixel in the flattened mask, and `label_N` its component. `sizes` has the number
    of pixels of each component. That of component 0, the background, is 0.
    """

    shape: tuple[int, int]
    flat_N: NDArray[np.intp]
    label_N: NDArray[np.int32]
    sizes: NDArray[np.intp]

    def select(self, is_selected: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the mask (bool HW) of the components with True in `is_selected`, which has a value per component."""
        selected_HW = np.zeros(self.shape, bool)
        selected_HW.reshape(-1)[self.flat_N[is_selected[self.label_N]]] = True
        return selected_HW

    def pixels(self, labels: NDArray[np.intp]) -> list[NDArray[np.int64]]:
        """Return the pixels (row, column) of each of some components."""
        by_label = self.flat_N[np.argsort(self.label_N, kind="stable")]
        ends = np.cumsum(self.sizes)
        return [
            np.column_stack(np.divmod(by_label[ends[label] - self.sizes[label] : ends[label]], self.shape[1]))
            for label in labels
        ]


def find_components(mask_HW: NDArray[np.bool_], connectivity: int) -> Components:
    """Return the connected components of a mask.

    Args:
        mask_HW: The mask.
        connectivity: 4 or 8 neighbours.
    """
    structure = np.ones((3, 3), int) if connectivity == 8 else None
    window = bounding_window(mask_HW)
    labels_HW, count = ndimage.label(mask_HW[window], structure)
    row_N, col_N = find_pixels(mask_HW[window]).T
    label_N = labels_HW[row_N, col_N]
    flat_N = (row_N + window[0].start) * mask_HW.shape[1] + col_N + window[1].start
    return Components(mask_HW.shape, flat_N, label_N, np.bincount(label_N, minlength=count + 1))


def hysteresis_mask(levels_HW: NDArray[np.integer], low: float, high: float) -> NDArray[np.bool_]:
    """Return the pixels above `low` that are connected to one above `high`, by 4 neighbours (bool HW).

    The result equals that of `skimage.filters.apply_hysteresis_threshold`, which compares and labels whole images.
    """
    # A comparison with a float would convert the image to float64.
    components = find_components(levels_HW > math.floor(low), 4)
    is_selected = np.zeros(len(components.sizes), bool)
    is_selected[components.label_N[levels_HW.reshape(-1)[components.flat_N] > high]] = True
    return components.select(is_selected)


def fill_small_holes(mask_HW: NDArray[np.bool_], max_px: float) -> None:
    """Add the holes of up to `max_px` pixels to a mask. A hole is connected by 4 neighbours."""
    # The margin of the window has more than max_px pixels on each side at which the image continues. The background
    # that the window cuts off is therefore never small.
    window = bounding_window(mask_HW, margin_px=math.floor(max_px) + 1)
    labels_HW, _ = ndimage.label(~mask_HW[window])
    is_small = np.bincount(labels_HW.reshape(-1), minlength=1) <= max_px
    is_small[0] = False
    if is_small.any():
        mask_HW[window] |= is_small[labels_HW]


def find_pixels(mask_HW: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the True pixels of a mask (row, column), row by row. NumPy's `argwhere` takes three times as long."""
    return np.column_stack(np.divmod(np.flatnonzero(mask_HW), mask_HW.shape[1]))


def bounding_window(mask_HW: NDArray[np.bool_], margin_px: int = 0) -> Window:
    """Return the smallest window that contains all True pixels, with a margin inside the image. Empty without any."""
    sides = []
    for axis, size in enumerate(mask_HW.shape):
        used = np.flatnonzero(mask_HW.any(axis=1 - axis))
        sides.append(
            slice(max(0, used[0] - margin_px), min(size, used[-1] + 1 + margin_px)) if len(used) else slice(0, 0)
        )
    return sides[0], sides[1]
