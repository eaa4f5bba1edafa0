"""Tests of the validation of model responses against the release state."""

import math
from dataclasses import replace

import numpy as np
import pytest

from thale.errors import InvalidModelResponseError
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.imaging.geometry import Frame
from thale.models.predictions import LandmarkPrediction, SegmentationMeta, SegmentationPrediction
from thale.schemas import Calibration, Landmark, ModelRef, Scale

CALIBRATION = Calibration(scale=Scale(mm_per_px=0.1, source="given"))
ROUTE = Route(
    "plate-seg",
    "1.1.0",
    "segmentation",
    digest="sha256:archive",
    weights_digest="sha256:weights",
    classes=("background", "root"),
)
REPORTED_MODEL = ModelRef(name="plate-seg", version="1.1.0", digest="sha256:weights", engine="openvino 2026.4")


FRAME = Frame(x0=0, y0=0, source_width=5, source_height=4, width=5, height=4)


def segmentation_response(model: ModelRef, **changes: object) -> ModelResponse:
    meta = SegmentationMeta(model=model, classes=("background", "root"), frame=FRAME, calibration=CALIBRATION)
    meta = meta.model_copy(update=changes)
    return ModelResponse(ROUTE, SegmentationPrediction(meta, np.zeros((1, 4, 5), np.uint8)).to_bytes(), 0.1, 5, 4)


def landmarks_response(model: ModelRef, *landmarks: Landmark) -> ModelResponse:
    prediction = LandmarkPrediction(model=model, landmarks=landmarks, calibration=CALIBRATION)
    route = replace(ROUTE, classes=("root_base", "primary_tip"))
    return ModelResponse(route, prediction.model_dump_json().encode(), 0.1, 5, 4)


def test_response_names_the_archive_released_with_its_weights() -> None:
    expected = REPORTED_MODEL.model_copy(update={"digest": "sha256:archive"})
    assert segmentation_response(REPORTED_MODEL).parse_segmentation().meta.model == expected
    assert landmarks_response(REPORTED_MODEL).parse_landmarks().model == expected


@pytest.mark.parametrize("change", [{"digest": "sha256:other"}, {"version": "1.0.0"}, {"name": "rosette-seg"}])
def test_response_of_another_model_is_invalid(change: dict[str, str]) -> None:
    other = REPORTED_MODEL.model_copy(update=change)
    with pytest.raises(InvalidModelResponseError, match=r"plate-seg 1\.1\.0 returned an invalid response"):
        segmentation_response(other).parse_segmentation()
    with pytest.raises(InvalidModelResponseError, match=r"plate-seg 1\.1\.0 returned an invalid response"):
        landmarks_response(other).parse_landmarks()


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ("background", "shoot")},
        {"frame": FRAME.model_copy(update={"x0": 1})},
        {"frame": FRAME.model_copy(update={"y0": -1})},
        {"calibration": Calibration(scale=Scale(mm_per_px=math.nan, source="given"))},
        {"calibration": Calibration(scale=Scale(mm_per_px=-0.1, source="plate_edge"))},
    ],
)
def test_segmentation_of_another_image_is_invalid(change: dict[str, object]) -> None:
    with pytest.raises(InvalidModelResponseError, match="returned an invalid response") as caught:
        segmentation_response(REPORTED_MODEL, **change).parse_segmentation()
    assert (caught.value.name, caught.value.version) == ("plate-seg", "1.1.0")


def test_unparsable_response_is_invalid() -> None:
    for data in (b"", b"PK", b"{}", segmentation_response(REPORTED_MODEL).data[:-30], b'{"landmarks": [NaN]}'):
        response = replace(segmentation_response(REPORTED_MODEL), data=data)
        with pytest.raises(InvalidModelResponseError):
            response.parse_segmentation()
        with pytest.raises(InvalidModelResponseError):
            response.parse_landmarks()


@pytest.mark.parametrize(("kind", "x"), [("leaf_tip", 1.0), ("root_base", 9.0), ("root_base", -4.0)])
def test_landmarks_of_unknown_kind_or_outside_are_invalid(kind: str, x: float) -> None:
    landmark = Landmark.model_validate({"kind": kind, "x": x, "y": 1, "score": 0.5})
    with pytest.raises(InvalidModelResponseError):
        landmarks_response(REPORTED_MODEL, landmark).parse_landmarks()
    assert (
        landmarks_response(REPORTED_MODEL, landmark.model_copy(update={"kind": "root_base", "x": 4.4}))
        .parse_landmarks()
        .landmarks
    )


def test_landmark_at_nan_is_invalid() -> None:
    response = landmarks_response(REPORTED_MODEL, Landmark(kind="root_base", x=1, y=1, score=0.5))
    with pytest.raises(InvalidModelResponseError):
        replace(response, data=response.data.replace(b'"x":1.0', b'"x":NaN')).parse_landmarks()
