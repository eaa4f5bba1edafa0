"""Headers of a model request that turn the image, select a plate or a region, and leave out ridges."""

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.drawn_dishes import blank, draw_dish, photograph
from thale_models.handlers.request import DecodedRequest, handle_batch


class FakeContext:
    """TorchServe's context of one item with request headers."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers, self.status = headers, 200
        self.system_properties: dict[str, Any] = {}

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.headers

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        pass

    def get_response_status(self, idx: int) -> tuple[int, str]:
        return self.status, ""

    def set_response_content_type(self, idx: int, value: str) -> None:
        pass

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.status = code


def handle(pixels_HW3: NDArray[np.uint8], **headers: str) -> tuple[int, bytes, list[DecodedRequest]]:
    """Return the status, the body, and the requests that the model received."""
    received: list[DecodedRequest] = []

    def predict(item: DecodedRequest) -> tuple[bytes, str]:
        received.append(item)
        return b"ok", "text/plain"

    buffer = io.BytesIO()
    Image.fromarray(pixels_HW3).save(buffer, "PNG")
    context = FakeContext({name.replace("_", "-"): value for name, value in headers.items()})
    [body] = handle_batch([{"body": buffer.getvalue()}], context, predict)
    return context.status, body, received


@pytest.mark.parametrize(("rotate", "corner"), [("0", (0, 0)), ("90", (0, 59)), ("180", (39, 59)), ("270", (39, 0))])
def test_handler_turns_the_image_clockwise(rotate: str, corner: tuple[int, int]) -> None:
    pixels_HW3 = np.full((40, 60, 3), 100, np.uint8)
    pixels_HW3[0, 0] = 250
    _, _, [item] = handle(pixels_HW3, x_thale_rotate=rotate)
    image_HW3 = item.image_HW3
    height, width = (40, 60) if rotate in ("0", "180") else (60, 40)
    assert image_HW3.shape == (height, width, 3)
    assert image_HW3[min(corner[0], height - 1) if rotate != "270" else height - 1, min(corner[1], width - 1)][0] == 250


@pytest.mark.slow
def test_handler_processes_the_requested_plate() -> None:
    image = blank(1070, 560)
    draw_dish(image, 30, 40, 470)
    draw_dish(image, 545, 25, 490)
    _, _, [item] = handle(photograph(image, 3), x_thale_plate="2")
    calibration = item.calibration
    assert calibration.plate == calibration.plates[1]
    assert calibration.scale.mm_per_px == pytest.approx(120 / 490, rel=0.02)


def test_handler_searches_no_plate_in_the_region_image() -> None:
    image = blank(570, 560)
    draw_dish(image, 40, 45, 470)
    headers = {"x_thale_mm_per_px": "0.25", "x_thale_region": "image"}
    _, _, [item] = handle(photograph(image, 1), **headers)
    assert (item.calibration.plate, item.calibration.plates, item.calibration.flags) == (None, (), ())
    assert (item.calibration.scale.mm_per_px, item.calibration.scale.source) == (0.25, "given")


def test_handler_rejects_the_region_image_without_a_scale() -> None:
    status, body, _ = handle(np.full((40, 60, 3), 100, np.uint8), x_thale_region="image")
    assert (status, json.loads(body)["code"]) == (422, "scale")


@pytest.mark.parametrize(("headers", "expected"), [({}, True), ({"x_thale_ridges": "0"}, False)])
def test_handler_leaves_out_ridges_on_request(headers: dict[str, str], expected: bool) -> None:
    _, _, [item] = handle(np.full((40, 60, 3), 100, np.uint8), **headers)
    assert item.include_ridges is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("x_thale_rotate", "45"), ("x_thale_plate", "0"), ("x_thale_plate", "two"), ("x_thale_region", "dish")],
)
def test_handler_rejects_an_invalid_header(name: str, value: str) -> None:
    status, body, received = handle(np.full((40, 60, 3), 100, np.uint8), **{name: value})
    assert (status, json.loads(body)["code"], received) == (422, "parameter", [])
