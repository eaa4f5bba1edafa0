"""Tests of the features on drawn plates: each kind of damage raises or lowers its features."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sample_plates import UNKNOWN_SCALE, XY, DrawnMaps
from thale.phenotyping.quality.features import PlantFeatures, PlateEvidence, plant_features, plate_features
from thale.phenotyping.quality.ridge_agreement import RidgeAgreement
from thale.schemas import Flag, ImageMetadata, Organ, Plant, Plate, Point, Root

IMAGE = ImageMetadata(width=640, height=640, format="JPEG", mode="RGB", bits=8, size_bytes=1, sha256="0")
PRIMARY: tuple[XY, ...] = ((320.0, 160.0), (320.0, 480.0))
LATERAL: tuple[XY, ...] = ((320.0, 260.0), (400.0, 340.0))


def root(identity: str, *points: XY) -> Root:
    length = float(np.hypot(*np.diff(np.array(points), axis=0).T).sum())
    parent = identity.rpartition(".")[0] or None
    order = 1 + identity.count(".")
    return Root(id=identity, order=order, parent=parent, points=points, length_px=length, confidence=1)


def plant(*lines: tuple[XY, ...], number: int = 1, flags: tuple[Flag, ...] = ()) -> Plant:
    roots = tuple(root(f"{number}.{index}" if index else str(number), *line) for index, line in enumerate(lines))
    return Plant(id=number, organs=(), landmarks=(), roots=roots, flags=flags)


def drawn_plate() -> DrawnMaps:
    plate = DrawnMaps()
    plate.draw_plant(320, 160)
    plate.draw_root(*LATERAL)
    plate.add_landmark("lateral_tip", *LATERAL[-1])
    return plate


def evidence(plate: DrawnMaps, *plants: Plant) -> PlateEvidence:
    return PlateEvidence(IMAGE, plate.to_prediction(), plate.landmarks, plants or (plant(PRIMARY, LATERAL),), {}, 0.0)


def features(plate: DrawnMaps, *plants: Plant) -> PlantFeatures:
    return plant_features(evidence(plate, *plants))[1]


@pytest.fixture(scope="module")
def clean() -> PlantFeatures:
    return features(drawn_plate())


def test_features_of_a_clean_plant_show_no_doubt(clean: PlantFeatures) -> None:
    for name in ("tip_distance_mm", "base_distance_mm", "primary_gap_mm", "untraced_certain_mm2", "unused_tips"):
        assert clean[name] == pytest.approx(0, abs=0.05), name
    assert clean["unconfirmed_ends"] == clean["contact_mm"] == clean["flag_crossing"] == 0
    assert clean["tip_score"] == clean["base_score"] == 0.9
    assert clean["primary_mean_probability"] > 0.95
    assert clean["primary_mm"] == pytest.approx(math.log1p(20))
    assert clean["laterals"] == pytest.approx(math.log(2))


def test_features_are_finite_and_the_same_for_every_plant() -> None:
    with_neighbour = plant_features(
        evidence(drawn_plate(), plant(PRIMARY, LATERAL), plant(((500, 160), (500, 300)), number=2))
    )
    alone = features(drawn_plate())
    for found in with_neighbour.values():
        assert list(found) == list(alone)
        assert all(math.isfinite(value) for value in found.values())


def test_tip_features_change_without_landmark_at_the_end(clean: PlantFeatures) -> None:
    short = features(drawn_plate(), plant((PRIMARY[0], (320.0, 400.0)), LATERAL))
    assert (short["tip_distance_mm"], short["tip_score"]) == (4.0, 0.0)
    assert short["untraced_certain_mm2"] > math.log1p(1.0)
    assert clean["untraced_certain_mm2"] < short["untraced_certain_mm2"]


def test_lateral_features_count_missed_and_false_laterals() -> None:
    missed = features(drawn_plate(), plant(PRIMARY))
    assert missed["unused_tips"] == pytest.approx(math.log(2))
    assert missed["expected_missed_laterals"] == pytest.approx(math.log1p(0.9))
    assert missed["expected_false_laterals"] == 0
    false = features(drawn_plate(), plant(PRIMARY, LATERAL, ((320.0, 300.0), (220.0, 340.0))))
    assert false["unconfirmed_ends"] == pytest.approx(math.log(2))
    assert false["unconfirmed_share"] == 0.5
    assert false["expected_false_laterals"] == pytest.approx(math.log1p(0.1 + 1.0))
    assert false["expected_missed_laterals"] == 0
    assert false["lateral_min_probability"] < 0.05


def test_gap_features_measure_erased_root(clean: PlantFeatures) -> None:
    plate = drawn_plate()
    plate.erase(300, 370, 340, 402)  # 32 px are 2 mm
    gap = features(plate)
    assert math.expm1(gap["primary_gap_mm"]) == pytest.approx(2.0, abs=0.2)
    assert gap["primary_gaps"] == pytest.approx(math.log(2))
    assert gap["primary_min_probability"] < 0.05 < clean["primary_min_probability"]


def test_contact_features_measure_roots_near_a_neighbour() -> None:
    neighbour = plant(((500.0, 160.0), (330.0, 400.0), (330.0, 480.0)), number=2)
    touching = features(drawn_plate(), plant(PRIMARY), neighbour)
    assert math.expm1(touching["primary_contact_mm"]) > 3
    assert touching["spacing_mm"] == pytest.approx(math.log1p(180 / 16))
    bent = plant_features(evidence(drawn_plate(), plant(PRIMARY), neighbour))[2]
    assert bent["sharpest_bend"] > 0.4 > touching["sharpest_bend"]
    assert bent["lane_offset"] > 0.9


def test_other_flags_count_flags_without_a_feature_of_their_own() -> None:
    flags = tuple(Flag(code=code, message="") for code in ("crossing", "roots_swapped", "shoots_touch"))
    flagged = features(drawn_plate(), plant(PRIMARY, LATERAL, flags=flags))
    assert (flagged["flag_crossing"], flagged["other_flags"]) == (1, 1)


def test_ridge_features_separate_excess_and_deficit() -> None:
    for ratio, name in ((2.0, "ridge_excess"), (0.5, "ridge_deficit")):
        given = replace(evidence(drawn_plate()), agreements={1: RidgeAgreement(0.8, ratio)})
        found = plant_features(given)[1]
        assert found[name] == pytest.approx(math.log(2))
        assert (found["ridge_support"], found["ridge_unknown"]) == (0.8, 0)


def test_image_features_measure_resolution_and_compression() -> None:
    given = evidence(drawn_plate())
    assert plant_features(given)[1]["compression"] == plant_features(given)[1]["resolution_below"] == 0
    strong = replace(given, image=IMAGE.model_copy(update={"jpeg_quality": 20}))
    assert plant_features(strong)[1]["compression"] == 3.0


def test_plate_edge_features_show_a_wrong_edge() -> None:
    given = evidence(drawn_plate())
    corners = ((0, 0), (600, 0), (600, 624), (0, 624))
    plate = Plate(corners=tuple(Point(x=x, y=y) for x, y in corners), tilt_deg=0.0, confidence=0.75)
    meta = given.segmentation.meta
    calibration = meta.calibration.model_copy(update={"plate": plate})
    segmentation = replace(given.segmentation, meta=meta.model_copy(update={"calibration": calibration}))
    found = plant_features(replace(given, segmentation=segmentation))[1]
    assert found["plate_doubt"] == 0.25
    assert found["plate_skew"] == pytest.approx(math.log(624 / 600))
    unknown = given.segmentation.meta.calibration.plate
    assert unknown is None or plant_features(given)[1]["plate_skew"] < 0.01


def test_features_exist_without_scale_and_without_ridges() -> None:
    plate = drawn_plate()
    given = PlateEvidence(IMAGE, plate.to_prediction(UNKNOWN_SCALE), (), (plant(PRIMARY, LATERAL),), {}, 0.0)
    assert all(math.isfinite(value) for value in plant_features(given)[1].values())


def test_plants_without_primary_root_have_no_features() -> None:
    seed = Plant(id=2, organs=(), landmarks=(), roots=())
    assert set(plant_features(evidence(drawn_plate(), plant(PRIMARY), seed))) == {1}
    assert plant_features(evidence(drawn_plate(), seed)) == {}


def test_plate_features_are_means_over_plants() -> None:
    assert plate_features({1: {"a": 1.0, "b": 0.0}, 2: {"a": 2.0, "b": 0.0}}) == {"a": 1.5, "b": 0.0}
    assert plate_features({}) is None


def test_features_contain_contested_share() -> None:
    contested = replace(evidence(drawn_plate()), contested_shares={1: 0.25}, exchange_margins={1: 1.5})
    assert plant_features(contested)[1]["contested_share"] == 0.25
    assert plant_features(contested)[1]["exchange_margin"] == 1.5
    assert plant_features(replace(contested, primary_margins={1: 0.4}))[1]["primary_margin"] == 0.4
    assert plant_features(contested)[1]["primary_margin"] == 5.0
    assert features(drawn_plate())["contested_share"] == 0.0
    assert features(drawn_plate())["exchange_margin"] == 5.0


def test_shoot_features_are_confidence_and_area() -> None:
    shoot = Organ(kind="shoot", ontology_id="PO:0009006", area_px=512.0, area_mm2=2.0, confidence=0.8, polygons=())
    found = features(drawn_plate(), plant(PRIMARY, LATERAL).model_copy(update={"organs": (shoot,)}))
    assert (found["shoot_confidence"], found["shoot_mm2"]) == (0.8, pytest.approx(math.log(3)))
    without = features(drawn_plate())
    assert (without["shoot_confidence"], without["shoot_mm2"], without["no_laterals"]) == (1.0, 0.0, 0.0)
    assert features(drawn_plate(), plant(PRIMARY))["no_laterals"] == 1.0
