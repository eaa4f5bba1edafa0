import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sample_plates import MODEL, UNKNOWN_SCALE, SyntheticPlate, segmentation_prediction
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.pipeline import build_phenotype
from thale.schemas import Calibration, Flag, ImageMetadata, Phenotype, Provenance, Timings

METADATA = ImageMetadata(width=640, height=640, format="PNG", mode="RGB", bits=8, size_bytes=1, sha256="0")
PROVENANCE = Provenance(models=(MODEL,), config_digest="0", package_version="0.1.0", created="2026-01-01T00:00:00Z")
TIMINGS = Timings(segment_s=0, landmarks_s=0, plants_s=0, total_s=0)


def assemble(
    prediction: SegmentationPrediction, plate: SyntheticPlate | None = None, expected: int | None = None
) -> Phenotype:
    tips_and_bases = tuple(plate.landmarks) if plate is not None else ()
    landmarks = LandmarkPrediction(
        model=MODEL, landmarks=tips_and_bases, calibration=Calibration(scale=prediction.meta.calibration.scale)
    )
    return build_phenotype(METADATA, prediction, landmarks, PROVENANCE, TIMINGS, expected)


def test_a_plate_of_two_seedlings_comes_out_with_traits_left_to_right() -> None:
    plate = SyntheticPlate()
    lengths = [plate.draw_plant(450, 80, 400), plate.draw_plant(150, 80, 320)][::-1]
    answer = assemble(plate.to_prediction(), plate, expected=2)
    primaries = [next(t.value for t in p.traits if t.trait == "primary_root_length") for p in answer.plants]
    assert primaries == pytest.approx([length * 0.0625 for length in lengths], rel=0.01)
    assert [plant.id for plant in answer.plants] == [1, 2]
    assert next(t.value for t in answer.traits if t.trait == "plant_count") == 2
    assert answer.flags == ()


def test_a_plate_where_nothing_bears_the_roots_out_says_so_plant_by_plant() -> None:
    plate = SyntheticPlate()
    plate.draw_plant(150, 80, 320)
    answer = replace(plate.to_prediction(), ridge_HW=np.zeros((640, 640), np.int8))
    [plant] = assemble(answer, plate).plants
    assert [flag.code for flag in plant.flags] == ["methods_disagree"]
    assert {t.quality for t in plant.traits if t.trait.endswith("root_length")} == {"uncertain", "unknown"}


def test_a_phenotype_survives_json_with_its_unknown_numbers() -> None:
    plate = SyntheticPlate()
    plate.draw_shoot(300, 80)
    answer = assemble(plate.to_prediction(UNKNOWN_SCALE))
    again = Phenotype.model_validate_json(answer.model_dump_json())
    assert again.model_dump_json() == answer.model_dump_json()
    assert any(math.isnan(trait.value) for trait in again.plants[0].traits)


def test_a_picture_without_plants_says_so() -> None:
    assert [flag.code for flag in assemble(SyntheticPlate().to_prediction()).flags] == ["no_plant"]


def test_noise_does_not_look_like_a_plate_and_the_reason_is_given() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 400, 400), np.uint8)
    messages = [flag.message for flag in assemble(segmentation_prediction(noise)).flags if flag.code == "not_a_plate"]
    assert messages[0].startswith("This does not look like a plate: ")


def test_a_picture_full_of_leaves_does_not_look_like_a_plate() -> None:
    plate = SyntheticPlate()
    plate.draw_shoot(320, 320, rx=250, ry=250)
    assert "not_a_plate" in [flag.code for flag in assemble(plate.to_prediction()).flags]


def test_what_calibration_and_landmarks_flag_stays() -> None:
    answer = SyntheticPlate().to_prediction()
    flag = Flag(code="capped", message="too many peaks")
    landmarks = LandmarkPrediction(model=MODEL, landmarks=(), calibration=answer.meta.calibration, flags=(flag,))
    assert flag in build_phenotype(METADATA, answer, landmarks, PROVENANCE, TIMINGS).flags
