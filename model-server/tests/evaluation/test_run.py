"""Evaluation on drawn plates: the report says what is there, and partial truth is enough."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_models import tiny_model
from thale.errors import ArchiveError, DatasetError, ParameterError
from thale.models.model_card import CARD, read_card
from thale.schemas import Task
from thale_models.dataset import read_dataset
from thale_models.evaluation import evaluate, note_in_cards
from thale_models.evaluation.ground_truth import read_truth, skeleton_length_px
from thale_models.evaluation.run import LABELS
from thale_models.synthesis import write_dataset


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_dataset(folder, 2, 3, split="test", overrides={"width": 900, "height": 860, "plants": 2})
    return folder


def model(folder: Path, task: Task = "segmentation") -> Path:
    made = tiny_model(folder, task)
    (folder / CARD).write_text(made.card.model_dump_json())
    return folder


def test_a_model_that_knows_nothing_gets_a_report_with_every_plate(plates: Path, tmp_path: Path) -> None:
    figures = evaluate([model(tmp_path / "seg")], plates, "test", tmp_path / "out", "Tiny")
    assert figures["plates"] == 2
    assert 0 <= figures["dice_root"] < 0.5
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert document["figures"]["tip_f1_1mm"] is None  # NaN is null: nobody looked for tips
    report = (tmp_path / "out" / "report.md").read_text()
    for name in ("plate-000000", "plate-000001"):
        assert f"![{name}](pictures/{name}.png)" in report
        assert (tmp_path / "out" / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_landmark_model_that_knows_no_laterals_is_judged_by_what_it_knows(plates: Path, tmp_path: Path) -> None:
    both = [model(tmp_path / "seg"), model(tmp_path / "landmarks", "landmarks")]
    figures = evaluate(both, plates, "test", tmp_path / "out", "Two kinds")
    assert 0 <= figures["landmark_f1_primary_tip"] <= 1
    assert "landmark_f1_lateral_tip" not in figures
    assert math.isnan(figures["tip_f1_1mm"])


def test_figures_go_into_the_card_once_and_unknown_ones_stay_out(tmp_path: Path) -> None:
    folder = model(tmp_path / "seg")
    note_in_cards([folder], {"dice_root": 0.5, "tip_f1_1mm": float("nan")})
    note_in_cards([folder], {"dice_root": 0.75})
    card = read_card((folder / CARD).read_bytes())
    assert card.metrics == {"plates_dice_root": 0.75}


def test_two_models_of_one_task_are_refused(plates: Path, tmp_path: Path) -> None:
    first, second = model(tmp_path / "a"), model(tmp_path / "b")
    with pytest.raises(ParameterError, match="one for each task"):
        evaluate([first, second], plates, "test", tmp_path / "out", "Twice")


def test_a_folder_without_a_model_is_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no model"):
        evaluate([tmp_path], plates, "test", tmp_path / "out", "None")


def test_an_empty_split_is_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'val'"):
        evaluate([model(tmp_path / "seg")], plates, "val", tmp_path / "out", "Empty")


def test_the_truth_of_a_drawn_plate_knows_shoots_and_that_of_a_traced_one_does_not(plates: Path) -> None:
    masks, marks = (read_dataset(plates, task, LABELS[task], needed=()) for task in LABELS)
    drawn = plates / "truth" / "plate-000000.rsml"
    known = read_truth(masks, None, marks, None, drawn).plants
    assert known is not None
    assert all(plant.hypocotyl_px > 0 and plant.leaves >= 1 for plant in known)
    foreign = plates / "foreign.rsml"
    foreign.write_bytes(drawn.read_bytes().replace(b"<leaf_count>", b"<leaf_count>about "))
    [*told] = read_truth(masks, None, marks, None, foreign).plants or ()
    assert all(math.isnan(plant.leaves) and plant.hypocotyl_px > 0 for plant in told)


def test_a_skeleton_is_as_long_as_the_line_it_was_drawn_from() -> None:
    mask = np.zeros((220, 220), bool)
    mask[20:200, 100:105] = True
    assert skeleton_length_px(mask) == pytest.approx(180 * 0.948, rel=0.06)
    oblique = np.zeros((220, 220), bool)
    for step in range(150):
        oblique[20 + step : 24 + step, 20 + step] = True
    assert skeleton_length_px(oblique) == pytest.approx(150 * 1.34, rel=0.06)
