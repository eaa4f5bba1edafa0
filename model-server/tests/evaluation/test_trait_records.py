"""Tests of trait records: a measured plate against its true roots."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.sample_plates import MODEL, DrawnMaps
from tests.support.tiny_models import write_tiny_model
from thale.exports import rsml
from thale.models.model_card import CARD
from thale.models.predictions import LandmarkPrediction
from thale.schemas import Calibration, ImageMetadata, Scale, Task
from thale_models.evaluation.plate_scores import LoadedModel
from thale_models.evaluation.prediction_cache import CachedPrediction, cache_folder, predict
from thale_models.evaluation.quality_scores import QualityScore, add_phenotype, flag_table, pool_scores
from thale_models.evaluation.run import load_models
from thale_models.evaluation.trait_records import (
    PLANT_TRAITS_WITH_TRUTH,
    TraitRecord,
    compare,
    measure_cached,
    true_plants_of,
    true_shoots_of,
)
from thale_models.synthesis import draw_plate, write_dataset

IMAGE = ImageMetadata(width=640, height=640, format="PNG", mode="RGB", bits=8, size_bytes=1, sha256="0")
TRUE_SCALE = Scale(mm_per_px=0.0625, source="given")


def cached_plate(*tops: tuple[float, float]) -> CachedPrediction:
    plate = DrawnMaps()
    for x, top in tops:
        plate.draw_plant(x, top)
    prediction = plate.to_prediction()
    landmarks = LandmarkPrediction(
        model=MODEL,
        landmarks=tuple(plate.landmarks),
        calibration=Calibration(scale=prediction.meta.calibration.scale),
    )
    return CachedPrediction(IMAGE, prediction, landmarks, 1.0)


def truth(*tops: tuple[float, float], length: float = 320) -> rsml.RsmlDocument:
    return rsml.RsmlDocument(
        metadata=rsml.Metadata(),
        plants=tuple(
            rsml.RsmlPlant(
                id=str(number), label="", roots=(rsml.RsmlRoot(id="1", points=((x, top), (x, top + length))),)
            )
            for number, (x, top) in enumerate(tops, start=1)
        ),
    )


def test_compare_pairs_plants_by_base_and_gives_true_values() -> None:
    measured = measure_cached(cached_plate((200, 100), (420, 150)))
    found = list(compare("p", 0, measured, true_plants_of(truth((420, 150), (200, 100)), 1.0), TRUE_SCALE))
    assert [record.plant for record in found] == [1, 2, None]
    for record in found[:2]:
        assert set(record.values) <= set(PLANT_TRAITS_WITH_TRUTH)
        value, true, quality = record.values["primary_root_length"]
        assert (true, quality) == (pytest.approx(20), "ok")
        assert value == pytest.approx(true, rel=0.02)
    assert found[2].values["plate_total_root_length"][1] == pytest.approx(40)


def test_compare_has_no_true_value_for_a_false_plant() -> None:
    measured = measure_cached(cached_plate((200, 100), (420, 150)))
    found = list(compare("p", 0, measured, true_plants_of(truth((200, 100)), 1.0), TRUE_SCALE))
    assert math.isnan(found[1].values["primary_root_length"][1])


def test_true_plants_are_scaled_to_the_copy() -> None:
    [plant] = true_plants_of(truth((200, 100)), 0.5)
    assert plant.roots[0].length_px == pytest.approx(160)
    assert plant.roots[0].points[0] == pytest.approx((99.75, 49.75))


def with_shoot(document: rsml.RsmlDocument) -> rsml.RsmlDocument:
    """Return RSML whose plants have a diameter of 4 px, a hypocotyl of 48 px and 3 leaves."""
    diameter = rsml.Function("diameter", "uniform", (rsml.Sample(4.0),))
    properties = (rsml.Property("hypocotyl_length", "48"), rsml.Property("leaf_count", "3"))
    plants = tuple(
        replace(plant, properties=properties, roots=tuple(replace(root, functions=(diameter,)) for root in plant.roots))
        for plant in document.plants
    )
    return replace(document, plants=plants)


def test_true_shoots_and_diameters_are_in_units_of_the_copy() -> None:
    document = with_shoot(truth((200, 100)))
    assert true_shoots_of(document, 0.0625)[1] == {"hypocotyl_length": pytest.approx(3.0), "leaf_count": 3.0}
    [plant] = true_plants_of(document, 0.5)
    assert plant.roots[0].diameter_px == pytest.approx(2.0)


def test_compare_leaves_out_traits_that_the_truth_does_not_state() -> None:
    measured = measure_cached(cached_plate((200, 100)))
    shoots = {"leaf_count", "hypocotyl_length"}
    without = next(compare("p", 0, measured, true_plants_of(truth((200, 100)), 1.0), TRUE_SCALE))
    assert not {"primary_root_diameter", "root_diameter", *shoots} & without.values.keys()
    document = with_shoot(truth((200, 100)))
    given = (true_plants_of(document, 1.0), TRUE_SCALE, true_shoots_of(document, 0.0625))
    record = next(compare("p", 0, measured, *given))
    assert record.values["primary_root_diameter"][1] == pytest.approx(0.25)
    assert shoots & record.flags.keys()
    assert all(record.values[name][1] in (3.0, pytest.approx(3.0)) for name in shoots & record.values.keys())


def test_add_phenotype_counts_right_and_wrong_values() -> None:
    phenotype = measure_cached(cached_plate((200, 100))).phenotype
    scores: dict[str, QualityScore] = {}
    add_phenotype(scores, phenotype, true_plants_of(truth((200, 100)), 1.0), TRUE_SCALE)
    add_phenotype(scores, phenotype, true_plants_of(truth((200, 100), length=400), 1.0), TRUE_SCALE)
    length = scores["primary_root_length"]
    assert (length.values, length.wrong, length.wrong_ok, length.right_ok) == (2, 1, 1, 1)
    assert pool_scores(scores.values()).values == sum(score.values for score in scores.values())


def load_tiny_models(folder: Path) -> Mapping[Task, LoadedModel]:
    folders = []
    for task in ("segmentation", "landmarks"):
        tiny = write_tiny_model(folder / task, task)
        (folder / task / CARD).write_text(tiny.card.model_dump_json())
        folders.append(folder / task)
    return load_models(folders, "openvino")


@pytest.mark.slow
def test_predict_reads_the_second_time_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path / "data", 1, 3, split="test", overrides={"width": 900, "height": 860, "plants": 2})
    models = load_tiny_models(tmp_path)
    image = next((tmp_path / "data" / "images").iterdir())
    folder = cache_folder(tmp_path / "data", models)
    first = [predict(image, copy, models, folder) for copy in (0, 1)]
    monkeypatch.setattr("thale_models.evaluation.prediction_cache._predict", None)
    second = [predict(image, copy, models, folder) for copy in (0, 1)]
    for before, after in zip(first, second, strict=True):
        assert (before.image, before.landmarks, before.size_factor) == (after.image, after.landmarks, after.size_factor)
        assert np.array_equal(before.segmentation.probabilities_CHW, after.segmentation.probabilities_CHW)


@pytest.mark.slow
def test_predict_ignores_the_cache_of_another_image(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(draw_plate(3, width=900, height=860, plants=1).encoded)
    models = load_tiny_models(tmp_path)
    first = predict(image, 0, models, tmp_path / "cache")
    image.write_bytes(image.read_bytes() + b"changed")
    assert predict(image, 0, models, tmp_path / "cache").image.sha256 != first.image.sha256


def test_flag_table_counts_right_and_wrong_values_by_flag() -> None:
    values = {"primary_root_length": (10.0, 10.0, "uncertain"), "total_root_length": (10.0, 20.0, "uncertain")}
    flags = {"primary_root_length": ("compression",), "total_root_length": ("compression", "tip_shared")}
    lines = flag_table([TraitRecord("p", 0, 1, 0, {}, values, flags)]).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["compression", "1", "1", "1", "0"],
        ["tip_shared", "0", "1", "0", "0"],
    ]


@pytest.mark.slow
def test_cache_folder_is_below_a_root_if_one_is_given(tmp_path: Path) -> None:
    for task in ("segmentation", "landmarks"):
        tiny = write_tiny_model(tmp_path / task, task)
        (tmp_path / task / CARD).write_text(tiny.card.model_dump_json())
    models = load_models([tmp_path / "segmentation", tmp_path / "landmarks"], "openvino")
    data = tmp_path / "plates"
    assert cache_folder(data, models).parent == data / "predictions"
    assert cache_folder(data, models, tmp_path / "cache").parent == tmp_path / "cache" / "plates"
