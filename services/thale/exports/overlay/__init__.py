"""Overlay image for visual inspection: the photograph with the measured plants drawn on top.

Adjacent plants have colours that colour-blind readers can distinguish (Okabe and Ito 2008). A root is drawn as two
thin lines along its sides, so that the root itself remains visible. The lines of a primary root are thicker than those
of a lateral root. Text, scale bar and legend are below the photograph, where they cover nothing.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thale.errors import ParameterError
from thale.exports.overlay.annotations import draw_annotations
from thale.exports.overlay.canvas import OverlayCanvas
from thale.exports.overlay.footer import add_footer
from thale.schemas import Phenotype

__all__ = ["MIN_SOURCE_PX", "draw"]

LONG_SIDE_PX = 2000
MIN_SOURCE_PX = 2 * LONG_SIDE_PX
"""Length of a photograph's longer side below which a reduction of the photograph would be visible in the overlay."""
_COMPRESSION = 3
"""zlib level: a third of the default's time, for a file that is a tenth larger."""


def draw(image_HW3: NDArray[np.uint8], phenotype: Phenotype, long_side: int | None = LONG_SIDE_PX) -> bytes:
    """Return a PNG of the photograph with plants, roots, landmarks, the plate, the scale and the flags.

    Args:
        image_HW3: The photograph as returned by `thale.imaging.image_io.decode`, or a downscaled copy, as by
            `decode_reduced` with `MIN_SOURCE_PX`.
        phenotype: The measurement of the photograph.
        long_side: Maximum length of the longer side in pixels. None keeps the size.

    Raises:
        ParameterError: If the phenotype belongs to an image of another shape, or `long_side` is less than 1.
    """
    photo = _resize_photo(image_HW3, phenotype, long_side)
    canvas = OverlayCanvas(photo.width, photo.height, photo.width / phenotype.image.width)
    draw_annotations(canvas, phenotype)
    annotated = Image.alpha_composite(photo.convert("RGBA"), canvas.image()).convert("RGB")
    png = io.BytesIO()
    add_footer(annotated, phenotype).save(png, "PNG", compress_level=_COMPRESSION)
    return png.getvalue()


def _resize_photo(image_HW3: NDArray[np.uint8], phenotype: Phenotype, long_side: int | None) -> Image.Image:
    if long_side is not None and long_side < 1:
        raise ParameterError(f"long_side is {long_side}: pass 1 or more pixels")
    height, width = image_HW3.shape[:2]
    metadata = phenotype.image
    if abs(math.log(width * metadata.height / (height * metadata.width))) > 0.01 + 1 / min(width, height):
        raise ParameterError(
            f"the image has {width} x {height} px, the phenotype's image {metadata.width} x {metadata.height} px: "
            "pass the measured image, with its EXIF orientation applied"
        )
    photo = Image.fromarray(np.ascontiguousarray(image_HW3, np.uint8), "RGB")
    if long_side is not None:
        photo.thumbnail((long_side, long_side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return photo
