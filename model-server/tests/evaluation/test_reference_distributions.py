"""References in the cards: the facade's own signals, over whole plates."""

from pathlib import Path

import pytest

from tests.support.default_models import default_model
from thale.models.model_card import CARD, read_card
from thale_models.evaluation import evaluate, note_in_cards
from thale_models.evaluation.reference_distributions import references
from thale_models.synthesis import write_dataset


def test_quantiles_are_those_of_all_plates_by_task() -> None:
    plates = [{"segmentation": {"plants": float(count)}} for count in range(21)]
    found = references([*plates, {}, {"landmarks": {"score": 0.5}}])
    assert found["segmentation"]["plants"] == pytest.approx(tuple(float(count) for count in range(21)))
    assert found["landmarks"] == {"score": (0.5,) * 21}


def test_cards_get_what_both_models_said_of_whole_plates_and_keep_their_agreement(tmp_path: Path) -> None:
    write_dataset(tmp_path / "plates", 1, 3, split="test", overrides={"width": 900, "height": 860, "plants": 2})
    folders = [default_model(name, tmp_path) for name in ("plate-seg", "plate-landmarks")]
    measured = (0.9,) * 21
    card = read_card((folders[0] / CARD).read_bytes())
    before = card.model_copy(update={"references": {"root_fraction": measured, "agreement_dice_root": measured}})
    (folders[0] / CARD).write_text(before.model_dump_json())
    figures = evaluate(folders, tmp_path / "plates", "test", tmp_path / "out", "Tiny")
    note_in_cards(folders, figures, tmp_path / "out")
    segmentation, landmarks = (read_card((folder / CARD).read_bytes()).references for folder in folders)
    assert {"plants", "root_area_mm2", "shoot_area_mm2"} <= segmentation.keys()
    assert segmentation["agreement_dice_root"] == pytest.approx(measured)
    assert "root_fraction" not in segmentation
    assert {"landmarks_root_base", "landmarks_primary_tip"} <= landmarks.keys()
    assert all(len(quantiles) == 21 for quantiles in (*segmentation.values(), *landmarks.values()))


def test_an_evaluation_of_one_model_leaves_the_references(tmp_path: Path) -> None:
    write_dataset(tmp_path / "plates", 1, 3, split="test", overrides={"width": 900, "height": 860, "plants": 1})
    folder = default_model("plate-seg", tmp_path)
    card = read_card((folder / CARD).read_bytes())
    (folder / CARD).write_text(card.model_copy(update={"references": {"plants": (1.0,) * 21}}).model_dump_json())
    figures = evaluate([folder], tmp_path / "plates", "test", tmp_path / "out", "Tiny")
    note_in_cards([folder], figures, tmp_path / "out")
    assert read_card((folder / CARD).read_bytes()).references == {"plants": (1.0,) * 21}
