"""Tests of the estimated cost of an image, from its header and scale."""

import pytest

from tests.support import sample_images
from thale.facade.admission.cost import Cost, estimate_cost
from thale.facade.deadline import Deadline
from thale.facade.request.options import RequestOptions
from thale.imaging.image_io import read_header
from thale.schemas import ImageMetadata

METADATA = read_header(sample_images.png())


def cost_s(mm_per_px: float | None = None, data: bytes = b"", **metadata: object) -> float:
    options = RequestOptions("id", Deadline.after(60), mm_per_px=mm_per_px)
    return estimate_cost(data, METADATA.model_copy(update=metadata), options).seconds


def megapixels(count: int, **metadata: object) -> dict[str, object]:
    return {"width": 1000, "height": 1000 * count, "size_bytes": 10**9, **metadata}


def test_cost_grows_with_pixels() -> None:
    small, medium, large = (cost_s(**megapixels(count)) for count in (1, 4, 100))
    assert large > 2 * medium > 4 * small


def test_cost_of_16_bit_images_is_higher() -> None:
    assert cost_s(**megapixels(50, bits=16)) > 1.5 * cost_s(**megapixels(50, bits=8))


def test_cost_of_compressed_tiff_is_higher() -> None:
    tiff = megapixels(50, format="TIFF", mode="RGB", bits=16)
    assert cost_s(**{**tiff, "size_bytes": 10**6}) > cost_s(**tiff) + 3


def test_cost_counts_the_scans_of_a_jpeg() -> None:
    scan = b"\xff\xda\0\x02"
    jpeg = megapixels(100, format="JPEG")
    ten, baseline = (cost_s(data=b"\xff\xd8" + scan * count, **jpeg) for count in (10, 1))
    assert ten - baseline == pytest.approx(1.35)


def test_cost_follows_the_scale() -> None:
    assert cost_s(0.125, **megapixels(4)) > 2 * cost_s(0.0625, **megapixels(4))
    assert cost_s(1.0, **megapixels(100)) < 30, "the model handler rejects larger images"


def test_expensive_image_holds_several_slots() -> None:
    assert [Cost(seconds).slots(4) for seconds in (0.1, 4.9, 5.1, 100)] == [1, 1, 2, 4]


def test_cost_of_a_plate_matches_the_benchmark() -> None:
    photograph = ImageMetadata.model_validate({**METADATA.model_dump(), **megapixels(16, format="JPEG", pages=1)})
    assert cost_s(**photograph.model_dump()) == pytest.approx(2.86, abs=0.4)
