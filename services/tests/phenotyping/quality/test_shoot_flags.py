"""Tests of the flags for shoots with an incomplete or merged outline."""

from tests.support.sample_plates import KNOWN_SCALE, DrawnMaps
from thale.phenotyping.plants.reconstruct import reconstruct_plants
from thale.phenotyping.quality.shoot_flags import flag_shoots
from thale.schemas import Calibration, Plate, Point


def codes(plate: DrawnMaps, calibration: Calibration | None = None) -> list[list[str]]:
    prediction = plate.to_prediction()
    plants = reconstruct_plants(prediction, plate.landmarks).plants
    if calibration is not None:
        meta = prediction.meta.model_copy(update={"calibration": calibration})
        prediction = type(prediction)(meta, prediction.probabilities_CHW)
    expected_codes = {"shoot_at_rim", "shoots_touch"}
    return [[f.code for f in plant.flags if f.code in expected_codes] for plant in flag_shoots(plants, prediction)]


def test_flag_shoots_does_not_flag_separate_shoots() -> None:
    plate = DrawnMaps()
    plate.draw_plant(200, 100)
    plate.draw_plant(400, 100)
    assert codes(plate) == [[], []]


def test_flag_shoots_flags_both_touching_shoots() -> None:
    plate = DrawnMaps()
    plate.draw_plant(200, 100)
    plate.draw_plant(320, 100)
    plate.draw_plant(500, 100)
    plate.draw_shoot(260, 92, rx=70, ry=7)
    assert codes(plate) == [["shoots_touch"], ["shoots_touch"], []]


def test_flag_shoots_flags_shoot_at_border_or_rim() -> None:
    plate = DrawnMaps()
    plate.draw_plant(320, 10)
    assert codes(plate) == [["shoot_at_rim"]]
    free = DrawnMaps()
    free.draw_plant(320, 38)
    assert codes(free) == [[]]
    corners = (Point(x=0, y=0), Point(x=640, y=0), Point(x=640, y=640), Point(x=0, y=640))
    rim = Calibration(
        scale=KNOWN_SCALE.model_copy(update={"plate_width_mm": 120}),
        plate=Plate(corners=corners, tilt_deg=0, confidence=1),
    )
    assert codes(free, rim) == [["shoot_at_rim"]]  # 5 mm of 120 mm are 27 px


def test_flag_shoots_accepts_plate_without_shoots() -> None:
    assert flag_shoots((), DrawnMaps().to_prediction()) == ()
    bare = DrawnMaps()
    bare.add_landmark("root_base", 320, 100)
    bare.draw_root((320, 100), (320, 400))
    assert codes(bare) == [[]]
