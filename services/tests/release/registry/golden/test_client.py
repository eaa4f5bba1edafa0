"""Asking a model server: what counts as an answer, as not there yet, and as broken."""

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


def test_every_plate_is_answered_in_numbers() -> None:
    with run_fake_model_server(true_response) as server:
        answers = predict_golden_plates(server.url + "/", "plate-seg", "1.0.0")
    assert server.paths == ["/predictions/plate-seg/1.0.0"] * 3
    assert [answer.plate for answer in answers] == [plate.name for plate in golden_plates()]
    assert all(answer.dice["root"] == answer.dice["shoot"] == 1 for answer in answers)
    roots = [int((plate.mask_HW == 1).sum()) for plate in golden_plates()]
    assert [answer.area_px["root"] for answer in answers] == roots


def test_landmarks_are_read_as_well() -> None:
    with run_fake_model_server(lambda number: encode_response(true_landmarks(golden_plates()[number]))) as server:
        answers = predict_golden_plates(server.url, LANDMARKER.name, "1.0.0")
    assert [len(answer.landmarks) for answer in answers] == [len(plate.landmarks) for plate in golden_plates()]


@pytest.mark.parametrize("status", [404, 503, 507])
def test_a_version_that_is_not_there_is_unavailable(status: int) -> None:
    with (
        run_fake_model_server(lambda _: error_response(status)) as server,
        pytest.raises(ModelUnavailableError, match=str(status)),
    ):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (error_response(500, "it broke"), "status 500: it broke"),
        ((500, "text/plain", b"\xff"), "no reason given"),
        ((302, "text/plain", b""), "status 302"),
        ((200, "text/html", b"<p>"), "text/html"),
        ((200, "application/x-npz", b"PK"), "no segmentation"),
        ((200, "application/json", b"{}"), "no landmarks"),
    ],
)
def test_what_is_no_answer_is_a_failure(answer: Response, complaint: str) -> None:
    with run_fake_model_server(lambda _: answer) as server, pytest.raises(ModelFailedError, match=complaint):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_a_worker_that_died_is_unavailable_whatever_the_status() -> None:
    with (
        run_fake_model_server(lambda _: error_response(500, "Worker died.")) as server,
        pytest.raises(ModelUnavailableError),
    ):
        predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_an_answer_about_other_places_is_a_failure() -> None:
    far = true_landmarks(golden_plates()[0], transform=lambda mark: mark.model_copy(update={"x": 9000.0}))
    maps = true_segmentation(golden_plates()[0])
    maps.probabilities_CHW[:] = 200
    for answer, complaint in ((far, "outside"), (maps, "add up to")):
        with (
            run_fake_model_server(lambda _, a=answer: encode_response(a)) as server,
            pytest.raises(ModelFailedError, match=complaint),
        ):
            predict_golden_plates(server.url, "plate-seg", "1.0.0")


def test_a_server_that_is_not_there_or_silent_ends_the_question() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeadlineExceededError):
            predict_golden_plates(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0", timeout_s=0.3)
    with pytest.raises(ModelUnavailableError, match="does not answer"):
        predict_golden_plates(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0")


def test_warming_up_waits_for_a_version_that_is_still_loading() -> None:
    looks: list[float] = []
    with run_fake_model_server(
        lambda number: error_response(503) if number < 2 else true_response(number - 2)
    ) as server:
        answers = warm_up(server.url, "plate-seg", "1.0.0", 60, lambda: looks.append(time.monotonic()))
    assert len(answers) == 3
    assert len(looks) == 2


def test_warming_up_ends_with_the_reason() -> None:
    with run_fake_model_server(lambda _: error_response(503)) as server:
        with pytest.raises(TargetError, match=r"did not .* within 0\.5 s"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.5)
        with pytest.raises(TargetError, match="did not"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.0)
    with (
        run_fake_model_server(lambda _: error_response(500)) as server,
        pytest.raises(TargetError, match="cannot answer"),
    ):
        warm_up(server.url, "plate-seg", "1.0.0", 60)
    assert len(server.paths) == 1
