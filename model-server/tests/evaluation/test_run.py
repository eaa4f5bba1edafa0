"""Tests of the evaluation on synthetic plates, with complete and partial ground truth."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.sample_error_models import sample_error_model
from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, DatasetError, ParameterError
from thale.models.model_card import CARD, parse_model_card
from thale.schemas import Phenotype, Task
from thale_models.cli import app
from thale_models.dataset import read_dataset
from thale_models.evaluation import evaluate, write_metrics_to_cards
from thale_models.evaluation.ground_truth import read_ground_truth, skeleton_length_px
from thale_models.evaluation.plate_scores import evaluate_plate
from thale_models.evaluation.run import DEFAULT_CLASSES, load_models, plate_names
from thale_models.synthesis import write_dataset


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_dataset(folder, 2, 3, split="test", overrides={"width": 900, "height": 860, "plants": 2})
    return folder


def write_model(folder: Path, task: Task = "segmentation") -> Path:
    tiny = write_tiny_model(folder, task)
    (folder / CARD).write_text(tiny.card.model_dump_json())
    return folder


@pytest.mark.slow
def test_evaluate_reports_every_plate_for_an_untrained_model(plates: Path, tmp_path: Path) -> None:
    metrics = evaluate([write_model(tmp_path / "seg")], plates, "test", tmp_path / "out", "Tiny")
    assert metrics["plates"] == 2
    assert 0 <= metrics["dice_root"] < 0.5
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert document["metrics"]["tip_f1_1mm"] is None  # NaN is null: the evaluation has no landmark model
    report = (tmp_path / "out" / "report.md").read_text()
    for name in ("plate-000000", "plate-000001"):
        assert f"![{name}](images/{name}.png)" in report
        assert (tmp_path / "out" / "images" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_evaluate_scores_only_the_kinds_of_the_landmark_model(plates: Path, tmp_path: Path) -> None:
    both = [write_model(tmp_path / "seg"), write_model(tmp_path / "landmarks", "landmarks")]
    metrics = evaluate(both, plates, "test", tmp_path / "out", "Two kinds")
    assert 0 <= metrics["landmark_f1_primary_tip"] <= 1
    assert "landmark_f1_lateral_tip" not in metrics
    assert math.isnan(metrics["tip_f1_1mm"])


@pytest.mark.slow
def test_evaluate_plate_measures_the_duration_of_all_stages(plates: Path, tmp_path: Path) -> None:
    folders = [write_model(tmp_path / "seg"), write_model(tmp_path / "landmarks", "landmarks")]
    models = load_models(folders, "openvino")
    image = next((plates / "images").iterdir())
    evaluated = evaluate_plate(image.read_bytes(), image.name, models["segmentation"], models["landmarks"])
    assert evaluated.phenotype is not None
    timings = Phenotype.model_validate_json(evaluated.phenotype.model_dump_json()).timings
    assert timings.plants_s > 0
    assert timings.total_s == pytest.approx(timings.segment_s + timings.landmarks_s + timings.plants_s)


@pytest.mark.slow
def test_evaluate_plate_uses_own_error_models(plates: Path, tmp_path: Path) -> None:
    folders = [write_model(tmp_path / "seg"), write_model(tmp_path / "landmarks", "landmarks")]
    models = load_models(folders, "openvino")
    digests = {f"{task}_weights": f"sha256:{loaded.card.weights_sha256}" for task, loaded in models.items()}
    own = tmp_path / "error-models"
    own.mkdir()
    (own / "mine.json").write_text(sample_error_model(**digests).model_dump_json())
    image = next((plates / "images").iterdir()).read_bytes()
    pair = models["segmentation"], models["landmarks"]
    for folder, is_calibrated in ((None, False), (own, True)):
        phenotype = evaluate_plate(image, "plate", *pair, folder).phenotype
        assert phenotype is not None
        assert ("not_calibrated" not in {flag.code for flag in phenotype.flags}) == is_calibrated


def test_evaluate_names_an_invalid_error_model(plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command reads the folder of `thale up`, so that both grade traits in the same way."""
    monkeypatch.setenv("THALE_ERROR_MODELS_PATH", str(tmp_path))
    (tmp_path / "mine.json").write_text(sample_error_model().model_dump_json().replace("contrast", "colour"))
    arguments = ["evaluate", "--model", str(tmp_path), "--data", str(plates), "--out", str(tmp_path / "out")]
    with pytest.raises(ParameterError, match=r"invalid error model: mine\.json: .*does not compute the features"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_plate_names_differ_for_images_of_equal_stems(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("day1/a.png", "day2/a.png", "day2/a.jpg", "day2/b.jpg")]
    assert plate_names(images, tmp_path) == ["day1__a.png", "day2__a.png", "day2__a.jpg", "b"]


def test_plate_names_are_numbered_when_paths_are_ambiguous(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a__b/c.png", "a/b/c.png")]
    assert plate_names(images, tmp_path) == ["a__b__c.png-1", "a__b__c.png-2"]


def test_write_metrics_replaces_metrics_and_omits_unknown_ones(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "seg")
    write_metrics_to_cards([folder], {"dice_root": 0.5, "tip_f1_1mm": float("nan")})
    write_metrics_to_cards([folder], {"dice_root": 0.75})
    card = parse_model_card((folder / CARD).read_bytes())
    assert card.metrics == {"plates_dice_root": 0.75}


@pytest.mark.slow
def test_evaluate_rejects_two_models_of_one_task(plates: Path, tmp_path: Path) -> None:
    first, second = write_model(tmp_path / "a"), write_model(tmp_path / "b")
    with pytest.raises(ParameterError, match="one for each task"):
        evaluate([first, second], plates, "test", tmp_path / "out", "Twice")


def test_evaluate_names_a_folder_without_a_model(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="has no model"):
        evaluate([tmp_path], plates, "test", tmp_path / "out", "None")


@pytest.mark.slow
def test_evaluate_names_an_empty_split(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'val'"):
        evaluate([write_model(tmp_path / "seg")], plates, "val", tmp_path / "out", "Empty")


def test_read_ground_truth_reads_numeric_shoot_traits(plates: Path) -> None:
    mask_dataset, landmark_dataset = (
        read_dataset(plates, task, DEFAULT_CLASSES[task], required_splits=()) for task in DEFAULT_CLASSES
    )
    rsml_path = plates / "truth" / "plate-000000.rsml"
    drawn_plants = read_ground_truth(mask_dataset, None, landmark_dataset, None, rsml_path).plants
    assert drawn_plants is not None
    assert all(plant.hypocotyl_px > 0 and plant.leaf_count >= 1 for plant in drawn_plants)
    foreign = plates / "foreign.rsml"
    foreign.write_bytes(rsml_path.read_bytes().replace(b"<leaf_count>", b"<leaf_count>about "))
    [*plants] = read_ground_truth(mask_dataset, None, landmark_dataset, None, foreign).plants or ()
    assert all(math.isnan(plant.leaf_count) and plant.hypocotyl_px > 0 for plant in plants)


def test_read_ground_truth_counts_only_roots_of_higher_order(plates: Path) -> None:
    mask_dataset, landmark_dataset = (
        read_dataset(plates, task, DEFAULT_CLASSES[task], required_splits=()) for task in DEFAULT_CLASSES
    )
    line = '<geometry><polyline><point x="1" y="0"/><point x="1" y="9"/></polyline></geometry>'
    roots = f'<root id="a">{line}<root id="a1">{line}</root></root><root id="b"/>'
    path = plates / "without_geometry.rsml"
    path.write_text(f'<rsml><metadata/><scene><plant id="1">{roots}</plant></scene></rsml>')
    plants = read_ground_truth(mask_dataset, None, landmark_dataset, None, path).plants
    assert plants is not None
    assert [plant.laterals for plant in plants] == [1]


def test_skeleton_length_equals_the_length_of_the_line() -> None:
    mask = np.zeros((220, 220), bool)
    mask[20:200, 100:105] = True
    assert skeleton_length_px(mask) == pytest.approx(180 * 0.948, rel=0.06)
    oblique = np.zeros((220, 220), bool)
    for step in range(150):
        oblique[20 + step : 24 + step, 20 + step] = True
    assert skeleton_length_px(oblique) == pytest.approx(150 * 1.34, rel=0.06)
