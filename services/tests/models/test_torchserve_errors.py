"""Tests of the classification of TorchServe's error responses."""

import json

import pytest

from thale.models.torchserve_errors import TorchServeError


def parse(status: int, message: str) -> TorchServeError:
    return TorchServeError.from_response(status, json.dumps({"code": status, "message": message}).encode())


@pytest.mark.parametrize(
    ("status", "message"),
    [(503, ""), (503, "No worker is available"), (507, "anything"), (507, "Worker died."), (500, "Worker died.")],
)
def test_torchserve_error_is_unavailable_without_worker(status: int, message: str) -> None:
    assert parse(status, message).is_worker_unavailable


@pytest.mark.parametrize(("status", "message"), [(503, "Prediction failed"), (500, "it broke"), (404, "no model")])
def test_torchserve_error_is_not_unavailable(status: int, message: str) -> None:
    assert not parse(status, message).is_worker_unavailable


def test_torchserve_error_recognises_unknown_version() -> None:
    assert parse(404, "").is_unknown_version
    assert not parse(503, "").is_unknown_version


def test_torchserve_error_describes_message_and_status() -> None:
    assert str(parse(409, "it exists")) == "it exists (status 409)"
    assert str(parse(409, "")) == "status 409"


@pytest.mark.parametrize("data", [b"", b"\xff", b"[1]", b"null", b"<html>"])
def test_torchserve_error_is_empty_without_json_object(data: bytes) -> None:
    error = TorchServeError.from_response(500, data)
    assert (error.code, error.message, dict(error.body)) == ("", "", {})


def test_torchserve_error_returns_code_of_worker() -> None:
    assert TorchServeError.from_response(422, b'{"code": "scale", "message": "too small"}').code == "scale"
