"""Tests of the fit of the error model on records whose errors are known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thale.phenotyping.quality.error_model import ErrorModel
from thale_models.evaluation.effective_risks import right_ok_at
from thale_models.evaluation.error_model import score_held_out, write_score_report
from thale_models.evaluation.error_model_fit import fit_error_model, split_plates
from thale_models.evaluation.quality_scores import score_quality
from thale_models.evaluation.trait_records import TraitRecord

WEIGHTS = ("sha256:a", "sha256:b")


def records(plates: int = 200, seed: int = 0) -> list[TraitRecord]:
    """Return plants whose primary root is too short by 20 to 60 % if a gap is long, and otherwise within 2 %."""
    rng = np.random.default_rng(seed)
    found = []
    for plate in range(plates):
        for plant in range(1, 6):
            gap, noise = rng.uniform(0, 1), rng.normal()
            true = float(rng.uniform(20, 80))
            share = 1 - rng.uniform(0.2, 0.6) if gap + 0.05 * rng.normal() > 0.7 else 1 + rng.normal(0, 0.01)
            values = {"primary_root_length": (true * share, true, "uncertain" if plant == 1 else "ok")}
            flags = {"primary_root_length": ("compression",) if plant == 1 else ()}
            features = {"primary_gap_mm": gap, "other_flags": noise, "tip_score": -gap * 0.1}
            found.append(TraitRecord(f"plate-{plate:03d}", 0, plant, 0, features, values, flags))
    return found


@pytest.fixture(scope="module")
def fitted() -> tuple[ErrorModel, list[TraitRecord]]:
    train, test = split_plates(records(), 0)
    return fit_error_model(train, WEIGHTS, "drawn"), test


def test_split_plates_keeps_all_plants_of_a_plate_together() -> None:
    train, test = split_plates(records(40), 3)
    assert len({record.plate for record in test}) == 8
    assert not {record.plate for record in test} & {record.plate for record in train}
    assert len(train) + len(test) == 200


@pytest.mark.slow
def test_fit_covers_unseen_plates_and_separates_wrong_values(fitted: tuple[ErrorModel, list[TraitRecord]]) -> None:
    model, test = fitted
    score = score_quality(test, model)["primary_root_length"]
    assert 0.85 <= score.coverage <= 0.97
    assert score.wrong_ok_share <= 0.1
    assert score.right_ok_share >= 0.85
    without = score_quality(test, None)["primary_root_length"]
    assert without.right_ok_share == pytest.approx(0.8, abs=0.05), "a flag without a model decides"
    assert without.wrong_ok_share == pytest.approx(0.8, abs=0.1)
    assert math.isnan(without.coverage)


def test_fit_intervals_are_asymmetric_where_errors_are(fitted: tuple[ErrorModel, list[TraitRecord]]) -> None:
    trait = fitted[0].traits["primary_root_length"]
    assert trait.high[-1] > 0.5 > 0.1 > -trait.low[-1]
    assert trait.high[0] < 0.05


def test_fit_gives_no_coefficient_the_wrong_sign(fitted: tuple[ErrorModel, list[TraitRecord]]) -> None:
    model = fitted[0]
    coefficients = dict(zip(model.features, model.traits["primary_root_length"].coefficients, strict=True))
    assert coefficients["primary_gap_mm"] > 1
    assert coefficients["other_flags"] >= 0 >= coefficients["tip_score"]


@pytest.mark.slow
def test_fit_is_deterministic() -> None:
    given = records(60)
    assert fit_error_model(given, WEIGHTS, "drawn") == fit_error_model(given, WEIGHTS, "drawn")


def test_fit_leaves_out_traits_with_few_records() -> None:
    assert fit_error_model(records(8), WEIGHTS, "drawn").traits == {}


@pytest.mark.slow
def test_fit_counts_plants_that_do_not_exist_as_wrong() -> None:
    given = records(100)
    no_truth = {"primary_root_length": (9.0, math.nan, "ok")}
    false = [TraitRecord(r.plate, 1, r.plant, 0, {**r.features, "other_flags": 9.0}, no_truth) for r in given[::3]]
    model = fit_error_model([*given, *false], WEIGHTS, "drawn")
    score = score_quality(false, model)["primary_root_length"]
    assert (score.wrong, score.intervals) == (len(false), 0)
    assert score.wrong_ok_share < 0.05


def test_fit_keeps_values_with_a_deciding_flag_uncertain() -> None:
    given = [replace(record, flags={"primary_root_length": ("no_plate",)}) for record in records(60)]
    given = [replace(r, values={k: (v, t, "uncertain") for k, (v, t, _) in r.values.items()}) for r in given]
    score = score_quality(given, fit_error_model(given, WEIGHTS, "drawn"))["primary_root_length"]
    assert (score.wrong_ok, score.right_ok) == (0, 0)


@pytest.mark.slow
def test_score_held_out_grades_plates_by_fits_without_them() -> None:
    given = records()
    scores = score_held_out(given, WEIGHTS)
    length = scores.traits["primary_root_length"]
    assert length.values == len(given) == len(scores.values)
    assert 0.85 <= length.coverage <= 0.95
    assert length.wrong_ok_share <= 0.06
    assert right_ok_at(scores.values, 0.05) >= 0.85


def test_score_report_has_every_table(tmp_path: Path, fitted: tuple[ErrorModel, list[TraitRecord]]) -> None:
    model = tmp_path / "a-b.json"
    model.write_text(fitted[0].model_dump_json())
    write_score_report(tmp_path / "report.md", model, {"trade-off": "a table", "flags": "another"})
    report = (tmp_path / "report.md").read_text()
    assert "- Model: `a-b.json`\n- Data: drawn\n" in report
    assert "## Trade-off\n\n```text\na table\n```\n\n## Flags" in report
