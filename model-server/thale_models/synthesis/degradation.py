"""Degradations of a photograph: tone, noise, grey levels, polarity, resolution and compression.

Cameras, scanners, messengers and image editors change a photograph in these ways. They hide roots but never move them,
except that a smaller copy has smaller coordinates. Training, evaluation and the fit of the error model use them.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from thale_models.synthesis.plate import SyntheticPlate, TruePlant

_BAND_ROWS = 256
_MIN_SIDE_PX = 64
_SHARE_INTACT = 0.6
"""Probability that one property of a photograph stays as the camera recorded it."""


@dataclass(frozen=True)
class Degradation:
    """Changes of a photograph, in the order in which `degrade` applies them. The defaults change nothing."""

    size_factor: float = 1.0
    """Width of the copy as a fraction of the width of the original."""
    contrast: float = 1.0
    """Factor on the distance of each grey level from the mean of the image."""
    gamma: float = 1.0
    noise: float = 0.0
    """Standard deviation of additional noise, in grey levels."""
    grey: bool = False
    inverted: bool = False
    """Bright roots on a dark background become dark roots on a bright one, and the reverse."""
    jpeg_quality: int | None = None
    """None: no further compression."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a factor is not positive, a smaller copy would be larger, or the quality is not 1 to 100.
        """
        if not (0 < self.size_factor <= 1 and self.contrast > 0 and self.gamma > 0 and self.noise >= 0):
            raise ValueError(f"{self}: size_factor must be in (0, 1], contrast and gamma above 0, noise 0 or more")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, not {self.jpeg_quality}")


def sample_degradation(rng: np.random.Generator) -> Degradation:
    """Sample a degradation. Each property stays unchanged with a probability of 60 %."""

    def is_changed() -> bool:
        return rng.random() >= _SHARE_INTACT

    return Degradation(
        size_factor=float(rng.uniform(0.35, 1.0)) if is_changed() else 1.0,
        contrast=float(np.exp(rng.uniform(np.log(0.5), np.log(2.6)))) if is_changed() else 1.0,
        gamma=float(np.exp(rng.uniform(np.log(0.5), np.log(2.2)))) if is_changed() else 1.0,
        noise=float(rng.uniform(1.0, 9.0)) if is_changed() else 0.0,
        grey=bool(rng.random() < 0.4),
        inverted=bool(rng.random() < 0.25),
        jpeg_quality=int(rng.integers(20, 90)) if is_changed() else None,
    )


def degrade(
    image_HW3: NDArray[np.uint8], degradation: Degradation, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """Return the degraded image, uint8 HW3, and the factor from coordinates of the original to those of the copy.

    The factor is the exact ratio of the widths, because a width is a whole number of pixels.

    Args:
        image_HW3: The photograph.
        degradation: The changes.
        rng: Source of the noise.
    """
    image = _change_pixels(image_HW3, degradation, rng)
    if degradation.jpeg_quality is not None:
        image = Image.open(io.BytesIO(_encode(image, degradation.jpeg_quality))).convert("RGB")
    return np.asarray(image), image.width / image_HW3.shape[1]


def degrade_plate(plate: SyntheticPlate, degradation: Degradation, rng: np.random.Generator) -> SyntheticPlate:
    """Return a degraded photograph of a plate with the ground truth in its own pixels."""
    changed = _change_pixels(plate.image_HW3, degradation, rng)
    encoded = _encode(changed, degradation.jpeg_quality)
    factor = changed.width / plate.image_HW3.shape[1]
    return replace(
        plate,
        image_HW3=np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")),
        mask_HW=np.asarray(Image.fromarray(plate.mask_HW).resize(changed.size, Image.Resampling.NEAREST)),
        landmarks=tuple(
            landmark.model_copy(update={"x": _scale(landmark.x, factor), "y": _scale(landmark.y, factor)})
            for landmark in plate.landmarks
        ),
        plants=tuple(_scale_plant(plant, factor) for plant in plate.plants),
        mm_per_px=plate.mm_per_px / factor,
        corners=tuple((_scale(x, factor), _scale(y, factor)) for x, y in plate.corners),
        encoded=encoded,
    )


def _scale(position: float, factor: float) -> float:
    """Return a coordinate in the copy. The centre of the first pixel is 0, its outer edge is -0.5."""
    return position * factor + (factor - 1) / 2


def _scale_plant(plant: TruePlant, factor: float) -> TruePlant:
    roots = tuple(
        replace(
            root,
            points=tuple((_scale(x, factor), _scale(y, factor)) for x, y in root.points),
            width_px=root.width_px * factor,
        )
        for root in plant.roots
    )
    return replace(plant, roots=roots, hypocotyl_px=plant.hypocotyl_px * factor)


def _change_pixels(image_HW3: NDArray[np.uint8], degradation: Degradation, rng: np.random.Generator) -> Image.Image:
    """Return the image with every change except the compression."""
    image = Image.fromarray(image_HW3)
    if degradation.size_factor < 1:
        smaller = [max(min(_MIN_SIDE_PX, side), round(side * degradation.size_factor)) for side in image.size]
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.LANCZOS)
    if degradation.grey:
        image = image.convert("L").convert("RGB")
    if degradation.contrast != 1 or degradation.gamma != 1:
        image = image.point(_tone_curve(degradation, float(np.asarray(image.reduce(8), np.float32).mean())) * 3)
    if degradation.inverted:
        image = ImageOps.invert(image)
    if degradation.noise > 0:
        image = Image.fromarray(_add_noise(np.array(image), degradation, rng))
    return image


def _encode(image: Image.Image, jpeg_quality: int | None) -> bytes:
    """Return the file of a copy: JPEG of the given quality, or PNG without a quality."""
    buffer = io.BytesIO()
    if jpeg_quality is None:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def _tone_curve(degradation: Degradation, mean: float) -> list[int]:
    """Return the new level of each of 256 grey levels: first the contrast around the mean, then gamma."""
    levels = (np.arange(256) - mean) * degradation.contrast + mean
    curve = 255 * (np.clip(levels, 0, 255) / 255) ** degradation.gamma
    return [int(level) for level in np.rint(curve)]


def _add_noise(pixels_HW3: NDArray[np.uint8], degradation: Degradation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add noise in place: the same in each channel of a grey image, else independent. Bands avoid a float copy."""
    channels = 1 if degradation.grey else 3
    for top in range(0, len(pixels_HW3), _BAND_ROWS):
        band_HW3 = pixels_HW3[top : top + _BAND_ROWS]
        noise = rng.standard_normal((*band_HW3.shape[:2], channels), np.float32) * np.float32(degradation.noise)
        band_HW3[:] = np.clip(band_HW3 + noise + 0.5, 0, 255)
    return pixels_HW3
