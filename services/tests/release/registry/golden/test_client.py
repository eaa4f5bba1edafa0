"""Asking a model server: what counts as an answer, as not there yet, and as broken."""

import json
import socket
import time

import pytest

from tests.support.fake_model_server import Said, golden_server
from tests.support.golden_predictions import LANDMARKER, landmarks, said, segmentation
from thale.errors import ActuatorError, DeadlineExceededError, ModelFailedError, ModelUnavailableError
from thale.release.registry.golden import ask, golden_plates, warm_up


def truth(number: int) -> Said:
    return said(segmentation(golden_plates()[number % 3]))


def refusal(status: int, message: str = "no") -> Said:
    return status, "application/json", json.dumps({"code": status, "message": message}).encode()


def test_every_plate_is_answered_in_numbers() -> None:
    with golden_server(truth) as server:
        answers = ask(server.url + "/", "plate-seg", "1.0.0")
    assert server.asked == ["/predictions/plate-seg/1.0.0"] * 3
    assert [answer.plate for answer in answers] == [plate.name for plate in golden_plates()]
    assert all(answer.dice["root"] == answer.dice["shoot"] == 1 for answer in answers)
    roots = [int((plate.mask_HW == 1).sum()) for plate in golden_plates()]
    assert [answer.area_px["root"] for answer in answers] == roots


def test_landmarks_are_read_as_well() -> None:
    with golden_server(lambda number: said(landmarks(golden_plates()[number]))) as server:
        answers = ask(server.url, LANDMARKER.name, "1.0.0")
    assert [len(answer.landmarks) for answer in answers] == [len(plate.landmarks) for plate in golden_plates()]


@pytest.mark.parametrize("status", [404, 503, 507])
def test_a_version_that_is_not_there_is_unavailable(status: int) -> None:
    with golden_server(lambda _: refusal(status)) as server, pytest.raises(ModelUnavailableError, match=str(status)):
        ask(server.url, "plate-seg", "1.0.0")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (refusal(500, "it broke"), "status 500: it broke"),
        ((500, "text/plain", b"\xff"), "no reason given"),
        ((302, "text/plain", b""), "status 302"),
        ((200, "text/html", b"<p>"), "text/html"),
        ((200, "application/x-npz", b"PK"), "no segmentation"),
        ((200, "application/json", b"{}"), "no landmarks"),
    ],
)
def test_what_is_no_answer_is_a_failure(answer: Said, complaint: str) -> None:
    with golden_server(lambda _: answer) as server, pytest.raises(ModelFailedError, match=complaint):
        ask(server.url, "plate-seg", "1.0.0")


def test_a_worker_that_died_is_unavailable_whatever_the_status() -> None:
    with golden_server(lambda _: refusal(500, "Worker died.")) as server, pytest.raises(ModelUnavailableError):
        ask(server.url, "plate-seg", "1.0.0")


def test_an_answer_about_other_places_is_a_failure() -> None:
    far = landmarks(golden_plates()[0], change=lambda mark: mark.model_copy(update={"x": 9000.0}))
    maps = segmentation(golden_plates()[0])
    maps.probabilities_CHW[:] = 200
    for answer, complaint in ((far, "outside"), (maps, "add up to")):
        with golden_server(lambda _, a=answer: said(a)) as server, pytest.raises(ModelFailedError, match=complaint):
            ask(server.url, "plate-seg", "1.0.0")


def test_a_server_that_is_not_there_or_silent_ends_the_question() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeadlineExceededError):
            ask(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0", timeout_s=0.3)
    with pytest.raises(ModelUnavailableError, match="does not answer"):
        ask(f"http://127.0.0.1:{port}", "plate-seg", "1.0.0")


def test_warming_up_waits_for_a_version_that_is_still_loading() -> None:
    looks: list[float] = []
    with golden_server(lambda number: refusal(503) if number < 2 else truth(number - 2)) as server:
        answers = warm_up(server.url, "plate-seg", "1.0.0", 60, lambda: looks.append(time.monotonic()))
    assert len(answers) == 3
    assert len(looks) == 2


def test_warming_up_ends_with_the_reason() -> None:
    with golden_server(lambda _: refusal(503)) as server:
        with pytest.raises(ActuatorError, match=r"did not .* within 0\.5 s"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.5)
        with pytest.raises(ActuatorError, match="did not"):
            warm_up(server.url, "plate-seg", "1.0.0", 0.0)
    with golden_server(lambda _: refusal(500)) as server, pytest.raises(ActuatorError, match="cannot answer"):
        warm_up(server.url, "plate-seg", "1.0.0", 60)
    assert len(server.asked) == 1
