"""Integration tests of the handlers in a real TorchServe with the shipped config.properties."""

import io
import json
import os
import signal
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.tiny_models import TinyModel, write_tiny_model
from tests.support.torchserve_process import TorchServeProcess
from thale.imaging.calibration import calibrate
from thale.models.model_card import WEIGHTS
from thale.models.predictions import SegmentationPrediction, parse_landmarks
from thale.telemetry.server_timing import HEADER, STEPS, read_timing
from thale_models.archive import write_archive
from thale_models.engine import Engine
from thale_models.inference import segment

pytestmark = pytest.mark.integration

SEGMENT = "/predictions/tiny-seg/1.0.0"
LANDMARKS = "/predictions/tiny-landmarks/1.0.0"
SCALE = {"x-thale-mm-per-px": "0.25"}


def encode_image(image_HW3: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_HW3).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def png(plate_HW3: NDArray[np.uint8]) -> bytes:
    return encode_image(plate_HW3)


def test_segment_handler_returns_the_maps_of_inference(
    torchserve: TorchServeProcess,
    segmenter: TinyModel,
    segment_engine: Engine,
    plate_HW3: NDArray[np.uint8],
    png: bytes,
) -> None:
    response, body = torchserve.post(SEGMENT, png, SCALE)
    assert (response.status, response.headers["content-type"]) == (200, "application/x-npz")
    prediction = SegmentationPrediction.from_bytes(body)
    expected = segment(plate_HW3, segmenter.card, segment_engine, calibrate(plate_HW3, mm_per_px=0.25))
    np.testing.assert_array_equal(prediction.probabilities_CHW, expected.probabilities_CHW)
    assert prediction.meta.frame == expected.meta.frame
    assert prediction.meta.calibration.scale.source == "given"


def test_landmarks_handler_returns_json(torchserve: TorchServeProcess, png: bytes) -> None:
    response, body = torchserve.post(LANDMARKS, png, SCALE)
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert parse_landmarks(body).model.name == "tiny-landmarks"


def test_handler_reads_header_names_in_any_case(torchserve: TorchServeProcess, png: bytes) -> None:
    _, body = torchserve.post(SEGMENT, png, {"X-Thale-MM-per-PX": "0.5"})
    assert SegmentationPrediction.from_bytes(body).meta.calibration.scale.mm_per_px == 0.5


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "empty-image"),
        (b"hello", {"Content-Type": "text/plain"}, "unsupported-image"),
        (b'{"image": 1}', {"Content-Type": "application/json"}, "unsupported-image"),
        ("truncated", {}, "damaged-image"),
        ("whole", {"x-thale-mm-per-px": "wide"}, "parameter"),
        ("whole", {"x-thale-mm-per-px": "nan"}, "parameter"),
        ("whole", {"x-thale-mm-per-px": "-1"}, "scale"),
        ("whole", {"x-thale-plate-width-mm": "1e9"}, "scale"),
        ("whole", {"x-thale-page": "first"}, "parameter"),
        ("whole", {"x-thale-page": "-1"}, "parameter"),
        ("whole", {"x-thale-page": "7"}, "parameter"),
    ],
)
def test_handlers_return_422_with_the_reason(
    body: bytes | str, headers: dict[str, str], code: str, torchserve: TorchServeProcess, png: bytes
) -> None:
    request_body = {"whole": png, "truncated": png[: len(png) // 2]}[body] if isinstance(body, str) else body
    for path in (SEGMENT, LANDMARKS):
        response, response_body = torchserve.post(path, request_body, headers)
        assert (response.status, response.headers["content-type"]) == (422, "application/json")
        problem = json.loads(response_body)
        assert problem["code"] == code
        assert len(problem["message"]) > 20


def test_handler_isolates_a_bad_image_in_a_batch(torchserve: TorchServeProcess, png: bytes, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, name="batched")
    register_model(torchserve, model, batch_size=4, max_batch_delay=30_000)
    bodies = [png, png[:500], b"", png]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda body: torchserve.post("/predictions/batched/1.0.0", body, SCALE), bodies))
    assert [response.status for response, _ in responses] == [200, 422, 422, 200]
    maps = [SegmentationPrediction.from_bytes(responses[index][1]).probabilities_CHW for index in (0, 3)]
    np.testing.assert_array_equal(*maps)


def test_handler_returns_timing_and_batch_size_per_image(
    torchserve: TorchServeProcess, png: bytes, tmp_path: Path
) -> None:
    register_model(torchserve, write_tiny_model(tmp_path, name="timed"), batch_size=3, max_batch_delay=30_000)
    bodies = [png, png[:500], png]
    with ThreadPoolExecutor(3) as pool:
        responses = list(pool.map(lambda body: torchserve.post("/predictions/timed/1.0.0", body, SCALE), bodies))
    first, damaged, last = (read_timing(response.headers[HEADER]) for response, _ in responses)
    assert [timing.batch_size for timing in (first, damaged, last)] == [3, 3, 3]
    assert (set(first.seconds), set(damaged.seconds)) == (set(STEPS), {"decode"})
    assert all(seconds > 0 for seconds in first.seconds.values())
    unbatched = read_timing(torchserve.post(LANDMARKS, png, SCALE)[0].headers[HEADER])
    assert (set(unbatched.seconds), unbatched.batch_size) == (set(STEPS), 1)


def test_torchserve_serves_two_versions_of_a_model(torchserve: TorchServeProcess, png: bytes, tmp_path: Path) -> None:
    register_model(torchserve, write_tiny_model(tmp_path, seed=1, version="1.1.0"))
    predictions = [
        SegmentationPrediction.from_bytes(torchserve.post(f"/predictions/tiny-seg/{version}", png, SCALE)[1])
        for version in ("1.0.0", "1.1.0")
    ]
    assert [prediction.meta.model.version for prediction in predictions] == ["1.0.0", "1.1.0"]
    assert (predictions[0].probabilities_CHW != predictions[1].probabilities_CHW).any()
    listed = json.loads(torchserve.call_management("GET", "/models/tiny-seg/all")[1])
    assert [version["modelVersion"] for version in listed] == ["1.0.0", "1.1.0"]


def test_torchserve_starts_no_worker_for_other_weights(torchserve: TorchServeProcess, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, name="damaged")
    whole = write_archive(model.weights, model.card, tmp_path)
    other = write_tiny_model(tmp_path / "other", seed=9).weights.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(torchserve.store / "damaged.mar", "w") as archive:
        for name, content in {**entries, WEIGHTS: other}.items():
            archive.writestr(name, content)
    response, _ = torchserve.call_management("POST", "/models?url=damaged.mar&initial_workers=1&synchronous=true")
    assert response.status >= 500
    assert torchserve.worker_states("damaged", "1.0.0") != ["READY"]


def test_torchserve_loads_models_only_from_the_store(
    torchserve: TorchServeProcess, segmenter: TinyModel, tmp_path: Path
) -> None:
    outside = write_archive(segmenter.weights, segmenter.card.model_copy(update={"name": "foreign"}), tmp_path)
    for url in (f"file://{outside}", str(outside), "../foreign-1.0.0.mar", "http://127.0.0.1:1/foreign.mar"):
        response, _ = torchserve.call_management("POST", f"/models?url={quote(url, safe='')}")
        assert response.status in (400, 404), url
    assert torchserve.call_management("GET", "/models/foreign")[0].status == 404


def test_torchserve_restarts_a_killed_worker(torchserve: TorchServeProcess, png: bytes) -> None:
    def worker() -> dict[str, object]:
        listed = json.loads(torchserve.call_management("GET", "/models/tiny-landmarks/1.0.0")[1])[0]["workers"]
        return listed[0] if listed else {}

    killed = worker()["pid"]
    os.kill(int(str(killed)), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while torchserve.post(LANDMARKS, png, SCALE)[0].status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert worker()["status"] == "READY"
    assert worker()["pid"] != killed


def test_torchserve_metrics_have_model_and_version(torchserve: TorchServeProcess, png: bytes) -> None:
    torchserve.post(SEGMENT, png, SCALE)
    counters = [line for line in torchserve.metrics().splitlines() if line.startswith("ts_inference_requests_total{")]
    assert any('model_name="tiny-seg"' in line and 'model_version="1.0.0"' in line for line in counters)


def test_torchserve_accepts_large_images_up_to_the_limit(torchserve: TorchServeProcess) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
    photograph = encode_image(noise, "TIFF")
    assert 30_000_000 < len(photograph) < 64 * 2**20
    response, body = torchserve.post(SEGMENT, photograph, {"x-thale-mm-per-px": "0.03"})
    assert response.status == 200
    assert SegmentationPrediction.from_bytes(body).probabilities_CHW.shape == (3, 360, 480)
    assert torchserve.post(SEGMENT, bytes(65 * 2**20))[0].status == 413


def register_model(torchserve: TorchServeProcess, model: TinyModel, **options: int) -> None:
    archive = write_archive(model.weights, model.card, torchserve.store)
    query = "".join(f"&{name}={value}" for name, value in options.items())
    path = f"/models?url={archive.name}&initial_workers=1&synchronous=true{query}"
    torchserve.call_management("DELETE", f"/models/{model.card.name}/{model.card.version}")  # of an earlier attempt
    response, body = torchserve.call_management("POST", path)
    assert response.status == 200, body
