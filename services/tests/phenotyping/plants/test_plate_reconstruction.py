import math

import numpy as np
import pytest

from tests.support.sample_plates import MM_PER_PX, UNKNOWN_SCALE, DrawnMaps, codes, segmentation_prediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants
from thale.schemas import Landmark


def test_reconstruct_empty_plate_returns_no_plants_and_flags() -> None:
    reconstruction = reconstruct_plants(DrawnMaps().to_prediction(), [])
    assert reconstruction == PlateReconstruction((), (), 0.0)


def test_reconstruct_flags_root_far_from_any_plant() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 300)
    stray = plate.draw_root((450, 300), (450, 500))
    reconstruction = reconstruct_plants(plate.to_prediction(), plate.landmarks)
    assert len(reconstruction.plants) == 1
    assert reconstruction.unassigned_px == pytest.approx(stray, rel=0.03)
    (flag,) = [flag for flag in reconstruction.flags if flag.code == "unassigned_root"]
    assert flag.at is not None
    assert flag.at.x == pytest.approx(450, abs=3)


def test_reconstruct_organ_areas_match_outlines() -> None:
    plate = DrawnMaps()
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


@pytest.mark.slow
def test_reconstruct_terminates_on_cluttered_image() -> None:
    rng = np.random.default_rng(1)
    plate = DrawnMaps(900, 900)
    for x, y in rng.uniform(20, 880, (250, 2)):
        plate.draw_root((x, y), (x + rng.uniform(-60, 60), y + rng.uniform(-60, 60)), radius=1.6)
    tips = [Landmark(kind="lateral_tip", x=x, y=y, score=0.5) for x, y in rng.uniform(0, 900, (500, 2))]
    plate.draw_plant(450, 100, 600)
    reconstruction = reconstruct_plants(plate.to_prediction(), [*plate.landmarks, *tips])
    assert len(reconstruction.plants) >= 1


def test_reconstruct_assumes_nominal_scale_when_unknown() -> None:
    plate = DrawnMaps()
    plate.draw_plant(300, 80)
    known = reconstruct_plants(plate.to_prediction(), plate.landmarks).plants
    (plant,) = reconstruct_plants(plate.to_prediction(UNKNOWN_SCALE), plate.landmarks).plants
    assert plant.roots == known[0].roots
    assert all(math.isnan(organ.area_mm2) for organ in plant.organs)
