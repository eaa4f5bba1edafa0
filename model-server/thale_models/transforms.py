"""Transforms from pixels to the network's input, shared by training and serving.

An image is resampled to the training scale (`resample`). Its local background is measured once over the whole image
(`Background.measure`), and each tile is normalised against it (`normalise`). Overlapping tiles therefore have the same
values in their overlap (docs/adr/0029-local-contrast-as-network-input.md).
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from thale.imaging.geometry import Frame, Window
from thale.schemas import Normalisation

_BACKGROUND_SAMPLES_PER_SIGMA = 4
_BAND_ROWS = 256
_BICUBIC_REACH = 2


def training_frame(box_xyxy: tuple[int, int, int, int], source_mm_per_px: float, training_mm_per_px: float) -> Frame:
    """Return the frame of a box of the source image at training scale.

    If the scale of the source is unknown (NaN), the frame keeps the resolution of the source.
    """
    factor = source_mm_per_px / training_mm_per_px if np.isfinite(source_mm_per_px) else 1.0
    return Frame.from_box(box_xyxy, factor)


def resample(image_HW3: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Return the pixels of the frame, uint8 HW3, by bicubic interpolation with antialiasing if the frame is smaller.

    It processes bands of rows, because Pillow copies its input at four bytes per pixel.
    """
    right, bottom = frame.x0 + frame.source_width, frame.y0 + frame.source_height
    if (frame.width, frame.height) == (frame.source_width, frame.source_height):
        return np.ascontiguousarray(image_HW3[frame.y0 : bottom, frame.x0 : right])
    pixels_HW3 = np.empty((frame.height, frame.width, 3), np.uint8)
    pitch = frame.source_height / frame.height
    reach = math.ceil(_BICUBIC_REACH * max(1.0, pitch)) + 1
    for top in range(0, frame.height, _BAND_ROWS):
        band_HW3 = pixels_HW3[top : top + _BAND_ROWS]
        first, last = frame.y0 + top * pitch, frame.y0 + (top + len(band_HW3)) * pitch
        above, below = max(0, int(first) - reach), min(len(image_HW3), math.ceil(last) + reach)
        box = (frame.x0, first - above, right, min(last, bottom) - above)
        source = Image.fromarray(image_HW3[above:below])
        band = source.resize((frame.width, len(band_HW3)), Image.Resampling.BICUBIC, box=box)
        band_HW3[:] = np.asarray(band)
    return pixels_HW3


@dataclass(frozen=True)
class Background:
    """Background illumination of an image: a Gaussian mean, stored at low resolution.

    `mean_hw3` is float32. One of its pixels covers `reduction` x `reduction` pixels of the image.
    """

    mean_hw3: NDArray[np.float32]
    reduction: int

    @classmethod
    def measure(cls, pixels_HW3: NDArray[np.uint8], sigma_px: float) -> "Background":
        """Measure the background of an image with a Gaussian of `sigma_px` image pixels."""
        reduction = max(1, int(sigma_px / _BACKGROUND_SAMPLES_PER_SIGMA))
        rows = reduction * max(1, _BAND_ROWS // reduction)
        bands = (pixels_HW3[top : top + rows] for top in range(0, len(pixels_HW3), rows))
        small = np.concatenate([np.asarray(Image.fromarray(band).reduce(reduction), np.float32) for band in bands])
        sigma = sigma_px / reduction
        return cls(cast(NDArray[np.float32], gaussian_filter(small, (sigma, sigma, 0), mode="nearest")), reduction)

    def window(self, window: Window) -> NDArray[np.float32]:
        """Return the background of a window, float32 HW3, interpolated between the low-resolution samples."""
        rows, cols = (self._sample_positions(axis_slice, axis) for axis, axis_slice in enumerate(window))
        top, left = int(rows[0]), int(cols[0])
        patch = self.mean_hw3[top : int(rows[-1]) + 2, left : int(cols[-1]) + 2]
        return _interpolate_bilinear(patch, rows - top, cols - left)

    def _sample_positions(self, axis_slice: slice, axis: int) -> NDArray[np.float32]:
        centres = (np.arange(axis_slice.start, axis_slice.stop, dtype=np.float32) + 0.5) / self.reduction - 0.5
        return np.clip(centres, 0, self.mean_hw3.shape[axis] - 1)


def _interpolate_bilinear(
    patch_hw3: NDArray[np.float32], rows: NDArray[np.float32], cols: NDArray[np.float32]
) -> NDArray[np.float32]:
    def interpolate(samples: NDArray[np.float32], positions: NDArray[np.float32]) -> NDArray[np.float32]:
        below = positions.astype(int)
        above = np.minimum(below + 1, len(samples) - 1)
        fraction = (positions - below).astype(np.float32).reshape(-1, 1, 1)
        return cast(NDArray[np.float32], samples[below] * (1 - fraction) + samples[above] * fraction)

    columns_blended = interpolate(patch_hw3.transpose(1, 0, 2), cols).transpose(1, 0, 2)
    return interpolate(columns_blended, rows)


def normalise(
    tile_HW3: NDArray[np.uint8], background_HW3: NDArray[np.float32], normalisation: Normalisation
) -> NDArray[np.float32]:
    """Return the network's input for one tile, float32 3HW: contrast against the local background, clipped."""
    contrast = tile_HW3.astype(np.float32)
    contrast -= background_HW3
    contrast /= np.float32(normalisation.contrast)
    np.clip(contrast, -normalisation.clip, normalisation.clip, out=contrast)
    return np.ascontiguousarray(contrast.transpose(2, 0, 1))
