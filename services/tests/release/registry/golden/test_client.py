"""Tests of the golden plate client: valid responses, unavailable versions, and failures."""

import json
import socket
import time

import pytest

from tests.support.fake_model_server import Response, run_fake_model_server
from tests.support.golden_predictions import LANDMARKER, encode_response, true_landmarks, true_segmentation
from thale.errors import DeadlineExceededError, ModelFailedError, ModelUnavailableError, TargetError
from thale.release.registry.golden import golden_plates, predict_golden_plates, warm_up


def true_response(number: int) -> Response:
    return encode_response(true_segmentation(golden_plates()[number % 3]))


def error_response(status: int, message: str = "no") -> Response:
    return status, "application/json", json.dumps({"code": status, "message": message}).encode()


def test_client_summarises_predictions_on_every_plate() -> None:
    with run_fake_model_server(true_response) as server:
        predictions = predict_golden_plates(server.url + "/", "plate-seg", "1.0.0")
    assert server.paths == ["/predictions/plate-seg/1.0.0"] * 3
    assert [prediction.plate for prediction in predictions] == [plate.name for plate in golden_plates()]
    assert all(prediction.dice["root"] == prediction.dice["shoot"] == 1 for prediction in predictions)
    roots = [int((plate.mask_HW == 1).sum()) for plate in golden_plates()]
    assert [prediction.area_px["root"] for prediction in predictions] == roots


def test_client_parses_landmarks() -> None:
    with run_fake_model_server(lambda number: encode_response(true_landmarks(golden_plates()[number]))) as server:
        predictions = predict_golden_plates(server.url, LANDMARKER.name, "1.0.0")
    assert [len(prediction.landmarks) for prediction in predictions] == [
        len(plate.landmarks) for plate in golden_plates()
    ]


@pytest.mark.parametrize("status", [404, 503, 507])
def test_client_reports_missing_version_as_unavailable(status: int) -> None:
    with (
        run_fake_model_server(lambda _: error_response(status)) as server,
        pytest.raises(ModelUnavailableError, match=str(status)),
    ):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (error_response(500, "it broke"), r"it broke \(status 500\)"),
        ((500, "text/plain", b"\xff"), "status 500"),
        ((302, "text/plain", b""), "status 302"),
        ((200, "text/html", b"<p>"), "text/html"),
        ((200, "application/x-npz", b"PK"), "not a segmentation"),
        ((200, "application/json", b"{}"), "not a landmark"),
    ],
)
def test_client_rejects_invalid_response(response: Response, message: str) -> None:
    with run_fake_model_server(lambda _: response) as server, pytest.raises(ModelFailedError, match=message):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_client_reports_dead_worker_as_unavailable() -> None:
    with (
        run_fake_model_server(lambda _: error_response(500, "Worker died.")) as server,
        pytest.raises(ModelUnavailableError),
    ):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_client_rejects_predictions_outside_the_plate() -> None:
    far = true_landmarks(golden_plates()[0], transform=lambda mark: mark.model_copy(update={"x": 9000.0}))
    maps = true_segmentation(golden_plates()[0])
    maps.probabilities_CHW[:] = 200
    for prediction, message in ((far, "outside"), (maps, "sum to")):
        with (
            run_fake_model_server(lambda _, prediction=prediction: encode_response(prediction)) as server,
            pytest.raises(ModelFailedError, match=message),
        ):
            predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_client_fails_when_server_is_silent_or_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeadlineExceededError):
            predict_golden_plates(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0", timeout_s=0.3)
    with pytest.raises(ModelUnavailableError, match="does not respond"):
        predict_golden_plates(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0")


def test_warm_up_waits_for_loading_version() -> None:
    retry_times: list[float] = []
    with run_fake_model_server(
        lambda number: error_response(503) if number < 2 else true_response(number - 2)
    ) as server:
        predictions = warm_up(server.url, "plate-seg", "1.0.0", 60, lambda: retry_times.append(time.monotonic()))
    assert len(predictions) == 3
    assert len(retry_times) == 2


def test_warm_up_fails_with_the_cause() -> None:
    with run_fake_model_server(lambda _: error_response(503)) as server:
        with pytest.raises(TargetError, match=r"was not ready within 0\.5 s"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.5)
        with pytest.raises(TargetError, match=r"did not|was not"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.0)
    with (
        run_fake_model_server(lambda _: error_response(500)) as server,
        pytest.raises(TargetError, match="cannot predict"),
    ):
        warm_up(server.url, "plate-seg", "1.0.0", 60)
    assert len(server.paths) == 1
