"""Tests of the features of laterals on drawn plates."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.sample_plates import XY, DrawnMaps
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.quality.lateral_features import base_features, lateral_features
from thale.schemas import Plant, Root

PRIMARY: tuple[XY, ...] = ((320.0, 160.0), (320.0, 480.0))
LATERAL: tuple[XY, ...] = ((320.0, 260.0), (400.0, 340.0))
SHORT: tuple[XY, ...] = ((320.0, 300.0), (308.0, 306.0))


def plant(*lines: tuple[XY, ...], number: int = 1) -> Plant:
    roots = [
        Root(
            id=f"{number}.{index}" if index else str(number),
            order=2 if index else 1,
            parent=str(number) if index else None,
            points=line,
            length_px=polyline.length(np.array(line)),
            confidence=1,
        )
        for index, line in enumerate(lines)
    ]
    return Plant(id=number, organs=(), landmarks=(), roots=tuple(roots))


def plate_with(*laterals: tuple[XY, ...], scores: Sequence[float]) -> DrawnMaps:
    """Return a plate with a seedling, its laterals, and a landmark at the tip of each lateral with a score."""
    plate = DrawnMaps()
    plate.draw_plant(320, 160)
    for lateral, score in zip(laterals, scores, strict=True):
        plate.draw_root(*lateral)
        if score:
            plate.add_landmark("lateral_tip", *lateral[-1], score)
    return plate


def features(plate: DrawnMaps, *plants: Plant) -> dict[str, float]:
    maps = ProbabilityMaps.from_prediction(plate.to_prediction())
    lines = {each.id: [polyline.resample(np.array(root.points)) for root in each.roots] for each in plants}
    return lateral_features(plants, lines, plate.landmarks, maps)[1]


def test_clean_lateral_has_no_doubt() -> None:
    found = features(plate_with(LATERAL, scores=[0.9]), plant(PRIMARY, LATERAL))
    assert found["weakest_lateral"] == pytest.approx(0.9, abs=0.03)
    assert found["lateral_log_doubt"] == pytest.approx(-math.log(0.9), abs=0.05)
    for name in ("doubtful_laterals", "borderline_laterals", "missed_log_doubt", "likeliest_missed", "foreign_tips"):
        assert found[name] == 0, name


def test_weakest_lateral_has_low_score_or_no_tip() -> None:
    weak = features(plate_with(LATERAL, SHORT, scores=[0.9, 0.3]), plant(PRIMARY, LATERAL, SHORT))
    assert weak["weakest_lateral"] == pytest.approx(0.3, abs=0.05)
    assert weak["doubtful_laterals"] == weak["borderline_laterals"] == pytest.approx(math.log(2))
    without = features(plate_with(LATERAL, SHORT, scores=[0.9, 0]), plant(PRIMARY, LATERAL, SHORT))
    assert without["weakest_lateral"] == 0
    assert without["lateral_log_doubt"] > weak["lateral_log_doubt"]


def test_missed_lateral_raises_doubt_by_its_score() -> None:
    likely, unlikely = (features(plate_with(LATERAL, scores=[score]), plant(PRIMARY)) for score in (0.9, 0.25))
    assert likely["likeliest_missed"] == pytest.approx(0.9)
    assert likely["missed_log_doubt"] == pytest.approx(-math.log(0.1))
    assert unlikely["missed_log_doubt"] == pytest.approx(-math.log(0.75))


def test_lateral_along_primary_root_is_measured() -> None:
    along: tuple[XY, ...] = ((320.0, 260.0), (326.0, 300.0), (326.0, 420.0))
    found = features(plate_with(along, scores=[0.9]), plant(PRIMARY, along))
    assert math.expm1(found["laterals_along_roots"]) == pytest.approx(9.5, abs=0.6)
    assert features(plate_with(LATERAL, scores=[0.9]), plant(PRIMARY, LATERAL))["laterals_along_roots"] < 0.2


def test_tip_between_two_plants_may_belong_to_either() -> None:
    neighbour = plant(((410.0, 160.0), (410.0, 480.0)), number=2)
    found = features(plate_with(LATERAL, scores=[0.9]), plant(PRIMARY, LATERAL), neighbour)
    assert found["foreign_tips"] == pytest.approx(math.log(2))


def test_base_features_measure_distance_to_shoot() -> None:
    maps = ProbabilityMaps.from_prediction(plate_with(scores=[]).to_prediction())
    near = base_features(polyline.resample(np.array(PRIMARY)), maps)
    far = base_features(polyline.resample(np.array([(320.0, 224.0), (320.0, 480.0)])), maps)
    assert near["base_to_shoot_mm"] < 0.5
    assert far["base_to_shoot_mm"] == pytest.approx(4.0, abs=0.6)
    above = base_features(polyline.resample(np.array([(320.0, 140.0), (320.0, 480.0)])), maps)
    assert above["primary_under_shoot_mm"] > near["primary_under_shoot_mm"]
