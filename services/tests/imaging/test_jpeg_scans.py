"""Tests of the number of scans of a JPEG and of its limit."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from thale.errors import DamagedImageError, ImageTooLargeError
from thale.imaging.image_io import decode, read_header
from thale.imaging.jpeg_scans import check_scans, count_scans


def encode_jpeg(**options: object) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def repeat_last_scan(jpeg: bytes, count: int) -> bytes:
    """Return a JPEG that refines its last coefficients again and again."""
    start = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[start:-2] * count + jpeg[-2:]


def test_count_of_baseline_jpeg_is_one() -> None:
    assert count_scans(encode_jpeg()) == 1


def test_count_of_progressive_jpeg() -> None:
    assert count_scans(encode_jpeg(progressive=True)) == 10


def test_marker_bytes_in_a_segment_are_no_scans() -> None:
    thumbnail = b"Exif\0\0" + b"\xff\xda\0\x02" * 500
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    jpeg = encode_jpeg()
    assert count_scans(jpeg[:2] + segment + jpeg[2:]) == 1


def test_scans_after_the_end_of_the_image_are_not_read() -> None:
    assert count_scans(encode_jpeg() + b"\xff\xda\0\x02" * 500) == 1


def test_scan_limit_depends_on_the_size() -> None:
    jpeg = repeat_last_scan(encode_jpeg(progressive=True), 40)
    check_scans(jpeg, 5000, 4000)
    with pytest.raises(ImageTooLargeError, match="50 scans; the maximum at this size is 20: save it as a baseline"):
        check_scans(jpeg, 10_000, 10_000)


@pytest.mark.parametrize("read", [read_header, decode])
def test_small_jpeg_has_up_to_100_scans(read: object) -> None:
    with pytest.raises(ImageTooLargeError, match="110 scans"):
        read(repeat_last_scan(encode_jpeg(progressive=True), 100))  # type: ignore[operator]


def test_millions_of_segments_cost_little() -> None:
    jpeg = encode_jpeg(progressive=True)
    started_s = time.process_time()
    with pytest.raises(DamagedImageError, match="segments"):
        count_scans(jpeg[:-2] + b"\xff\xfe\0\x02" * 2_000_000)
    assert time.process_time() - started_s < 5
