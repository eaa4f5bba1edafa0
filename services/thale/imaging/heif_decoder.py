"""Decoder for HEIC files: pi-heif, which is libheif with libde265 and without an encoder (ADR 0153).

It is imported with the first HEIC, because most processes never decode one.
"""

import io

import numpy as np
from numpy.typing import NDArray

from thale.errors import DamagedImageError
from thale.imaging.image_headers import Header


def decode_upright(data: bytes, header: Header) -> NDArray[np.uint8]:
    """Return the upright pixels of the primary image, uint8 HW3, or HW of a grayscale image.

    Raises:
        DamagedImageError: If the decoder's size differs from the header's.
        OSError, ValueError, RuntimeError, SyntaxError, EOFError: If libheif rejects the file.
        MemoryError: If libheif cannot allocate the pixels.
    """
    import pi_heif

    options = pi_heif.options
    options.DECODE_THREADS = 1  # the number of workers is matched to the processors
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    picture = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    if picture.size != header.upright_size:
        raise DamagedImageError(
            f"the HEIC has {picture.size[0]} x {picture.size[1]} px, but its header declares "
            f"{header.upright_size[0]} x {header.upright_size[1]}: save it again"
        )
    try:
        view = np.asarray(picture)
    except (OSError, RuntimeError, ValueError) as error:
        if "Memory allocation" in str(error) and "Security limit" not in str(error):
            raise MemoryError from error
        raise
    if view.ndim == 3:
        view = view[..., :3] if view.shape[2] >= 3 else view[..., 0]
    # The memory belongs to the picture, and numpy does not keep the picture alive.
    pixels: NDArray[np.uint8] = view[:, : picture.size[0]].copy()
    del view, picture
    return pixels
