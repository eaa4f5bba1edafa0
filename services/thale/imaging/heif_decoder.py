"""Decoder for HEIC files: pi-heif, which is libheif with libde265 and without an encoder (ADR 0153).

It is imported with the first HEIC, because most processes never decode one.
"""

import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thale.errors import DamagedImageError
from thale.imaging.image_headers import Header

_BYTES_PER_PX = 10
"""Peak of libheif for 8 bits: its planes, the RGB pixels and their copy (107 MiB for 12 million pixels)."""
_BYTES_PER_PX_DEEP = 16
"""The same for more bits, with planes of 16 bits."""
_FIXED_BYTES = 16 * 2**20
"""Stacks of the decoder's threads."""


def decode_upright(data: bytes, header: Header) -> NDArray[np.uint8]:
    """Return the upright pixels of the primary image, uint8 HW3, or HW of a grayscale image.

    Raises:
        DamagedImageError: If the decoder's size differs from the header's.
        OSError, ValueError, RuntimeError, SyntaxError, EOFError: If libheif rejects the file.
        MemoryError: If the pixels need more memory than this process may still allocate.
    """
    import pi_heif

    _check_memory(header)

    options = pi_heif.options
    options.DECODE_THREADS = 0  # in this thread: libheif aborts the process if it cannot start another one
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    picture = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    if picture.size != header.upright_size:
        raise DamagedImageError(
            f"the HEIC has {picture.size[0]} x {picture.size[1]} px, but its header declares "
            f"{header.upright_size[0]} x {header.upright_size[1]}: save it again"
        )
    view = np.asarray(picture)
    if view.ndim == 3:
        view = view[..., :3] if view.shape[2] >= 3 else view[..., 0]
    # The memory belongs to the picture, and numpy does not keep the picture alive.
    pixels: NDArray[np.uint8] = view[:, : picture.size[0]].copy()
    del view, picture
    return pixels


def _check_memory(header: Header) -> None:
    """Raise MemoryError before libheif runs out of memory, because it then aborts the process."""
    if sys.platform != "linux":
        return
    import resource  # absent on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    per_px = _BYTES_PER_PX if header.bits <= 8 else _BYTES_PER_PX_DEEP
    if used + header.width * header.height * per_px + _FIXED_BYTES > limit:
        raise MemoryError
