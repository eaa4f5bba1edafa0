"""Tests of unusual and invalid uploads: each problem states the remedy."""

import numpy as np
import pytest
from PIL import Image

from tests.support import sample_images
from tests.support.running_facade import Facade
from thale.schemas import Phenotype

pytestmark = pytest.mark.integration

SCALE = "mm_per_px=0.25"


def measure_image(facade: Facade, image: bytes, query: str = SCALE) -> Phenotype:
    reply = facade.phenotype(image, query)
    assert reply.status == 200, reply.body
    return Phenotype.model_validate_json(reply.body)


def test_empty_body_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(b"")
    assert (reply.status, reply.problem) == (400, "empty-image")


def test_text_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(b"my plate is on the server")
    assert (reply.status, reply.problem) == (415, "unsupported-image")
    assert "text" in reply.json["detail"]


def test_truncated_jpeg_is_rejected(facade: Facade) -> None:
    image = sample_images.jpeg()
    reply = facade.phenotype(image[: len(image) // 2])
    assert (reply.status, reply.problem) == (422, "damaged-image")


def test_single_pixel_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.encode(Image.new("RGB", (1, 1)), "PNG"))
    assert (reply.status, reply.problem) == (422, "image-too-small")


def test_header_of_ten_gigapixels_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.png_header(100_000, 100_000))
    assert (reply.status, reply.problem) == (413, "image-too-large")


def test_cmyk_image_is_accepted(facade: Facade) -> None:
    assert (
        measure_image(facade, sample_images.encode(Image.new("CMYK", (120, 100), (9, 8, 7, 6)), "JPEG")).image.mode
        == "CMYK"
    )


def test_sixteen_bit_image_is_accepted(facade: Facade) -> None:
    samples = sample_images.seedlings().astype(np.uint16) * 257
    assert measure_image(facade, sample_images.tiff(samples, photometric="rgb")).image.bits == 16


def test_multipage_tiff_requires_a_page(facade: Facade) -> None:
    pages = sample_images.tiff(np.stack([sample_images.seedlings()[..., 0]] * 3), photometric="minisblack")
    reply = facade.phenotype(pages)
    assert (reply.status, reply.problem) == (422, "multi-page-image")
    assert measure_image(facade, pages, f"{SCALE}&page=2").image.pages == 3
    assert facade.phenotype(pages, "page=3").problem == "parameter"
    assert facade.phenotype(pages, "page=-1").problem == "parameter"


def test_alpha_channel_is_dropped(facade: Facade) -> None:
    image = Image.fromarray(sample_images.seedlings()).convert("RGBA")
    assert measure_image(facade, sample_images.encode(image, "PNG")).image.mode == "RGBA"


def test_exif_rotation_is_applied(facade: Facade) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = sample_images.encode(Image.fromarray(sample_images.seedlings()), "JPEG", exif=exif)
    metadata = measure_image(facade, image).image
    assert (metadata.width, metadata.height, metadata.exif_orientation) == (200, 240, 6)


def test_gif_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.encode(Image.new("L", (100, 100)), "GIF"))
    assert (reply.status, reply.problem) == (415, "unsupported-image")
    assert "GIF" in reply.json["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "video/mp4", "nonsense"])
def test_content_type_without_image_is_rejected(facade: Facade, content_type: str) -> None:
    reply = facade.phenotype(sample_images.png(), Content_Type=content_type)
    assert (reply.status, reply.problem) == (415, "unsupported-content-type")
    assert "application/octet-stream" in reply.json["detail"]


@pytest.mark.parametrize("content_type", ["", "image/jpeg", "application/octet-stream", "IMAGE/PNG; x=y"])
def test_content_overrides_the_content_type(facade: Facade, content_type: str) -> None:
    reply = facade.phenotype(sample_images.png(), SCALE, Content_Type=content_type)
    assert reply.status == 200, reply.body
    assert reply.json["image"]["format"] == "PNG"


def test_image_of_30_mb_is_accepted(facade: Facade) -> None:
    samples = np.random.default_rng(0).integers(0, 255, (3200, 3200, 3), np.uint8)
    image = sample_images.tiff(samples, photometric="rgb")
    assert len(image) > 30_000_000
    assert measure_image(facade, image, "mm_per_px=0.02").image.size_bytes == len(image)


def test_body_above_the_limit_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(b"\xff\xd8\xff" + bytes(65 * 2**20))
    assert (reply.status, reply.problem) == (413, "image-too-large")


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e9", "1e-9", "ten", ""])
def test_implausible_scale_is_rejected(facade: Facade, value: str) -> None:
    reply = facade.phenotype(sample_images.png(), f"mm_per_px={value}")
    assert reply.status == 422
    assert reply.problem in ("parameter", "scale")


@pytest.mark.parametrize("value", ["-1", "0", "nan", "1e9"])
def test_implausible_plate_width_is_rejected(facade: Facade, value: str) -> None:
    assert facade.phenotype(sample_images.png(), f"plate_width_mm={value}").status == 422


def test_unknown_model_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.png(), "model=plate-sag")
    assert (reply.status, reply.problem) == (404, "unknown-model")
    assert "plate-seg" in reply.json["detail"]


def test_unknown_version_is_rejected(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.png(), "model=plate-seg@9.9.9")
    assert (reply.status, reply.problem) == (404, "unknown-version")
    assert "1.0.0" in reply.json["detail"]


@pytest.mark.parametrize("model", ["@1.0.0", "plate-seg@", "plate-seg@1@2", "plate-seg&model=plate-seg@1.0.0"])
def test_malformed_model_name_is_rejected(facade: Facade, model: str) -> None:
    assert facade.phenotype(sample_images.png(), f"model={model}").problem == "parameter"


def test_model_of_another_task_is_rejected(facade: Facade) -> None:
    reply = facade.post("/v1/segment", sample_images.png(), "model=plate-landmarks")
    assert (reply.status, reply.problem) == (422, "wrong-task")


def test_one_model_per_task_is_accepted(facade: Facade) -> None:
    measure_image(facade, sample_images.png(), f"{SCALE}&model=plate-landmarks&model=plate-seg@1.0.0")


@pytest.mark.parametrize(
    "query",
    [
        "mm_per_pixel=0.1",
        "mm_per_px=0.1&mm_per_px=0.2",
        "expected_plants=0",
        "timeout_s=-1",
        "table=round",
        "name=" + "x" * 300,
    ],
)
def test_invalid_parameter_is_rejected(facade: Facade, query: str) -> None:
    reply = facade.phenotype(sample_images.png(), query)
    assert (reply.status, reply.problem) == (422, "parameter")
    assert query.split("=")[0] in reply.json["detail"]


def test_image_name_is_sanitised_when_not_utf_8(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.png(), "name=%ff%00%0d%0aSet-Cookie:a&experiment=%fe")
    assert reply.status == 200, reply.body
    assert reply.json["image"]["name"] == "\N{REPLACEMENT CHARACTER}Set-Cookie:a"
