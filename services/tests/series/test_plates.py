"""Tests of the plate of a photograph, from its name or by a pattern."""

import pytest

from thale.errors import ParameterError
from thale.series.plates import compile_pattern, plate_from_name, plate_from_pattern


@pytest.mark.parametrize(
    ("label", "plate"),
    [
        ("026_43-18-ROOT1-2023-08-08_pvd_OD0001_col-0_04", "026_43-18-ROOT1_pvd_OD0001_col-0_04"),
        ("plate1_2023-08-08T14-30-05", "plate1"),
        ("20230808_143000_plate1", "plate1"),
        ("2023-08-08/plate 3", "plate 3"),
        ("2023-08-08/plate3_2023-08-08_14-30", "plate3"),
        ("run2/2023-08-08 plate3", "run2/plate3"),
        ("2023-08-08", "plate"),
        ("plate_7", "plate_7"),
    ],
)
def test_plate_from_name_removes_time(label: str, plate: str) -> None:
    assert plate_from_name(label) == plate


def test_plate_from_pattern_prefers_named_group() -> None:
    label = "rgb/026_ROOT1_2023-08-08"
    assert plate_from_pattern(label, compile_pattern(r"(rgb)/(?P<plate>\d+)")) == "026"
    assert plate_from_pattern(label, compile_pattern(r"/(\d+)_")) == "026"
    assert plate_from_pattern(label, compile_pattern(r"ROOT\d")) == "ROOT1"


def test_plate_from_pattern_rejects_other_names() -> None:
    with pytest.raises(ParameterError, match="does not match 'a'"):
        plate_from_pattern("a", compile_pattern("b"))
    with pytest.raises(ParameterError, match="no regular expression"):
        compile_pattern("(")
