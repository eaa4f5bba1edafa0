import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.sample_plates import MM_PER_PX, UNKNOWN_SCALE, PlateCanvas, arc, segmentation_prediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants
from thale.schemas import Landmark, Plant, Scale

REAL_PLATES = Path(__file__).parents[5] / "shared/data/arabidopsis-plates"


def codes(reconstruction: PlateReconstruction) -> set[str]:
    return {flag.code for flag in reconstruction.flags} | {
        f.code for plant in reconstruction.plants for f in plant.flags
    }


def total_px(plant: Plant) -> float:
    return sum(root.length_px for root in plant.roots)


def test_reconstruct_empty_plate_returns_no_plants_and_flags() -> None:
    reconstruction = reconstruct_plants(PlateCanvas().to_prediction(), [])
    assert reconstruction == PlateReconstruction((), (), 0.0)


@pytest.mark.parametrize("angle_deg", [0, 15, 30, 45, 60])
def test_reconstruct_measures_oblique_root_within_1_percent(angle_deg: float) -> None:
    plate = PlateCanvas()
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
    plate = PlateCanvas()
    curve = arc((400, 100), 250, 180, 90)
    plate.draw_shoot(150, 92)
    plate.add_landmark("root_base", 150, 100)
    plate.add_landmark("primary_tip", 400, 350)
    plate.draw_root(*curve)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].length_px == pytest.approx(250 * math.pi / 2, rel=0.01)


def test_reconstruct_separates_laterals_from_primary() -> None:
    plate = PlateCanvas()
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
    plate = PlateCanvas()
    plate.draw_shoot(300, 72)
    plate.add_landmark("root_base", 300, 80)
    plate.draw_root((300, 80), (300, 250), (200, 400))
    plate.draw_root((300, 250), (390, 390))
    plate.add_landmark("primary_tip", 390, 390)
    plate.add_landmark("lateral_tip", 200, 400)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].points[-1] == pytest.approx((390, 390), abs=3)


def test_reconstruct_finds_roots_without_landmarks() -> None:
    plate = PlateCanvas()
    length = plate.draw_plant(300, 80, 400)
    lateral = plate.draw_root((300, 160), (210, 250))
    plate.landmarks.clear()
    reconstruction = reconstruct_plants(plate.to_prediction(), [])
    assert total_px(reconstruction.plants[0]) == pytest.approx(length + lateral, rel=0.02)
    assert "base_inferred" in codes(reconstruction)


def test_reconstruct_prunes_spur_without_tip_landmark() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    plate.draw_root((300, 200), (312, 200))
    (without,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    plate.add_landmark("lateral_tip", 312, 200)
    (with_landmark,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert (len(without.roots), len(with_landmark.roots)) == (1, 2)


@pytest.mark.parametrize(("score", "is_accepted"), [(0.1, False), (0.25, True)])
def test_reconstruct_accepts_low_score_tip_at_root_end(score: float, is_accepted: bool) -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    plate.draw_root((300, 200), (340, 200))
    plate.add_landmark("lateral_tip", 340, 200, score)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants[0].roots) == 1 + is_accepted


def test_reconstruct_rejects_low_score_tip_on_continuing_root() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 301, 200, 0.25)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 1


def test_reconstruct_flags_short_branch_without_landmark() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    short = plate.draw_root((300, 200), (345, 200))
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants[0].roots) == 1
    assert codes(reconstruction) == {"unmarked_root"}
    assert reconstruction.unassigned_px == pytest.approx(short, rel=0.05)


@pytest.mark.parametrize(("score", "count"), [(0.3, 1), (0.6, 2)])
def test_reconstruct_traces_end_of_hidden_lateral(score: float, count: int) -> None:
    plate = PlateCanvas()
    length = plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 300, 300, score)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == count
    assert plant.roots[0].length_px == pytest.approx(length, rel=0.02)
    assert plant.roots[-1].points[-1] == pytest.approx((300, 300 if count == 2 else 480), abs=3)
    assert all(root.length_px < 16 for root in plant.roots[1:])
    assert {flag.code for flag in plant.flags} == ({"lateral_hidden"} if count == 2 else set())


def test_reconstruct_ignores_tip_landmark_without_root() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    plate.add_landmark("lateral_tip", 500, 500)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 1


@pytest.mark.parametrize("probability", [0.0, 0.2])
def test_reconstruct_traces_faint_lateral_from_its_tip(probability: float) -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    faint = PlateCanvas()
    length = faint.draw_root((300, 200), (348, 200))
    plate.channels[0] = np.maximum(plate.channels[0], probability * faint.channels[0])
    plate.add_landmark("lateral_tip", 348, 200)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [root.order for root in plant.roots] == [1, 2]
    assert plant.roots[1].points[-1] == pytest.approx((348, 200), abs=3)
    assert plant.roots[1].length_px == pytest.approx(length, rel=0.05)


def test_reconstruct_follows_faint_curve() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    faint = PlateCanvas()
    length = faint.draw_root((300, 200), (360, 200), (360, 260))
    plate.channels[0] = np.maximum(plate.channels[0], 0.25 * faint.channels[0])
    plate.add_landmark("lateral_tip", 360, 260)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[1].length_px == pytest.approx(length, rel=0.08)


def test_reconstruct_starts_at_reliable_base_above_faint_root() -> None:
    plate = PlateCanvas()
    length = plate.draw_plant(300, 80, 400)
    plate.erase(280, 84, 320, 150)  # 4 mm
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert plant.roots[0].points[0] == pytest.approx((300, 80), abs=3)
    assert plant.roots[0].length_px == pytest.approx(length, rel=0.02)


def test_reconstruct_adds_no_lateral_for_hypocotyl() -> None:
    plate = PlateCanvas()
    plate.draw_shoot(300, 92)
    plate.add_landmark("root_base", 300, 150)
    plate.add_landmark("primary_tip", 300, 480)
    plate.draw_root((300, 100), (300, 480))
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [root.order for root in plant.roots] == [1]
    assert plant.roots[0].length_px == pytest.approx(330, abs=0.6 / MM_PER_PX)


def test_reconstruct_traces_lateral_that_crosses_its_parent() -> None:
    plate = PlateCanvas()
    plate.add_landmark("root_base", 300, 80)
    plate.add_landmark("primary_tip", 300, 560)
    plate.draw_shoot(300, 72)
    plate.draw_root((300, 80), (300, 150), (240, 240), (240, 300), (300, 380), (300, 560))
    lateral = plate.draw_root((300, 150), (330, 190), (330, 260), (200, 390))
    plate.add_landmark("lateral_tip", 200, 390)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(plant.roots) == 2
    assert plant.roots[1].length_px == pytest.approx(lateral, rel=0.05)


@pytest.mark.parametrize("gap_px", [8, 20, 32])
def test_reconstruct_bridges_gap_of_up_to_2_mm(gap_px: int) -> None:
    plate = PlateCanvas()
    length = plate.draw_plant(300, 80, 400)
    plate.erase(280, 250, 320, 250 + gap_px)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert [root.order for root in reconstruction.plants[0].roots] == [1]
    assert reconstruction.plants[0].roots[0].length_px == pytest.approx(length, rel=0.01)
    assert reconstruction.unassigned_px == 0


def test_reconstruct_rejects_uncertain_shoot_without_base() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 80, 300)
    plate.draw_plant(450, 80, 300)
    plate.channels[1] *= 0.8
    plate.landmarks[:] = [landmark for landmark in plate.landmarks if landmark.x == 150]
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert codes(reconstruction) == {"stray_shoot", "unassigned_root"}


def test_reconstruct_assigns_shoot_on_invisible_hypocotyl() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 160, 300)
    plate.channels[1] = 0
    plate.draw_shoot(150, 80)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert {organ.kind for organ in plant.organs} == {"root", "shoot"}
    assert not plant.flags


def test_reconstruct_puts_hidden_base_away_from_lateral_tip() -> None:
    plate = PlateCanvas()
    plate.draw_shoot(300, 72)
    plate.draw_root((300, 150), (300, 480))
    plate.draw_root((300, 150), (360, 110))
    plate.add_landmark("lateral_tip", 360, 110)
    plate.add_landmark("primary_tip", 300, 480)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert [flag.code for flag in plant.flags] == ["base_hidden"]
    assert plant.roots[0].points[0] == pytest.approx((300, 150), abs=8)
    assert plant.roots[1].points[-1] == pytest.approx((360, 110), abs=3)


def test_reconstruct_puts_hidden_base_away_from_neighbour() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80, 400)
    plate.draw_shoot(200, 60)
    plate.draw_root((300, 200), (232, 120), (180, 300))
    plate.add_landmark("lateral_tip", 180, 300)
    bases = sorted(
        plant.roots[0].points[0] for plant in reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    )
    assert bases[-1] == pytest.approx((300, 80), abs=3)
    assert all(np.hypot(x - 300, y - 80) > 32 for x, y in bases[:-1])


def test_reconstruct_flags_root_far_from_any_plant() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 80, 300)
    stray = plate.draw_root((450, 300), (450, 500))
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert reconstruction.unassigned_px == pytest.approx(stray, rel=0.03)
    (flag,) = [flag for flag in reconstruction.flags if flag.code == "unassigned_root"]
    assert flag.at is not None
    assert flag.at.x == pytest.approx(450, abs=3)


def test_reconstruct_assigns_tips_of_crossing_roots() -> None:
    plate = PlateCanvas()
    for x, tip_x in ((150, 450), (450, 150)):
        plate.draw_shoot(x, 92)
        plate.add_landmark("root_base", x, 100)
        plate.add_landmark("primary_tip", tip_x, 500)
    plate.draw_root((150, 100), (450, 500))
    plate.draw_root((450, 100), (150, 500))
    left, right = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert left.roots[0].points[-1] == pytest.approx((450, 500), abs=3)
    assert right.roots[0].points[-1] == pytest.approx((150, 500), abs=3)
    assert [total_px(plant) for plant in (left, right)] == pytest.approx([500, 500], rel=0.01)
    assert left.flags == right.flags == ()


def ambiguous_plate() -> PlateCanvas:
    """Return two roots that meet at a flat angle, share 5 mm and separate again."""
    plate = PlateCanvas()
    for x, sign in ((200, 1), (360, -1)):
        plate.draw_shoot(x, 72)
        plate.add_landmark("root_base", x, 80)
        plate.draw_root((x, 80), (280, 260), (280, 340), (280 + 80 * sign, 520))
        plate.add_landmark("primary_tip", 280 + 80 * sign, 520)
    return plate


def test_reconstruct_flags_ambiguous_crossing_with_position() -> None:
    plate = ambiguous_plate()
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 2
    for plant in reconstruction.plants:
        (flag,) = [flag for flag in plant.flags if flag.code == "crossing"]
        assert flag.at is not None
        assert (flag.at.x, flag.at.y) == pytest.approx((280, 300), abs=50)
        assert "crossing at" in flag.message


def test_reconstruct_resolves_crossing_by_lane_of_expected_count() -> None:
    plate = ambiguous_plate()
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks, expected_plants=2)
    assert "crossing" not in codes(reconstruction)
    assert "crossing_by_lane" in codes(reconstruction)
    assert [plant.roots[0].points[-1][0] < 280 for plant in reconstruction.plants] == [True, False]


def test_reconstruct_flags_unexpected_plant_count() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80)
    assert "plant_count" in codes(reconstruct_plants(plate.to_prediction(), plate.landmarks, expected_plants=5))


def test_reconstruct_separates_plants_with_touching_leaves() -> None:
    plate = PlateCanvas()
    plate.draw_plant(250, 80)
    plate.draw_plant(350, 80)
    plate.draw_shoot(300, 70, rx=60, ry=8)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert [plant.roots[0].points[0][0] for plant in reconstruction.plants] == pytest.approx([250, 350], abs=2)
    areas = [organ.area_px for plant in reconstruction.plants for organ in plant.organs if organ.kind == "shoot"]
    assert areas[0] == pytest.approx(areas[1], rel=0.1)


def test_reconstruct_joins_leaves_across_small_gaps() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80)
    plate.draw_shoot(275, 55, rx=8, ry=6)
    plate.draw_shoot(325, 55, rx=8, ry=6)
    assert len(reconstruct_plants(plate.to_prediction(), plate.landmarks).plants) == 1


def test_reconstruct_counts_ungerminated_seed_but_not_seed_coat() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 80, 400)
    plate.draw_seed(150, 300)
    plate.draw_seed(450, 90)
    plate.draw_seed(520, 400, radius=1)
    grown, seed = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert len(grown.roots) == 1
    assert [organ.kind for organ in seed.organs] == ["seed"]
    assert [flag.code for flag in seed.flags] == ["ungerminated"]
    assert seed.roots == ()


def test_reconstruct_flags_shoot_without_root() -> None:
    plate = PlateCanvas()
    plate.draw_shoot(300, 80)
    (plant,) = reconstruct_plants(plate.to_prediction(), []).plants
    assert plant.roots == ()
    assert [flag.code for flag in plant.flags] == ["no_root"]


def test_reconstruct_flags_base_hidden_by_leaf() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 80, 400)
    plate.draw_shoot(450, 80, rx=30, ry=20)
    plate.draw_root((450, 180), (450, 500))  # 5 mm below the leaves
    whole, hidden = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert "base_hidden" not in {flag.code for flag in whole.flags}
    assert [flag.code for flag in hidden.flags] == ["base_hidden"]
    assert hidden.roots[0].length_px == pytest.approx(320, rel=0.03)


def test_reconstruct_rejects_letter_that_looks_like_shoot() -> None:
    plate = PlateCanvas()
    plate.draw_plant(150, 80, 400)
    plate.draw_shoot(500, 400)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert "stray_shoot" in codes(reconstruction)


def test_reconstruct_rejects_rim_with_low_score_base() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 100)
    plate.draw_root((5, 5), (5, 630))
    plate.add_landmark("root_base", 5, 5, score=0.35)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert {"base_left_out", "unassigned_root"} <= codes(reconstruction)


def test_reconstruct_organ_areas_match_outlines() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    for organ in plant.organs:
        (outline,) = organ.polygons
        x, y = np.array(outline).reshape(-1, 2).T
        shoelace = abs(float(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1)))) / 2
        assert shoelace == pytest.approx(organ.area_px, rel=0.08)
        assert organ.area_mm2 == pytest.approx(organ.area_px * MM_PER_PX**2)
        assert 0.5 < organ.confidence <= 1


def test_reconstruct_flags_noise_image() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 800, 800), np.uint8)
    assert "root_everywhere" in codes(reconstruct_plants(segmentation_prediction(noise), []))


def test_reconstruct_terminates_on_cluttered_image() -> None:
    rng = np.random.default_rng(1)
    plate = PlateCanvas(900, 900)
    for x, y in rng.uniform(20, 880, (250, 2)):
        plate.draw_root((x, y), (x + rng.uniform(-60, 60), y + rng.uniform(-60, 60)), radius=1.6)
    tips = [Landmark(kind="lateral_tip", x=x, y=y, score=0.5) for x, y in rng.uniform(0, 900, (500, 2))]
    plate.draw_plant(450, 100, 600)
    reconstruction = reconstruct_plants(plate.to_prediction(), [*plate.landmarks, *tips])
    assert len(reconstruction.plants) >= 1


def test_reconstruct_assumes_nominal_scale_when_unknown() -> None:
    plate = PlateCanvas()
    plate.draw_plant(300, 80)
    known = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    (plant,) = reconstruct_plants(plate.to_prediction(UNKNOWN_SCALE), plate.landmarks).plants
    assert plant.roots == known[0].roots
    assert all(math.isnan(organ.area_mm2) for organ in plant.organs)


@pytest.mark.parametrize("name", ["J10_Photo_001", "J10_Photo_011", "J11_Photo_001", "J11_Photo_011"])
def test_reconstruct_finds_exactly_the_seedlings_of_real_plates(name: str) -> None:
    if not REAL_PLATES.exists():
        pytest.skip(f"the photographs of real plates are missing: {REAL_PLATES}")
    truth = json.loads((REAL_PLATES / f"{name}_pseudolandmarks.json").read_text())
    x0, y0, x1, y1 = truth["roi_xyxy"]
    mask = np.asarray(Image.open(REAL_PLATES / f"{name}_pseudomask.png"))[y0:y1, x0:x1]
    probabilities_3HW = np.stack([(mask == organ).astype(np.uint8) * 255 for organ in (1, 2, 3)])
    reconstruction = reconstruct_plants(
        segmentation_prediction(probabilities_3HW, Scale(mm_per_px=1 / 15.2, source="given")), []
    )
    bases = [plant["root_base"] for plant in truth["plants"]]
    detected = [plant.roots[0].points[0] for plant in reconstruction.plants]
    assert len(detected) == len(bases)
    for (x, y), (base_x, base_y) in zip(detected, bases, strict=True):
        assert math.hypot(x + x0 - base_x, y + y0 - base_y) < 4 * 15.2
