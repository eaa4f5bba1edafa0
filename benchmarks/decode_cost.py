"""CPU seconds per megapixel to decode each image format: the source of `thale.imaging.decode_cost`.

`python -m benchmarks.decode_cost` prints a table. The image is a synthetic photograph of 20 megapixels.
"""

import io
import resource
import sys

import numpy as np
import tifffile
from PIL import Image

from thale.imaging.image_io import decode

_HEIGHT, _WIDTH = 4000, 5000
_REPEATS = 3


def main() -> None:
    """Run the benchmark and print one line for each format."""
    image = Image.fromarray(_photograph())
    samples_16_bit = np.asarray(image).astype(np.uint16) * 257
    files = {
        "JPEG": _encode(image, "JPEG", quality=90),
        "JPEG, 10 scans": _encode(image, "JPEG", quality=90, progressive=True),
        "PNG": _encode(image, "PNG", compress_level=1),
        "TIFF": _encode(image, "TIFF"),
        "TIFF, LZW": _encode(image, "TIFF", compression="tiff_lzw"),
        "TIFF, deflate": _encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF, 16 bits": _encode_tiff(samples_16_bit),
        "TIFF, 16 bits, deflate": _encode_tiff(samples_16_bit, compression="zlib"),
    }
    for name, data in files.items():
        seconds = min(_decode_seconds(data) for _ in range(_REPEATS))
        sys.stdout.write(f"{name:24s} {seconds / (_HEIGHT * _WIDTH / 1e6):.4f} s per megapixel\n")


def _photograph() -> np.ndarray:
    rng = np.random.default_rng(7)
    blurred = Image.fromarray(rng.integers(0, 256, (_HEIGHT // 8, _WIDTH // 8, 3)).astype(np.uint8))
    smooth = np.asarray(blurred.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    return np.clip(smooth + rng.integers(-6, 7, (_HEIGHT, _WIDTH, 1)), 0, 255).astype(np.uint8)


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _encode_tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", **options)
    return buffer.getvalue()


def _decode_seconds(data: bytes) -> float:
    before = _cpu_seconds()
    decode(data)
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
