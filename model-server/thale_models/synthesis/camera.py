"""What the camera adds to the scene: noise, grey levels, and the artefacts of its JPEG."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BAND_ROWS = 256


def apply_sensor(
    rng: np.random.Generator, picture_HW3: NDArray[np.float32], noise: float, grey: bool
) -> NDArray[np.uint8]:
    """Return the picture in 8 bits with `noise` grey levels of sensor noise, in bands so that no copy of it is made."""
    height, width, _ = picture_HW3.shape
    exposed = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        band = picture_HW3[top : top + _BAND_ROWS]
        shared = rng.standard_normal((*band.shape[:2], 1), dtype=np.float32) * np.float32(noise)
        if not grey:
            # A colour sensor interpolates its channels, so neighbouring pixels share part of their noise.
            chroma = rng.standard_normal(band.shape, dtype=np.float32) * np.float32(noise * 0.5)
            chroma[:, 1:] += chroma[:, :-1]
            shared = shared * np.float32(0.7) + chroma
        exposed[top : top + _BAND_ROWS] = np.clip(band + shared + 0.5, 0, 255)
    return exposed


def encode_image(exposed_HW3: NDArray[np.uint8], grey: bool, jpeg_quality: int | None) -> bytes:
    """Return the file a camera would write: JPEG of a quality, or PNG where there is none."""
    picture = Image.fromarray(exposed_HW3[..., 0]) if grey else Image.fromarray(exposed_HW3)
    buffer = io.BytesIO()
    if jpeg_quality is None:
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a file that `save` wrote, uint8 HW3."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
