"""Tests of the printed tables: units, unknown values and flags."""

import io
import math

import pytest
from rich.console import Console

from tests.support.sample_phenotypes import CROSSING_FLAG, NO_SCALE, image_metadata, phenotype, seedling
from thale.cli.tables import traits_table
from thale.schemas import Phenotype


def render_table(phenotype: Phenotype, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(traits_table(phenotype, width))
    return out.getvalue()


def test_traits_table_fits_five_plants_in_eighty_columns() -> None:
    text = render_table(phenotype(*(seedling(number, 60.0 * number) for number in range(1, 6))))
    assert text.count("plant 1") == text.count("plant 5") == 1
    heading = next(line for line in text.splitlines() if "plant 1" in line)
    assert "plant 5" in heading
    assert "primary root length" in text
    assert "mm" in text


def test_traits_table_splits_plants_beyond_width() -> None:
    text = render_table(phenotype(*(seedling(number, 30.0 * number) for number in range(1, 9))))
    headings = [line for line in text.splitlines() if line.strip().startswith("trait")]
    assert ["plant 8" in line for line in headings] == [False, True]


def test_traits_table_heading_has_scale_and_source() -> None:
    assert "0.1000 mm/px (given)" in render_table(phenotype(seedling()))
    assert "no scale: pixels only" in render_table(phenotype(seedling(), scale=NO_SCALE, plate=None))


def test_traits_table_accepts_plate_without_plants() -> None:
    assert "0 plants" in render_table(phenotype())


def test_traits_table_prints_flag_once_with_its_plants() -> None:
    text = render_table(phenotype(*(seedling(number, 60.0 * number, flags=(CROSSING_FLAG,)) for number in (1, 2))))
    assert text.count(CROSSING_FLAG.message) == 1
    assert f"plants 1, 2: {CROSSING_FLAG.message}" in text


@pytest.mark.parametrize(("value", "expected"), [(math.nan, "-"), (12345.6, "12346"), (0.123456, "0.1235"), (7.0, "7")])
def test_traits_table_formats_numbers_and_unknown_values(value: float, expected: str) -> None:
    plate = phenotype(seedling())
    trait = plate.traits[0].model_copy(update={"value": value})
    line = next(
        line
        for line in render_table(plate.model_copy(update={"traits": (trait,)})).splitlines()
        if "plant count" in line
    )
    assert line.split()[-1] == expected


def test_traits_table_escapes_markup_in_names() -> None:
    assert "[bold red]x[/]" in render_table(phenotype(image=image_metadata(name="[bold red]x[/]")))
