"""Tests of the expected agreement of two versions in the card of the new one."""

from pathlib import Path

import pytest

from tests.support.default_models import copy_default_model
from tests.support.tiny_models import write_tiny_model
from thale.errors import DatasetError, ParameterError
from thale.models.model_card import CARD, parse_model_card
from thale.release.judge.checks import expected_agreement
from thale.schemas import Task
from thale_models.evaluation import write_agreement_references
from thale_models.synthesis import write_dataset


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_dataset(folder, 1, 3, split="test", overrides={"width": 700, "height": 660, "plants": 1})
    return folder


def write_model(folder: Path, task: Task = "segmentation", **fields: object) -> Path:
    tiny = write_tiny_model(folder, task, **fields)
    (folder / CARD).write_text(tiny.card.model_dump_json())
    return folder


@pytest.mark.slow
def test_agreement_with_itself_is_one_and_keeps_other_references(plates: Path, tmp_path: Path) -> None:
    new = copy_default_model("plate-seg", tmp_path)
    before = parse_model_card((new / CARD).read_bytes())
    references = {"plants": (5.0,) * 21, "agreement_dice_leaf": (0.5,) * 21}
    (new / CARD).write_text(before.model_copy(update={"references": references}).model_dump_json())
    card = write_agreement_references(new, new, plates, "test")
    assert card == parse_model_card((new / CARD).read_bytes())
    assert card.metrics["agreement_plates"] == 1
    assert card.references["agreement_dice_root"] == (1.0,) * 21
    assert "agreement_dice_leaf" not in card.references
    assert card.references["plants"] == (5.0,) * 21
    assert "agreement_dice_root" in expected_agreement(card, card)


@pytest.mark.slow
def test_agreement_of_landmarks_has_distance_and_f1(plates: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "marks", "landmarks")
    references = write_agreement_references(folder, folder, plates, "test").references
    assert references.get("agreement_landmark_f1", (1.0,))[0] == 1.0
    assert all(max(values) == 0 for name, values in references.items() if "_px_" in name)


@pytest.mark.slow
def test_agreement_rejects_other_tasks_and_empty_splits(plates: Path, tmp_path: Path) -> None:
    segmentation_model, landmark_model = write_model(tmp_path / "masks"), write_model(tmp_path / "marks", "landmarks")
    with pytest.raises(ParameterError, match="two versions of one model"):
        write_agreement_references(segmentation_model, landmark_model, plates, "test")
    with pytest.raises(DatasetError, match="has no image"):
        write_agreement_references(segmentation_model, segmentation_model, plates, "val")
