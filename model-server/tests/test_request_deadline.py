"""Tests of the deadline in a worker: a request whose client has left is dropped before each expensive step."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import sample_images
from tests.support.sample_releases import make_card
from thale.errors import DeadlineExceededError
from thale.models import worker_deadline
from thale.schemas import Calibration
from thale_models.handlers.request import HandlerResponse, handle_batch
from thale_models.request_deadline import check_deadline, stop_after
from thale_models.tiled_inference import predict_in_bands


class Context:
    """TorchServe's context of a batch, with one header for each item."""

    system_properties: Mapping[str, Any] = {}

    def __init__(self, *deadlines: str) -> None:
        self.deadlines = deadlines
        self.statuses: dict[int, int] = {}

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        return {worker_deadline.HEADER: self.deadlines[idx]}

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Ignore the timing."""

    def get_response_status(self, idx: int) -> tuple[int, str]:
        return self.statuses.get(idx, 200), ""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Ignore the media type."""

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.statuses[idx] = code


class CountingEngine:
    """Engine that counts its tiles, and lets the deadline pass after the first one."""

    stride = 8
    name = "counting"

    def __init__(self) -> None:
        self.tiles = 0

    def __call__(self, tiles_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        self.tiles += 1
        count, _, height, width = tiles_NCHW.shape
        return np.zeros((count, 4, height, width), np.float32)


def test_expired_item_is_dropped_before_it_is_decoded() -> None:
    measured = []

    def predict(image_HW3: NDArray[np.uint8], _calibration: Calibration) -> HandlerResponse:
        measured.append(image_HW3.shape)
        return b"{}", "application/json"

    context = Context(worker_deadline.encode_deadline(-1.0), worker_deadline.encode_deadline(600.0), "")
    items = [{"body": b"not an image"}, {"body": sample_images.png()}, {"body": sample_images.png()}]
    bodies = handle_batch(items, context, predict)
    assert context.statuses == {0: 504}
    assert json.loads(bodies[0])["code"] == DeadlineExceededError.code
    assert len(measured) == 2


def test_inference_stops_between_two_tiles() -> None:
    engine, pixels_HW3 = CountingEngine(), np.zeros((256, 256, 3), np.uint8)
    card = make_card("plate-seg", "1.0.0")
    with stop_after(600.0):
        tiles = sum(band.planes_CHW.shape[1] > 0 for band in predict_in_bands(pixels_HW3, card, engine))
    assert engine.tiles > tiles > 1
    stopped = CountingEngine()
    with pytest.raises(DeadlineExceededError), stop_after(-1.0):
        list(predict_in_bands(pixels_HW3, card, stopped))
    assert stopped.tiles == 0


def test_work_without_a_deadline_is_not_stopped() -> None:
    check_deadline()
    with pytest.raises(DeadlineExceededError), stop_after(-1.0):
        check_deadline()
    check_deadline()
