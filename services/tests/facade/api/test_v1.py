"""The API /v1 of a running facade: uploads, response formats and options."""

import csv
import io
from http.client import HTTPConnection

import pytest
from PIL import Image

from tests.support import sample_images
from tests.support.drawn_dishes import blank, draw_dish, photograph
from tests.support.running_facade import Facade
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction, SegmentationSummary
from thale.schemas import Phenotype

pytestmark = pytest.mark.integration


def test_phenotype_returns_plants_of_a_photograph(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.jpeg(), "mm_per_px=0.25&name=plate 7.jpg&expected_plants=3")
    assert reply.status == 200, reply.body
    phenotype = Phenotype.model_validate_json(reply.body)
    assert (phenotype.image.width, phenotype.image.height, phenotype.image.name) == (240, 200, "plate 7.jpg")
    assert (phenotype.scale.mm_per_px, phenotype.scale.source) == (0.25, "given")
    assert [model.name for model in phenotype.provenance.models] == ["plate-seg", "plate-landmarks"]
    assert phenotype.provenance.config_digest.startswith("sha256:")
    assert 0 < phenotype.timings.segment_s <= phenotype.timings.total_s


def test_provenance_names_the_listed_archives(facade: Facade) -> None:
    image = sample_images.png()
    listed_digests = {model["name"]: model["versions"][0]["digest"] for model in facade.get("/v1/models").json}
    phenotype = Phenotype.model_validate_json(facade.phenotype(image).body)
    assert {model.name: model.digest for model in phenotype.provenance.models} == listed_digests
    for model_ref in (
        SegmentationPrediction.from_bytes(
            facade.post("/v1/segment", image, Accept="application/x-npz").body
        ).meta.model,
        SegmentationSummary.model_validate_json(facade.post("/v1/segment", image).body).model,
        LandmarkPrediction.model_validate_json(facade.post("/v1/landmarks", image).body).model,
    ):
        assert model_ref.digest == listed_digests[model_ref.name]


def test_phenotype_is_in_pixels_when_the_scale_is_unknown(facade: Facade) -> None:
    phenotype = Phenotype.model_validate_json(facade.phenotype(sample_images.png()).body)
    assert (phenotype.scale.source, phenotype.plate) == ("none", None)
    assert any("scale" in flag.code for flag in phenotype.flags), phenotype.flags


@pytest.mark.parametrize("route", ["/v1/segment", "/v1/landmarks"])
def test_region_image_needs_a_scale_and_finds_no_plate(facade: Facade, route: str) -> None:
    image = blank(570, 560)
    draw_dish(image, 40, 45, 470)
    body = sample_images.encode(Image.fromarray(photograph(image, 1)), "PNG")
    on_plate = facade.post(route, body, "mm_per_px=0.25").json["calibration"]
    assert on_plate["plate"] is not None
    whole = facade.post(route, body, "mm_per_px=0.25&region=image").json["calibration"]
    assert (whole["plate"], whole["plates"], whole["scale"]["source"]) == (None, [], "given")
    reply = facade.post(route, body, "region=image")
    assert (reply.status, reply.problem) == (422, "scale")
    assert "mm_per_px" in reply.json["detail"]


def test_segment_sends_no_ridges(facade: Facade) -> None:
    reply = facade.post("/v1/segment", sample_images.png(), "mm_per_px=0.25", Accept="application/x-npz")
    assert SegmentationPrediction.from_bytes(reply.body).ridge_HW is None


def test_phenotype_of_an_empty_image_has_no_plants(facade: Facade) -> None:
    blank = sample_images.encode(Image.new("RGB", (120, 100), (180, 190, 170)), "PNG")
    reply = facade.phenotype(blank, "mm_per_px=0.25")
    assert reply.status == 200, reply.body
    assert Phenotype.model_validate_json(reply.body).image.width == 120


def test_config_digest_is_equal_for_equal_requests(facade: Facade) -> None:
    def digest(query: str) -> str:
        return Phenotype.model_validate_json(facade.phenotype(sample_images.png(), query).body).provenance.config_digest

    assert digest("mm_per_px=0.25&name=a") == digest("name=b&mm_per_px=0.25")
    assert digest("mm_per_px=0.25") != digest("mm_per_px=0.26")


def test_phenotype_returns_overlay_for_accept_png(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.jpeg(), Accept="image/png")
    assert reply.headers["content-type"] == "image/png", reply.body
    overlay = Image.open(io.BytesIO(reply.body))
    assert overlay.format == "PNG"
    assert overlay.width >= 240


def test_phenotype_returns_rsml_for_accept_rsml(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.jpeg(), Accept="application/rsml+xml")
    assert reply.headers["content-type"] == "application/rsml+xml"
    assert b"<rsml" in reply.body


def test_phenotype_returns_plantcv_json_for_accept_plantcv(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.jpeg(), "mm_per_px=0.25&name=a.jpg", Accept="application/vnd.plantcv+json")
    assert reply.headers["content-type"] == "application/vnd.plantcv+json", reply.body
    [entity] = reply.json["entities"]
    assert (entity["metadata"]["image"]["value"], entity["metadata"]["mm_per_px"]["value"]) == (["a.jpg"], [0.25])


@pytest.mark.parametrize("table", ["wide", "long"])
def test_phenotype_returns_table_for_accept_csv(facade: Facade, table: str) -> None:
    reply = facade.phenotype(sample_images.jpeg(), f"table={table}&mm_per_px=0.25", Accept="text/csv")
    assert reply.headers["content-type"].startswith("text/csv")
    assert len(next(csv.reader(io.StringIO(reply.body.decode())))) > 2


def test_unsupported_accept_is_rejected_with_offered_types(facade: Facade) -> None:
    reply = facade.phenotype(sample_images.jpeg(), Accept="video/mp4")
    assert (reply.status, reply.problem) == (406, "not-acceptable")
    assert "application/rsml+xml" in reply.json["detail"]


def test_multipart_upload_equals_raw_upload(facade: Facade) -> None:
    body, content_type = _form(b'name="image"; filename="..\\evil/\xff\xfe plate.png"', sample_images.png())
    reply = facade.post("/v1/phenotype", body, "mm_per_px=0.25", Content_Type=content_type)
    assert reply.status == 200, reply.body
    assert reply.json["image"]["name"].endswith("plate.png")
    assert "/" not in reply.json["image"]["name"]


@pytest.mark.parametrize(
    ("disposition", "removed_bytes", "reason"),
    [
        (b'name="picture"', 0, "field 'picture'"),
        (b'name="image"', 20, "truncated"),
        (b"", 0, "field ''"),
    ],
)
def test_multipart_without_exactly_one_image_is_rejected(
    facade: Facade, disposition: bytes, removed_bytes: int, reason: str
) -> None:
    body, content_type = _form(disposition, sample_images.png())
    reply = facade.post("/v1/phenotype", body[: len(body) - removed_bytes], Content_Type=content_type)
    assert (reply.status, reply.problem) == (422, "parameter")
    assert reason in reply.json["detail"]


def test_multipart_without_boundary_is_rejected(facade: Facade) -> None:
    reply = facade.post("/v1/phenotype", sample_images.png(), Content_Type="multipart/form-data")
    assert reply.status == 422
    assert "boundary" in reply.json["detail"]


def test_chunked_upload_is_read(facade: Facade) -> None:
    image = sample_images.png()
    connection = HTTPConnection("127.0.0.1", facade.port, timeout=60)
    connection.request("POST", "/v1/phenotype", iter([image[:7], image[7:100], image[100:]]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()


def test_segment_returns_json_npz_or_png(facade: Facade) -> None:
    image = sample_images.png()
    summary = SegmentationSummary.model_validate_json(facade.post("/v1/segment", image, "mm_per_px=0.5").body)
    assert sum(summary.area_px.values()) == pytest.approx(240 * 200, rel=0.02)
    assert summary.area_mm2["background"] == pytest.approx(summary.area_px["background"] * 0.25)
    maps = SegmentationPrediction.from_bytes(facade.post("/v1/segment", image, Accept="application/x-npz").body)
    assert maps.meta.classes == summary.classes
    class_image = Image.open(io.BytesIO(facade.post("/v1/segment", image, Accept="image/png").body))
    assert class_image.size == (maps.meta.frame.width, maps.meta.frame.height)


def test_landmarks_are_in_pixels_of_the_image(facade: Facade) -> None:
    prediction = LandmarkPrediction.model_validate_json(facade.post("/v1/landmarks", sample_images.png()).body)
    assert prediction.model.name == "plate-landmarks"
    assert all(-1 <= landmark.x <= 240 and -1 <= landmark.y <= 200 for landmark in prediction.landmarks)


def _form(disposition: bytes, image: bytes) -> tuple[bytes, str]:
    head = b"--border\r\nContent-Disposition: form-data; " + disposition + b"\r\nContent-Type: image/png\r\n\r\n"
    return head + image + b"\r\n--border--\r\n", "multipart/form-data; boundary=border"


def test_retry_with_an_idempotency_key_returns_the_same_bytes(facade: Facade) -> None:
    first = facade.phenotype(sample_images.jpeg(), Idempotency_Key="plate-7")
    retry = facade.phenotype(sample_images.jpeg(), Idempotency_Key="plate-7")
    assert (first.status, retry.status) == (200, 200)
    assert retry.headers["idempotent-replayed"] == "true"
    assert retry.body == first.body  # also the time of the measurement
    assert facade.phenotype(sample_images.png(), Idempotency_Key="plate-7").problem == "idempotency-key-reused"
    other_format = facade.phenotype(sample_images.jpeg(), Idempotency_Key="plate-7", Accept="image/png")
    assert other_format.problem == "idempotency-key-reused"
