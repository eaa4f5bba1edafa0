"""Augmentation of training images: lighting, colour, polarity, sharpness and noise, never the direction of gravity.

`jitter_lighting` and `degrade_at_full_size` change the grey levels of an image before the background is measured, so
that the background follows them. `add_blur_and_noise` changes a crop after normalisation.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from thale_models.synthesis.degradation import degrade, sample_degradation

_GREY_PROBABILITY = 0.3
_INVERTED_PROBABILITY = 0.1
_BLUR_PROBABILITY = 0.3
_NOISE_PROBABILITY = 0.5


def jitter_lighting(image_HW3: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image with random channel gains and gamma; 30 % are grey and 10 % are inverted (dark field)."""
    levels = np.linspace(0.0, 1.0, 256)
    gains = np.exp(rng.normal(0.0, 0.08, 3)) * rng.uniform(0.75, 1.15)
    curves_3L = np.clip(gains[:, None] * levels ** np.exp(rng.normal(0.0, 0.25)), 0.0, 1.0)
    if rng.random() < _INVERTED_PROBABILITY:
        curves_3L = 1.0 - curves_3L
    image = Image.fromarray(image_HW3)
    if rng.random() < _GREY_PROBABILITY:
        image = image.convert("L").convert("RGB")
        curves_3L[:] = curves_3L.mean(0)
    return np.asarray(image.point(np.round(curves_3L * 255).astype(int).ravel().tolist()))


def degrade_at_full_size(image_HW3: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a degraded image of the same size, so that its labels still fit. A smaller copy is enlarged again."""
    height, width = image_HW3.shape[:2]
    degraded_HW3, factor = degrade(image_HW3, sample_degradation(rng), rng)
    if factor == 1:
        return degraded_HW3
    return np.asarray(Image.fromarray(degraded_HW3).resize((width, height), Image.Resampling.BICUBIC))


def add_blur_and_noise(crop_3HW: NDArray[np.float32], clip: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a normalised crop with random contrast, blur and noise, clipped to the range of serving."""
    crop = crop_3HW * np.float32(np.exp2(rng.uniform(-1.0, 1.0)))
    if rng.random() < _BLUR_PROBABILITY:
        sigma = rng.uniform(0.4, 1.2)
        crop = gaussian_filter(crop, (0, sigma, sigma), truncate=3.0)
    if rng.random() < _NOISE_PROBABILITY:
        crop += rng.standard_normal(crop.shape, np.float32) * np.float32(rng.uniform(0.0, 0.2))
    return cast(NDArray[np.float32], np.clip(crop, -clip, clip))
