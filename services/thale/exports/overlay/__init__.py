"""The picture that a person checks numbers by: the photograph with what was found in it.

Each plant has a colour that colour-blind readers can tell from its neighbours' (Okabe and Ito 2008). A root is drawn as
two thin lines along its sides, so that the root itself stays to be seen; a primary root's lines are thicker than a
lateral's. Words, the scale bar and the legend stand below the photograph, where they hide nothing.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thale.errors import ParameterError
from thale.exports.overlay.annotations import draw_annotations
from thale.exports.overlay.canvas import Canvas
from thale.exports.overlay.footer import add_footer
from thale.schemas import Phenotype

__all__ = ["draw"]

LONG_SIDE_PX = 2000
_COMPRESSION = 3
"""zlib's level: a third of the time of the default for a file a tenth larger."""


def draw(image_HW3: NDArray[np.uint8], phenotype: Phenotype, long_side: int | None = LONG_SIDE_PX) -> bytes:
    """Return a PNG of the photograph with plants, roots, landmarks, the plate, the scale and the flags.

    Args:
        image_HW3: The photograph as `thale.imaging.image_io.decode` gives it, or a smaller copy of it.
        phenotype: What was found in it.
        long_side: The photograph is reduced to at most this many pixels along its longer side; None keeps its size.

    Raises:
        ParameterError: If the phenotype is of an image of another shape, or long_side is less than 1.
    """
    photo = _resize_photo(image_HW3, phenotype, long_side)
    canvas = Canvas(photo.width, photo.height, photo.width / phenotype.image.width)
    draw_annotations(canvas, phenotype)
    picture = Image.alpha_composite(photo.convert("RGBA"), canvas.image()).convert("RGB")
    png = io.BytesIO()
    add_footer(picture, phenotype).save(png, "PNG", compress_level=_COMPRESSION)
    return png.getvalue()


def _resize_photo(image_HW3: NDArray[np.uint8], phenotype: Phenotype, long_side: int | None) -> Image.Image:
    if long_side is not None and long_side < 1:
        raise ParameterError(f"long_side {long_side} must be at least 1 pixel")
    height, width = image_HW3.shape[:2]
    metadata = phenotype.image
    if abs(math.log(width * metadata.height / (height * metadata.width))) > 0.01 + 1 / min(width, height):
        raise ParameterError(
            f"the picture is {width} x {height} px and the phenotype is of one with {metadata.width} x {metadata.height} px: "
            "give the picture that was measured, with its EXIF orientation applied"
        )
    photo = Image.fromarray(np.ascontiguousarray(image_HW3, np.uint8), "RGB")
    if long_side is not None:
        photo.thumbnail((long_side, long_side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return photo
