"""Tracings that are right, and such as nobody may believe, laid beside what the ridge filter sees."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sample_plates import UNKNOWN_SCALE, XY, SyntheticPlate
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


def plate_with_plant() -> SyntheticPlate:
    plate = SyntheticPlate()
    plate.draw_shoot(300, 72)
    for points in (PRIMARY, *LATERALS):
        plate.draw_root(*points)
    return plate


def predict_with_ridges(plate: SyntheticPlate, light: float = 150, contrast: float = -20) -> SegmentationPrediction:
    """Return the plate's maps with the ridges of a photograph of it, grainy as a camera's."""
    prediction = plate.to_prediction()
    grain = np.random.default_rng(0).normal(0, 1.5, prediction.probabilities_CHW.shape[1:])
    grey_HW = light + grain + contrast * (prediction.probabilities_CHW.max(axis=0) / 255)
    pixels_HW3 = np.repeat(np.clip(np.rint(grey_HW), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return replace(prediction, ridge_HW=ridge_response(pixels_HW3))


@pytest.fixture(scope="module")
def answer() -> SegmentationPrediction:
    return predict_with_ridges(plate_with_plant())


@pytest.mark.parametrize(("light", "contrast"), [(150, -20), (40, 60)])
def test_a_right_tracing_is_borne_out_in_both_polarities(light: float, contrast: float) -> None:
    agreement = ridge_agreement(
        [traced_plant(PRIMARY, *LATERALS)], predict_with_ridges(plate_with_plant(), light, contrast)
    )[1]
    assert agreement.supported_share > 0.97
    assert agreement.length_ratio == pytest.approx(1, abs=0.08)


def shift(points: tuple[XY, ...]) -> tuple[XY, ...]:
    return tuple((x + MM, y) for x, y in points)


WRONG: dict[str, tuple[tuple[XY, ...], ...]] = {
    "laterals missed": (PRIMARY,),
    "a root invented": (PRIMARY, *LATERALS, ((305, 400), (100, 500), (60, 620), (600, 620))),
    "a millimetre off": tuple(shift(points) for points in (PRIMARY, *LATERALS)),
    "straight through": ((PRIMARY[0], (600, 600)),),
}


@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_tracing_is_flagged_with_both_numbers(
    lines: tuple[tuple[XY, ...], ...], answer: SegmentationPrediction
) -> None:
    found = ridge_agreement([traced_plant(*lines)], answer)[1]
    [plant] = flag_disagreement([traced_plant(*lines)], answer)
    assert [flag.code for flag in plant.flags] == ["methods_disagree"]
    assert f"{found.supported_share:.0%}" in plant.flags[0].message
    assert f"{found.length_ratio:.2f} times" in plant.flags[0].message


def test_a_right_tracing_has_no_flag(answer: SegmentationPrediction) -> None:
    plants = (traced_plant(PRIMARY, *LATERALS),)
    assert flag_disagreement(plants, answer) == plants


def test_without_ridges_nothing_is_flagged(answer: SegmentationPrediction) -> None:
    plants = (traced_plant(PRIMARY),)
    assert flag_disagreement(plants, replace(answer, ridge_HW=None)) == plants


def test_a_picture_full_of_ridges_checks_nothing(answer: SegmentationPrediction) -> None:
    assert answer.ridge_HW is not None
    soil_HW = np.random.default_rng(0).integers(-60, 60, answer.ridge_HW.shape).astype(np.int8)
    assert ridge_agreement([traced_plant(PRIMARY)], replace(answer, ridge_HW=soil_HW)) == {}


@pytest.mark.parametrize("level", [0, -128, 127])
def test_a_plane_of_one_level_breaks_nothing(level: int, answer: SegmentationPrediction) -> None:
    plane_HW = np.full((640, 640), level, np.int8)
    for agreement in ridge_agreement([traced_plant(PRIMARY)], replace(answer, ridge_HW=plane_HW)).values():
        assert agreement == RidgeAgreement(0, 0)


def test_a_root_too_short_to_judge_is_left_out(answer: SegmentationPrediction) -> None:
    assert ridge_agreement([traced_plant(((300, 80), (300, 110)))], answer) == {}
    assert ridge_agreement([Plant(id=1, organs=(), landmarks=(), roots=())], answer) == {}


def test_roots_may_lie_outside_of_the_frame_and_the_scale_be_unknown() -> None:
    plate = plate_with_plant()
    unknown = replace(plate.to_prediction(UNKNOWN_SCALE), ridge_HW=predict_with_ridges(plate).ridge_HW)
    assert ridge_agreement([traced_plant(PRIMARY, *LATERALS)], unknown)[1].is_sufficient
    assert not ridge_agreement([traced_plant(((-900, -900), (-100, -100)))], unknown)[1].is_sufficient


def test_each_plant_has_the_lines_about_itself() -> None:
    plate = SyntheticPlate()
    plate.draw_root((200, 80), (200, 500))
    plate.draw_root((240, 80), (240, 500))
    first, second = (
        traced_plant(((200, 80), (200, 500))),
        traced_plant(((240, 80), (240, 500))).model_copy(update={"id": 2}),
    )
    found = ridge_agreement([first, second], predict_with_ridges(plate))
    assert all(agreement.is_sufficient for agreement in found.values())
    assert set(found) == {1, 2}


@pytest.mark.parametrize(
    ("places", "length"),
    [(lambda step: (10, 10 + step), 100), (lambda step: (10 + step, 10 + step), 141), (lambda _: (9, 9), 0)],
)
def test_a_digital_line_is_about_as_long_as_the_line_it_stands_for(
    places: Callable[[int], tuple[int, int]], length: float
) -> None:
    line_HW: NDArray[np.bool_] = np.zeros((130, 130), bool)
    for step in range(101):
        line_HW[places(step)] = True
    assert digital_length_px(line_HW) == pytest.approx(length, rel=0.06)
