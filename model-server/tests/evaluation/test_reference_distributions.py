"""Tests of the reference distributions in the model cards."""

from pathlib import Path

import pytest

from tests.support.default_models import copy_default_model
from thale.models.model_card import CARD, parse_model_card
from thale_models.evaluation import evaluate, write_metrics_to_cards
from thale_models.evaluation.reference_distributions import reference_distributions
from thale_models.synthesis import write_dataset


def test_reference_distributions_are_quantiles_by_task() -> None:
    plates = [{"segmentation": {"plants": float(count)}} for count in range(21)]
    distributions = reference_distributions([*plates, {}, {"landmarks": {"score": 0.5}}])
    assert distributions["segmentation"]["plants"] == pytest.approx(tuple(float(count) for count in range(21)))
    assert distributions["landmarks"] == {"score": (0.5,) * 21}


@pytest.mark.slow
def test_write_metrics_replaces_references_except_agreement(tmp_path: Path) -> None:
    write_dataset(tmp_path / "plates", 1, 3, split="test", overrides={"width": 900, "height": 860, "plants": 2})
    folders = [copy_default_model(name, tmp_path) for name in ("plate-seg", "plate-landmarks")]
    quantiles_before = (0.9,) * 21
    card = parse_model_card((folders[0] / CARD).read_bytes())
    before = card.model_copy(
        update={"references": {"root_fraction": quantiles_before, "agreement_dice_root": quantiles_before}}
    )
    (folders[0] / CARD).write_text(before.model_dump_json())
    metrics = evaluate(folders, tmp_path / "plates", "test", tmp_path / "out", "Tiny")
    write_metrics_to_cards(folders, metrics, tmp_path / "out")
    segmentation, landmarks = (parse_model_card((folder / CARD).read_bytes()).references for folder in folders)
    assert {"plants", "root_area_mm2", "shoot_area_mm2"} <= segmentation.keys()
    assert segmentation["agreement_dice_root"] == pytest.approx(quantiles_before)
    assert "root_fraction" not in segmentation
    assert {"landmarks_root_base", "landmarks_primary_tip"} <= landmarks.keys()
    assert all(len(quantiles) == 21 for quantiles in (*segmentation.values(), *landmarks.values()))


@pytest.mark.slow
def test_write_metrics_of_one_model_keeps_the_references(tmp_path: Path) -> None:
    write_dataset(tmp_path / "plates", 1, 3, split="test", overrides={"width": 900, "height": 860, "plants": 1})
    folder = copy_default_model("plate-seg", tmp_path)
    card = parse_model_card((folder / CARD).read_bytes())
    (folder / CARD).write_text(card.model_copy(update={"references": {"plants": (1.0,) * 21}}).model_dump_json())
    metrics = evaluate([folder], tmp_path / "plates", "test", tmp_path / "out", "Tiny")
    write_metrics_to_cards([folder], metrics, tmp_path / "out")
    assert parse_model_card((folder / CARD).read_bytes()).references == {"plants": (1.0,) * 21}
