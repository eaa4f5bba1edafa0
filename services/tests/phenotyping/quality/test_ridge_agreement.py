"""Tests of the agreement of correct and wrong tracings with the ridge filter."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sample_plates import UNKNOWN_SCALE, XY, DrawnMaps
from thale.imaging.ridge_filter import ridge_response
from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.quality.ridge_agreement import (
    RidgeAgreement,
    digital_length_px,
    flag_disagreement,
    ridge_agreement,
)
from thale.schemas import Plant, Root

MM = 16.0
PRIMARY: tuple[XY, ...] = ((300, 80), (320, 240), (290, 480))
LATERALS: tuple[tuple[XY, ...], ...] = (
    ((312, 180), (400, 230), (420, 330)),
    ((318, 225), (230, 280), (210, 380)),
    ((312, 300), (380, 380), (390, 470)),
)


def root(identity: str, *points: XY) -> Root:
    length = float(np.hypot(*np.diff(np.array(points), axis=0).T).sum())
    order = 1 + identity.count(".")
    return Root(id=identity, order=order, points=points, length_px=length, confidence=1)


def traced_plant(*lines: tuple[XY, ...]) -> Plant:
    roots = (root("1" if not number else f"1.{number}", *points) for number, points in enumerate(lines))
    return Plant(id=1, organs=(), landmarks=(), roots=tuple(roots))


def plate_with_plant() -> DrawnMaps:
    plate = DrawnMaps()
    plate.draw_shoot(300, 72)
    for points in (PRIMARY, *LATERALS):
        plate.draw_root(*points)
    return plate


def predict_with_ridges(plate: DrawnMaps, light: float = 150, contrast: float = -20) -> SegmentationPrediction:
    """Return the plate's probability maps with the ridges of a simulated photograph with camera noise."""
    prediction = plate.to_prediction()
    grain = np.random.default_rng(0).normal(0, 1.5, prediction.probabilities_CHW.shape[1:])
    grey_HW = light + grain + contrast * (prediction.probabilities_CHW.max(axis=0) / 255)
    pixels_HW3 = np.repeat(np.clip(np.rint(grey_HW), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return replace(prediction, ridge_HW=ridge_response(pixels_HW3))


@pytest.fixture(scope="module")
def prediction() -> SegmentationPrediction:
    return predict_with_ridges(plate_with_plant())


@pytest.mark.slow
@pytest.mark.parametrize(("light", "contrast"), [(150, -20), (40, 60)])
def test_ridge_agreement_confirms_tracing_in_both_polarities(light: float, contrast: float) -> None:
    agreement = ridge_agreement(
        [traced_plant(PRIMARY, *LATERALS)], predict_with_ridges(plate_with_plant(), light, contrast)
    )[1]
    assert agreement.supported_share > 0.97
    assert agreement.length_ratio == pytest.approx(1, abs=0.08)


def shift(points: tuple[XY, ...]) -> tuple[XY, ...]:
    return tuple((x + MM, y) for x, y in points)


WRONG_TRACINGS: dict[str, tuple[tuple[XY, ...], ...]] = {
    "missing laterals": (PRIMARY,),
    "false root": (PRIMARY, *LATERALS, ((305, 400), (100, 500), (60, 620), (600, 620))),
    "displaced by 1 mm": tuple(shift(points) for points in (PRIMARY, *LATERALS)),
    "straight line": ((PRIMARY[0], (600, 600)),),
}


@pytest.mark.slow
@pytest.mark.parametrize("lines", WRONG_TRACINGS.values(), ids=WRONG_TRACINGS.keys())
def test_flag_disagreement_reports_both_values_of_wrong_tracing(
    lines: tuple[tuple[XY, ...], ...], prediction: SegmentationPrediction
) -> None:
    agreement = ridge_agreement([traced_plant(*lines)], prediction)[1]
    [plant] = flag_disagreement([traced_plant(*lines)], {1: agreement})
    assert [flag.code for flag in plant.flags] == ["methods_disagree"]
    assert f"{agreement.supported_share:.0%}" in plant.flags[0].message
    assert f"{agreement.length_ratio:.2f} times" in plant.flags[0].message


def test_flag_disagreement_does_not_flag_correct_tracing(prediction: SegmentationPrediction) -> None:
    plants = (traced_plant(PRIMARY, *LATERALS),)
    assert flag_disagreement(plants, ridge_agreement(plants, prediction)) == plants


def test_flag_disagreement_does_not_flag_without_ridges(prediction: SegmentationPrediction) -> None:
    plants = (traced_plant(PRIMARY),)
    assert flag_disagreement(plants, ridge_agreement(plants, replace(prediction, ridge_HW=None))) == plants


def test_ridge_agreement_is_empty_when_image_is_full_of_ridges(prediction: SegmentationPrediction) -> None:
    assert prediction.ridge_HW is not None
    soil_HW = np.random.default_rng(0).integers(-60, 60, prediction.ridge_HW.shape).astype(np.int8)
    assert ridge_agreement([traced_plant(PRIMARY)], replace(prediction, ridge_HW=soil_HW)) == {}


@pytest.mark.parametrize("level", [0, -128, 127])
def test_ridge_agreement_accepts_constant_ridge_map(level: int, prediction: SegmentationPrediction) -> None:
    ridge_HW = np.full((640, 640), level, np.int8)
    for agreement in ridge_agreement([traced_plant(PRIMARY)], replace(prediction, ridge_HW=ridge_HW)).values():
        assert agreement == RidgeAgreement(0, 0)


def test_ridge_agreement_omits_short_root(prediction: SegmentationPrediction) -> None:
    assert ridge_agreement([traced_plant(((300, 80), (300, 110)))], prediction) == {}
    assert ridge_agreement([Plant(id=1, organs=(), landmarks=(), roots=())], prediction) == {}


def test_ridge_agreement_accepts_roots_outside_frame() -> None:
    plate = plate_with_plant()
    unknown = replace(plate.to_prediction(UNKNOWN_SCALE), ridge_HW=predict_with_ridges(plate).ridge_HW)
    assert ridge_agreement([traced_plant(PRIMARY, *LATERALS)], unknown)[1].is_sufficient
    assert not ridge_agreement([traced_plant(((-900, -900), (-100, -100)))], unknown)[1].is_sufficient


def test_ridge_agreement_assigns_lines_to_nearest_plant() -> None:
    plate = DrawnMaps()
    plate.draw_root((200, 80), (200, 500))
    plate.draw_root((240, 80), (240, 500))
    first, second = (
        traced_plant(((200, 80), (200, 500))),
        traced_plant(((240, 80), (240, 500))).model_copy(update={"id": 2}),
    )
    agreements = ridge_agreement([first, second], predict_with_ridges(plate))
    assert all(agreement.is_sufficient for agreement in agreements.values())
    assert set(agreements) == {1, 2}


@pytest.mark.parametrize(
    ("pixel_at", "length"),
    [(lambda step: (10, 10 + step), 100), (lambda step: (10 + step, 10 + step), 141), (lambda _: (9, 9), 0)],
)
def test_digital_length_px_is_close_to_line_length(pixel_at: Callable[[int], tuple[int, int]], length: float) -> None:
    line_HW: NDArray[np.bool_] = np.zeros((130, 130), bool)
    for step in range(101):
        line_HW[pixel_at(step)] = True
    assert digital_length_px(line_HW) == pytest.approx(length, rel=0.06)
