"""Tests of the proof that a lower precision keeps the traits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from thale.phenotyping.quality.features import PlantFeatures
from thale_models.evaluation.precision_proof import MAX_GROWTH, TraitGrowth, compare_precisions
from thale_models.evaluation.trait_records import TraitRecord

TRAIT = "total_root_length"
TRUE_MM = 40.0
TOLERANCE_MM = 2.0
FEATURES: PlantFeatures = {}


def record(plate: int, value: float, true: float = TRUE_MM) -> TraitRecord:
    return TraitRecord(f"p{plate}", 0, 1, 0, FEATURES, {TRAIT: (value, true, "ok")})


def records(error_mm: Callable[[int], float], plates: int = 30) -> list[TraitRecord]:
    return [record(plate, TRUE_MM + error_mm(plate)) for plate in range(plates)]


def only(growths: Sequence[TraitGrowth]) -> TraitGrowth:
    assert [growth.trait for growth in growths] == [TRAIT]
    return growths[0]


def test_equal_errors_are_accepted() -> None:
    reference = records(lambda plate: 0.1 * (plate % 5))
    growth = only(compare_precisions(reference, reference))
    assert (growth.growth, growth.upper_limit, growth.is_accepted) == (0.0, 0.0, True)
    assert growth.reference_error == pytest.approx(0.2 / TOLERANCE_MM)
    assert growth.values == 30


@pytest.mark.parametrize(("growth_mm", "is_accepted"), [(0.19, True), (0.21, False), (-1.0, True)])
def test_growth_is_in_tolerances(growth_mm: float, is_accepted: bool) -> None:
    growth = only(compare_precisions(records(lambda _: 1.0), records(lambda _: 1.0 + growth_mm)))
    assert growth.growth == pytest.approx(growth_mm / TOLERANCE_MM)
    assert growth.is_accepted == is_accepted


def test_growth_of_scattered_errors_is_not_proven() -> None:
    growth = only(compare_precisions(records(lambda _: 1.0), records(lambda plate: 2.0 * (plate % 2))))
    assert growth.growth == pytest.approx(0.0)
    assert growth.upper_limit > MAX_GROWTH
    assert not growth.is_accepted


def test_few_plates_prove_nothing() -> None:
    few = records(lambda _: 0.0, plates=19)
    assert not only(compare_precisions(few, few)).is_accepted


@pytest.mark.parametrize("loss", ["unknown value", "no plant"])
def test_missing_value_in_the_lower_precision_is_an_error(loss: str) -> None:
    reference = records(lambda _: 0.0)
    candidate = reference[3:] if loss == "no plant" else [record(plate, math.nan) for plate in range(3)] + reference[3:]
    growth = only(compare_precisions(reference, candidate))
    assert growth.growth == pytest.approx(3 * 2.0 / 30)
    assert not growth.is_accepted


def test_values_without_truth_and_new_values_do_not_count() -> None:
    reference = records(lambda _: 0.0)
    extra = [replace(record(plate, 5.0, math.nan), plant=2) for plate in range(30)]
    assert only(compare_precisions(reference, reference + extra)).growth == 0.0


def test_one_wrong_value_is_limited_to_two_tolerances() -> None:
    reference = records(lambda _: 0.0)
    growth = only(compare_precisions(reference, records(lambda plate: 1000.0 if plate == 0 else 0.0)))
    assert growth.growth == pytest.approx(2.0 / 30)
