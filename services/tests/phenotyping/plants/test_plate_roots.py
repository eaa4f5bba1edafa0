import math

import numpy as np
import pytest

from tests.support.sample_plates import MM_PER_PX, DrawnMaps, arc, codes, total_px
from thale.phenotyping.plants.reconstruct import reconstruct_plants


@pytest.mark.slow
@pytest.mark.parametrize("angle_deg", [0, 15, 30, 45, 60])
def test_reconstruct_measures_oblique_root_within_1_percent(angle_deg: float) -> None:
    plate = DrawnMaps()
    tip = (150 + 350 * math.sin(math.radians(angle_deg)), 100 + 350 * math.cos(math.radians(angle_deg)))
    plate.draw_shoot(150, 92)
    plate.add_landmark("root_base", 150, 100)
    plate.add_landmark("primary_tip", *tip)
    length = plate.draw_root((150, 100), tip)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 1
    assert plant.roots[0].length_px == pytest.approx(length, rel=0.01)
    assert plant.roots[0].points[0] == pytest.approx((150, 100), abs=2)
    assert plant.roots[0].points[-1] == pytest.approx(tip, abs=2)


def test_reconstruct_measures_arc_within_1_percent() -> None:
    plate = DrawnMaps()
    curve = arc((400, 100), 250, 180, 90)
    plate.draw_shoot(150, 92)
    plate.add_landmark("root_base", 150, 100)
    plate.add_landmark("primary_tip", 400, 350)
    plate.draw_root(*curve)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].length_px == pytest.approx(250 * math.pi / 2, rel=0.01)


def test_reconstruct_separates_laterals_from_primary() -> None:
    plate = DrawnMaps()
    length = plate.draw_plant(300, 80, 400)
    left = plate.draw_root((300, 160), (230, 230))
    right = plate.draw_root((300, 240), (380, 320))
    plate.add_landmark("lateral_tip", 230, 230)
    plate.add_landmark("lateral_tip", 380, 320)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [(root.id, root.order, root.parent) for root in plant.roots] == [
        ("1", 1, None),
        ("1.1", 2, "1"),
        ("1.2", 2, "1"),
    ]
    assert [root.points[0][0] for root in plant.roots[1:]] == pytest.approx([300, 300], abs=1.5)
    assert [root.length_px for root in plant.roots] == pytest.approx([length, left, right], rel=0.03)


def test_reconstruct_selects_primary_by_landmark() -> None:
    plate = DrawnMaps()
    plate.draw_shoot(300, 72)
    plate.add_landmark("root_base", 300, 80)
    plate.draw_root((300, 80), (300, 250), (200, 400))
    plate.draw_root((300, 250), (390, 390))
    plate.add_landmark("primary_tip", 390, 390)
    plate.add_landmark("lateral_tip", 200, 400)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].points[-1] == pytest.approx((390, 390), abs=3)


def test_reconstruct_finds_roots_without_landmarks() -> None:
    plate = DrawnMaps()
    length = plate.draw_plant(300, 80, 400)
    lateral = plate.draw_root((300, 160), (210, 250))
    plate.landmarks.clear()
    reconstruction = reconstruct_plants(plate.to_prediction(), [])
    assert total_px(reconstruction.plants[0]) == pytest.approx(length + lateral, rel=0.02)
    assert "base_inferred" in codes(reconstruction)


def test_reconstruct_prunes_spur_without_tip_landmark() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    plate.draw_root((300, 200), (312, 200))
    (without,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    plate.add_landmark("lateral_tip", 312, 200)
    (with_landmark,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert (len(without.roots), len(with_landmark.roots)) == (1, 2)


@pytest.mark.parametrize(("score", "is_accepted"), [(0.1, False), (0.25, True)])
def test_reconstruct_accepts_low_score_tip_at_root_end(score: float, is_accepted: bool) -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    plate.draw_root((300, 200), (340, 200))
    plate.add_landmark("lateral_tip", 340, 200, score)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants[0].roots) == 1 + is_accepted


def test_reconstruct_rejects_low_score_tip_on_continuing_root() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 301, 200, 0.25)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 1


def test_reconstruct_flags_short_branch_without_landmark() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    short = plate.draw_root((300, 200), (345, 200))
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants[0].roots) == 1
    assert codes(reconstruction) == {"unmarked_root", "root_unassigned"}
    assert reconstruction.unassigned_px == pytest.approx(short, rel=0.05)


@pytest.mark.parametrize(("score", "count"), [(0.3, 1), (0.6, 2)])
def test_reconstruct_traces_end_of_hidden_lateral(score: float, count: int) -> None:
    plate = DrawnMaps()
    length = plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 300, 300, score)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == count
    assert plant.roots[0].length_px == pytest.approx(length, rel=0.02)
    assert plant.roots[-1].points[-1] == pytest.approx((300, 300 if count == 2 else 480), abs=3)
    assert all(root.length_px < 16 for root in plant.roots[1:])
    assert {flag.code for flag in plant.flags} == ({"lateral_hidden"} if count == 2 else set())


def test_reconstruct_ignores_tip_landmark_without_root() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 500, 500)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 1


@pytest.mark.parametrize("probability", [0.0, 0.2])
def test_reconstruct_traces_faint_lateral_from_its_tip(probability: float) -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    faint = DrawnMaps()
    length = faint.draw_root((300, 200), (348, 200))
    plate.channels[0] = np.maximum(plate.channels[0], probability * faint.channels[0])
    plate.add_landmark("lateral_tip", 348, 200)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [root.order for root in plant.roots] == [1, 2]
    assert plant.roots[1].points[-1] == pytest.approx((348, 200), abs=3)
    assert plant.roots[1].length_px == pytest.approx(length, rel=0.05)


def test_reconstruct_follows_faint_curve() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    faint = DrawnMaps()
    length = faint.draw_root((300, 200), (360, 200), (360, 260))
    plate.channels[0] = np.maximum(plate.channels[0], 0.25 * faint.channels[0])
    plate.add_landmark("lateral_tip", 360, 260)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[1].length_px == pytest.approx(length, rel=0.08)


def test_reconstruct_starts_at_reliable_base_above_faint_root() -> None:
    plate = DrawnMaps()
    length = plate.draw_plant(300, 80, 400)
    plate.erase(280, 84, 320, 150)  # 4 mm
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].points[0] == pytest.approx((300, 80), abs=3)
    assert plant.roots[0].length_px == pytest.approx(length, rel=0.02)


def test_reconstruct_adds_no_lateral_for_hypocotyl() -> None:
    plate = DrawnMaps()
    plate.draw_shoot(300, 92)
    plate.add_landmark("root_base", 300, 150)
    plate.add_landmark("primary_tip", 300, 480)
    plate.draw_root((300, 100), (300, 480))
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [root.order for root in plant.roots] == [1]
    assert plant.roots[0].length_px == pytest.approx(330, abs=0.6 / MM_PER_PX)


def test_reconstruct_traces_lateral_that_crosses_its_parent() -> None:
    plate = DrawnMaps()
    plate.add_landmark("root_base", 300, 80)
    plate.add_landmark("primary_tip", 300, 560)
    plate.draw_shoot(300, 72)
    plate.draw_root((300, 80), (300, 150), (240, 240), (240, 300), (300, 380), (300, 560))
    lateral = plate.draw_root((300, 150), (330, 190), (330, 260), (200, 390))
    plate.add_landmark("lateral_tip", 200, 390)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 2
    assert plant.roots[1].length_px == pytest.approx(lateral, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("gap_px", [8, 20, 32])
def test_reconstruct_bridges_gap_of_up_to_2_mm(gap_px: int) -> None:
    plate = DrawnMaps()
    length = plate.draw_plant(300, 80, 400)
    plate.erase(280, 250, 320, 250 + gap_px)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert [root.order for root in reconstruction.plants[0].roots] == [1]
    assert reconstruction.plants[0].roots[0].length_px == pytest.approx(length, rel=0.01)
    assert reconstruction.unassigned_px == 0
