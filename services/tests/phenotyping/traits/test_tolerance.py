"""Tests of the tolerances of traits."""

import math

import pytest

from thale.phenotyping.traits.table import TRAITS
from thale.phenotyping.traits.tolerance import error_unit, is_right, max_error


@pytest.mark.parametrize(
    ("trait", "value", "true", "expected"),
    [
        ("primary_root_length", 104.9, 100.0, True),
        ("primary_root_length", 105.1, 100.0, False),
        ("primary_root_length", 1.09, 1.0, True),
        ("root_diameter", 0.29, 0.2, False),
        ("convex_hull_area", 1.09, 1.0, False),
        ("lateral_root_count", 11.0, 10.0, False),
        ("lateral_root_count", 21.0, 20.0, True),
        ("lateral_root_count", 0.0, 0.0, True),
        ("primary_root_angle", -1.0, 0.5, True),
        ("primary_root_angle", -1.0, 1.5, False),
        ("primary_tip_x", 60.9, 60.0, True),
        ("primary_tip_x", 61.1, 60.0, False),
        ("primary_root_length", 100.0, math.nan, False),
        ("primary_root_length", math.nan, 100.0, False),
    ],
)
def test_is_right_depends_on_kind_of_trait(trait: str, value: float, true: float, expected: bool) -> None:
    assert is_right(trait, value, true) is expected


@pytest.mark.parametrize("trait", sorted(TRAITS))
def test_error_unit_and_max_error_are_positive_and_finite(trait: str) -> None:
    for value in (0.0, -3.0, 1e4):
        assert 0 < error_unit(trait, value) < math.inf
        assert 0 <= max_error(trait, value) < math.inf


@pytest.mark.parametrize(
    ("trait", "value", "expected"),
    [
        ("primary_root_length", 50.0, 50.0),
        ("primary_root_length", 3.0, 10.0),
        ("mean_lateral_root_length", 3.0, 3.0),
        ("mean_lateral_root_length", 0.3, 1.0),
        ("root_diameter", -3.0, 3.0),
        ("root_diameter", 0.2, 1.0),
        ("lateral_root_count", 12.0, 12.0),
        ("lateral_root_count", 0.0, 1.0),
        ("convex_hull_area", 3.0, 20.0),
        ("primary_root_angle", 30.0, 1.0),
        ("primary_tip_x", 60.0, 1.0),
    ],
)
def test_error_unit_is_the_value_or_a_minimum(trait: str, value: float, expected: float) -> None:
    assert error_unit(trait, value) == expected
