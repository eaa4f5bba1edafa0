"""Images whose files exceed the upload limit although their pixels do not, such as uncompressed scans.

An A4 page at 600 dpi has 35 megapixels, and 104 MB uncompressed. Its pixels are sent as a PNG of the same pixels.
"""

import io

from PIL import Image

from thale.imaging.image_io import decode

UPLOAD_LIMIT_BYTES = 64 * 2**20
"""Default limit of the server (ADR 0006)."""


def pack_losslessly(image: bytes, page: int | None = None) -> bytes:
    """Return the upright pixels of an image as a PNG of 8 bits, as the server would decode them.

    Raises:
        ImageError: If the image cannot be decoded.
        ParameterError: If the file does not have this page.
    """
    buffer = io.BytesIO()
    Image.fromarray(decode(image, page)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
