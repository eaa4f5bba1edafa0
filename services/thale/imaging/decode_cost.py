"""Estimated time to decode an image, from its metadata and the scans of a JPEG.

CPU seconds per megapixel, measured with `benchmarks/decode_cost.py` on two cores of an AMD EPYC (ADR 0084).
"""

from thale.imaging.jpeg_scans import count_scans
from thale.schemas import ImageMetadata

_JPEG_S = 0.019
_JPEG_SCAN_S = 0.0015
"""Each scan after the first. It is 0.0012 for scans without coefficients, 0.0015 for those of a photograph."""
_PNG_S, _PNG_16_BIT_S = 0.053, 0.13
"""Pillow decodes a PNG of 16-bit colour twice, once for each byte of a sample."""
_TIFF_S, _TIFF_16_BIT_S = 0.014, 0.014
_COMPRESSED_TIFF_S, _COMPRESSED_TIFF_16_BIT_S = 0.025, 0.112
_HEIC_S = 0.11
_SAMPLES = {"L": 1, "P": 1, "LA": 2, "PA": 2, "RGB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4, "CMYKA": 5}


def estimate_decode_s(data: bytes, metadata: ImageMetadata) -> float:
    """Return the CPU seconds to decode one page of an image.

    Args:
        data: The whole file.
        metadata: Its metadata.
    """
    megapixels = metadata.width * metadata.height / 1e6
    is_deep = metadata.bits > 8
    if metadata.format == "JPEG":
        return megapixels * (_JPEG_S + _JPEG_SCAN_S * (count_scans(data) - 1))
    if metadata.format == "PNG":
        return megapixels * (_PNG_16_BIT_S if is_deep else _PNG_S)
    if metadata.format == "HEIC":
        return megapixels * _HEIC_S
    if _is_compressed(metadata):
        return megapixels * (_COMPRESSED_TIFF_16_BIT_S if is_deep else _COMPRESSED_TIFF_S)
    return megapixels * (_TIFF_16_BIT_S if is_deep else _TIFF_S)


def _is_compressed(metadata: ImageMetadata) -> bool:
    """Return True if a TIFF may be compressed: an uncompressed file has at least the bytes of its pixels."""
    pixel_bytes = metadata.width * metadata.height * _SAMPLES.get(metadata.mode, 1) * metadata.bits / 8
    return metadata.pages > 1 or metadata.size_bytes < pixel_bytes
