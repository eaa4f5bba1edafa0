import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.sample_plates import DrawnMaps, codes, segmentation_prediction
from thale.phenotyping.plants.reconstruct import reconstruct_plants
from thale.schemas import Scale

REAL_PLATES = Path(__file__).parents[5] / "shared/data/arabidopsis-plates"


def test_reconstruct_rejects_uncertain_shoot_without_base() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 300)
    plate.draw_plant(450, 80, 300)
    plate.channels[1] *= 0.8
    plate.landmarks[:] = [landmark for landmark in plate.landmarks if landmark.x == 150]
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert codes(reconstruction) == {"stray_shoot", "unassigned_root"}


def test_reconstruct_assigns_shoot_on_invisible_hypocotyl() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 160, 300)
    plate.channels[1] = 0
    plate.draw_shoot(150, 80)
    (plant,) = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert {organ.kind for organ in plant.organs} == {"root", "shoot"}
    assert not plant.flags


def test_reconstruct_puts_hidden_base_away_from_lateral_tip() -> None:
    plate = DrawnMaps()
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
    plate = DrawnMaps()
    plate.draw_plant(300, 80, 400)
    plate.draw_shoot(200, 60)
    plate.draw_root((300, 200), (232, 120), (180, 300))
    plate.add_landmark("lateral_tip", 180, 300)
    bases = sorted(
        plant.roots[0].points[0] for plant in reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    )
    assert bases[-1] == pytest.approx((300, 80), abs=3)
    assert all(np.hypot(x - 300, y - 80) > 32 for x, y in bases[:-1])


def test_reconstruct_flags_unexpected_plant_count() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80)
    assert "plant_count" in codes(reconstruct_plants(plate.to_prediction(), plate.landmarks, expected_plants=5))


def test_reconstruct_separates_plants_with_touching_leaves() -> None:
    plate = DrawnMaps()
    plate.draw_plant(250, 80)
    plate.draw_plant(350, 80)
    plate.draw_shoot(300, 70, rx=60, ry=8)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert [plant.roots[0].points[0][0] for plant in reconstruction.plants] == pytest.approx([250, 350], abs=2)
    areas = [organ.area_px for plant in reconstruction.plants for organ in plant.organs if organ.kind == "shoot"]
    assert areas[0] == pytest.approx(areas[1], rel=0.1)


def test_reconstruct_joins_leaves_across_small_gaps() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80)
    plate.draw_shoot(275, 55, rx=8, ry=6)
    plate.draw_shoot(325, 55, rx=8, ry=6)
    assert len(reconstruct_plants(plate.to_prediction(), plate.landmarks).plants) == 1


def test_reconstruct_counts_ungerminated_seed_but_not_seed_coat() -> None:
    plate = DrawnMaps()
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
    plate = DrawnMaps()
    plate.draw_shoot(300, 80)
    (plant,) = reconstruct_plants(plate.to_prediction(), []).plants
    assert plant.roots == ()
    assert [flag.code for flag in plant.flags] == ["no_root"]


def test_reconstruct_flags_base_hidden_by_leaf() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 400)
    plate.draw_shoot(450, 80, rx=30, ry=20)
    plate.draw_root((450, 180), (450, 500))  # 5 mm below the leaves
    whole, hidden = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    assert "base_hidden" not in {flag.code for flag in whole.flags}
    assert [flag.code for flag in hidden.flags] == ["base_hidden"]
    assert hidden.roots[0].length_px == pytest.approx(320, rel=0.03)


def test_reconstruct_rejects_letter_that_looks_like_shoot() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 400)
    plate.draw_shoot(500, 400)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert "stray_shoot" in codes(reconstruction)


def test_reconstruct_rejects_rim_with_low_score_base() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 100)
    plate.draw_root((5, 5), (5, 630))
    plate.add_landmark("root_base", 5, 5, score=0.35)
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert {"base_left_out", "unassigned_root"} <= codes(reconstruction)


@pytest.mark.slow
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
