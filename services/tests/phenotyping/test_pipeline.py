import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sample_plates import MODEL, UNKNOWN_SCALE, DrawnMaps, segmentation_prediction
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.pipeline import build_phenotype
from thale.schemas import Calibration, Flag, ImageMetadata, Phenotype, Provenance, Timings

METADATA = ImageMetadata(width=640, height=640, format="PNG", mode="RGB", bits=8, size_bytes=1, sha256="0")
PROVENANCE = Provenance(models=(MODEL,), config_digest="0", package_version="0.1.0", created="2026-01-01T00:00:00Z")
TIMINGS = Timings(segment_s=0, landmarks_s=0, plants_s=0, total_s=0)


def assemble(
    prediction: SegmentationPrediction,
    plate: DrawnMaps | None = None,
    expected: int | None = None,
    image: ImageMetadata = METADATA,
) -> Phenotype:
    tips_and_bases = tuple(plate.landmarks) if plate is not None else ()
    landmarks = LandmarkPrediction(
        model=MODEL, landmarks=tips_and_bases, calibration=Calibration(scale=prediction.meta.calibration.scale)
    )
    return build_phenotype(image, prediction, landmarks, PROVENANCE, TIMINGS, expected)


def test_build_phenotype_measures_two_seedlings_left_to_right() -> None:
    plate = DrawnMaps()
    lengths = [plate.draw_plant(450, 80, 400), plate.draw_plant(150, 80, 320)][::-1]
    phenotype = assemble(plate.to_prediction(), plate, expected=2)
    primaries = [next(t.value for t in p.traits if t.trait == "primary_root_length") for p in phenotype.plants]
    assert primaries == pytest.approx([length * 0.0625 for length in lengths], rel=0.01)
    assert [plant.id for plant in phenotype.plants] == [1, 2]
    assert next(t.value for t in phenotype.traits if t.trait == "plant_count") == 2
    assert phenotype.flags == ()


def test_build_phenotype_flags_plants_without_ridges() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 320)
    prediction = replace(plate.to_prediction(), ridge_HW=np.zeros((640, 640), np.int8))
    [plant] = assemble(prediction, plate).plants
    assert [flag.code for flag in plant.flags] == ["methods_disagree"]
    assert {t.quality for t in plant.traits if t.trait.endswith("root_length")} == {"uncertain", "unknown"}


def test_no_trait_is_ok_when_the_image_is_doubtful() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 320)
    compressed = METADATA.model_copy(update={"format": "JPEG", "jpeg_quality": 30})
    phenotype = assemble(plate.to_prediction(), plate, image=compressed)
    assert [flag.code for flag in phenotype.flags] == ["strong_compression"]
    values = [*phenotype.plants[0].traits, *phenotype.traits]
    assert {trait.quality for trait in values} == {"uncertain", "unknown"}


def test_compression_makes_laterals_and_totals_uncertain() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 320)
    compressed = METADATA.model_copy(update={"format": "JPEG", "jpeg_quality": 60})
    phenotype = assemble(plate.to_prediction(), plate, image=compressed)
    quality = {trait.trait: trait.quality for trait in (*phenotype.plants[0].traits, *phenotype.traits)}
    assert (quality["primary_root_length"], quality["plant_count"]) == ("ok", "ok")
    for name in ("lateral_root_count", "total_root_length", "plate_total_root_length", "plate_lateral_root_count"):
        assert quality[name] == "uncertain", name


def test_build_phenotype_flags_primary_root_without_tip() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 320)
    plate.landmarks[:] = [landmark for landmark in plate.landmarks if landmark.kind != "primary_tip"]
    [plant] = assemble(plate.to_prediction(), plate).plants
    assert "tip_unconfirmed" in [flag.code for flag in plant.flags]
    assert {t.quality for t in plant.traits if t.trait.endswith("root_length")} == {"uncertain", "unknown"}


def test_phenotype_round_trips_json_with_nan() -> None:
    plate = DrawnMaps()
    plate.draw_shoot(300, 80)
    phenotype = assemble(plate.to_prediction(UNKNOWN_SCALE))
    parsed = Phenotype.model_validate_json(phenotype.model_dump_json())
    assert parsed.model_dump_json() == phenotype.model_dump_json()
    assert any(math.isnan(trait.value) for trait in parsed.plants[0].traits)


def test_build_phenotype_flags_image_without_plants() -> None:
    assert [flag.code for flag in assemble(DrawnMaps().to_prediction()).flags] == ["no_plant"]


def test_build_phenotype_flags_noise_with_reason() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 400, 400), np.uint8)
    messages = [flag.message for flag in assemble(segmentation_prediction(noise)).flags if flag.code == "not_a_plate"]
    assert messages[0].startswith("This does not look like a plate: ")


def test_build_phenotype_flags_image_full_of_leaves() -> None:
    plate = DrawnMaps()
    plate.draw_shoot(320, 320, rx=250, ry=250)
    assert "not_a_plate" in [flag.code for flag in assemble(plate.to_prediction()).flags]


def test_build_phenotype_retains_flags_of_landmarks() -> None:
    prediction = DrawnMaps().to_prediction()
    flag = Flag(code="capped", message="too many peaks")
    landmarks = LandmarkPrediction(model=MODEL, landmarks=(), calibration=prediction.meta.calibration, flags=(flag,))
    assert flag in build_phenotype(METADATA, prediction, landmarks, PROVENANCE, TIMINGS).flags


def test_build_phenotype_doubts_plants_without_a_plate() -> None:
    plate = DrawnMaps()
    plate.draw_plant(150, 80, 320)
    prediction = plate.to_prediction()
    flag = Flag(code="no_plate", message="no square plate found")
    calibration = prediction.meta.calibration.model_copy(update={"flags": (flag,)})
    meta = prediction.meta.model_copy(update={"calibration": calibration})
    phenotype = assemble(replace(prediction, meta=meta), plate)
    assert [flag.code for flag in phenotype.flags] == ["no_plate", "plate_cropped"]
    values = [*phenotype.plants[0].traits, *phenotype.traits]
    assert {value.quality for value in values} == {"uncertain", "unknown"}
