"""Evaluation on drawn plates: the report says what is there, and partial truth is enough."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, DatasetError, ParameterError
from thale.models.model_card import CARD, parse_model_card
from thale.schemas import Task
from thale_models.dataset import read_dataset
from thale_models.evaluation import evaluate, write_metrics_to_cards
from thale_models.evaluation.ground_truth import read_ground_truth, skeleton_length_px
from thale_models.evaluation.run import DEFAULT_CLASSES
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


def test_a_model_that_knows_nothing_gets_a_report_with_every_plate(plates: Path, tmp_path: Path) -> None:
    metrics = evaluate([write_model(tmp_path / "seg")], plates, "test", tmp_path / "out", "Tiny")
    assert metrics["plates"] == 2
    assert 0 <= metrics["dice_root"] < 0.5
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert document["metrics"]["tip_f1_1mm"] is None  # NaN is null: nobody looked for tips
    report = (tmp_path / "out" / "report.md").read_text()
    for name in ("plate-000000", "plate-000001"):
        assert f"![{name}](pictures/{name}.png)" in report
        assert (tmp_path / "out" / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_landmark_model_that_knows_no_laterals_is_judged_by_what_it_knows(plates: Path, tmp_path: Path) -> None:
    both = [write_model(tmp_path / "seg"), write_model(tmp_path / "landmarks", "landmarks")]
    metrics = evaluate(both, plates, "test", tmp_path / "out", "Two kinds")
    assert 0 <= metrics["landmark_f1_primary_tip"] <= 1
    assert "landmark_f1_lateral_tip" not in metrics
    assert math.isnan(metrics["tip_f1_1mm"])


def test_figures_go_into_the_card_once_and_unknown_ones_stay_out(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "seg")
    write_metrics_to_cards([folder], {"dice_root": 0.5, "tip_f1_1mm": float("nan")})
    write_metrics_to_cards([folder], {"dice_root": 0.75})
    card = parse_model_card((folder / CARD).read_bytes())
    assert card.metrics == {"plates_dice_root": 0.75}


def test_two_models_of_one_task_are_refused(plates: Path, tmp_path: Path) -> None:
    first, second = write_model(tmp_path / "a"), write_model(tmp_path / "b")
    with pytest.raises(ParameterError, match="one for each task"):
        evaluate([first, second], plates, "test", tmp_path / "out", "Twice")


def test_a_folder_without_a_model_is_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no model"):
        evaluate([tmp_path], plates, "test", tmp_path / "out", "None")


def test_an_empty_split_is_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'val'"):
        evaluate([write_model(tmp_path / "seg")], plates, "val", tmp_path / "out", "Empty")


def test_the_truth_of_a_drawn_plate_knows_shoots_and_that_of_a_traced_one_does_not(plates: Path) -> None:
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


def test_a_skeleton_is_as_long_as_the_line_it_was_drawn_from() -> None:
    mask = np.zeros((220, 220), bool)
    mask[20:200, 100:105] = True
    assert skeleton_length_px(mask) == pytest.approx(180 * 0.948, rel=0.06)
    oblique = np.zeros((220, 220), bool)
    for step in range(150):
        oblique[20 + step : 24 + step, 20 + step] = True
    assert skeleton_length_px(oblique) == pytest.approx(150 * 1.34, rel=0.06)
