"""Format of an image from the first bytes of its file, never from the file name."""

from thale.errors import EmptyImageError, UnsupportedImageError
from thale.imaging.heif_header import is_heic
from thale.imaging.image_headers import ImageFormat

SNIFF_BYTES = 16
"""Number of bytes of a file that `sniff` requires."""

_FORM_BODY = "a multipart form without its Content-Type: send it with its Content-Type, or send only the image's bytes"
_BASE64 = "an image encoded as base64 text: send the binary data"
_UNSUPPORTED_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a ZIP archive (or an Office file)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL", "a JPEG XL"),
    (b"--", _FORM_BODY),
    (b"data:image", _BASE64),
    (b"/9j/", _BASE64),
    (b"iVBORw0K", _BASE64),
    (b"<svg", "an SVG"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def sniff(prefix: bytes) -> ImageFormat:
    """Return the format of an image from the first 16 or more bytes of its file.

    Raises:
        EmptyImageError: If `prefix` is empty.
        UnsupportedImageError: If the file is not a JPEG, PNG, TIFF or HEIC; the message names what it resembles.
    """
    if not prefix:
        raise EmptyImageError
    if prefix.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if prefix.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if prefix[:4] in _TIFF_SIGNATURES:
        return "TIFF"
    if is_heic(prefix):
        return "HEIC"
    raise UnsupportedImageError(f"this looks like {_describe_format(prefix)}; thale reads JPEG, PNG, TIFF and HEIC")


def _describe_format(prefix: bytes) -> str:
    start = prefix[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return "a WebP"
    if prefix[4:8] == b"ftyp":
        return "an AVIF" if prefix[8:11] == b"avi" else "a video"
    for magic, name in _UNSUPPORTED_SIGNATURES:
        if start.startswith(magic):
            return name
    if all(32 <= byte < 127 or byte in b"\t\r\n\f" for byte in prefix[:64]):
        return "text"
    return "an unknown format"
