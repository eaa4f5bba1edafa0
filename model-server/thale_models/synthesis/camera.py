"""Camera model: sensor noise, quantisation to grey levels, and JPEG artefacts."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BAND_ROWS = 256


def apply_sensor(
    rng: np.random.Generator, scene_HW3: NDArray[np.float32], noise: float, grey: bool
) -> NDArray[np.uint8]:
    """Return the scene in 8 bits with `noise` grey levels of sensor noise. Processing in bands avoids a full copy."""
    height, width, _ = scene_HW3.shape
    exposed = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        band = scene_HW3[top : top + _BAND_ROWS]
        shared = rng.standard_normal((*band.shape[:2], 1), dtype=np.float32) * np.float32(noise)
        if not grey:
            # A colour sensor interpolates its channels (demosaicing), so neighbouring pixels share part of their noise.
            chroma = rng.standard_normal(band.shape, dtype=np.float32) * np.float32(noise * 0.5)
            chroma[:, 1:] += chroma[:, :-1]
            shared = shared * np.float32(0.7) + chroma
        exposed[top : top + _BAND_ROWS] = np.clip(band + shared + 0.5, 0, 255)
    return exposed


def encode_image(exposed_HW3: NDArray[np.uint8], grey: bool, jpeg_quality: int | None) -> bytes:
    """Return the file of the camera: JPEG of the given quality, or PNG without a quality."""
    image = Image.fromarray(exposed_HW3[..., 0]) if grey else Image.fromarray(exposed_HW3)
    buffer = io.BytesIO()
    if jpeg_quality is None:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a file of `encode_image`, uint8 HW3."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
