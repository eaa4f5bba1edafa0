"""What the commands print: every number with its unit, what is unknown, and what to know about it."""

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


def test_five_plants_stand_side_by_side_in_eighty_characters() -> None:
    text = render_table(phenotype(*(seedling(number, 60.0 * number) for number in range(1, 6))))
    assert text.count("plant 1") == text.count("plant 5") == 1
    heading = next(line for line in text.splitlines() if "plant 1" in line)
    assert "plant 5" in heading
    assert "primary root length" in text
    assert "mm" in text


def test_more_plants_than_fit_get_a_table_of_their_own() -> None:
    text = render_table(phenotype(*(seedling(number, 30.0 * number) for number in range(1, 9))))
    headings = [line for line in text.splitlines() if line.strip().startswith("trait")]
    assert ["plant 8" in line for line in headings] == [False, True]


def test_the_scale_and_where_it_came_from_stand_above() -> None:
    assert "0.1000 mm/px (given)" in render_table(phenotype(seedling()))
    assert "no scale: pixels only" in render_table(phenotype(seedling(), scale=NO_SCALE, plate=None))


def test_a_plate_without_plants_is_a_table_too() -> None:
    assert "0 plants" in render_table(phenotype())


def test_a_flag_is_told_once_with_all_its_plants() -> None:
    text = render_table(phenotype(*(seedling(number, 60.0 * number, flags=(CROSSING_FLAG,)) for number in (1, 2))))
    assert text.count(CROSSING_FLAG.message) == 1
    assert f"plants 1, 2: {CROSSING_FLAG.message}" in text


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "-"), (12345.6, "12346"), (0.123456, "0.1235"), (7.0, "7")])
def test_numbers_are_short_and_the_unknown_is_a_dash(value: float, shown: str) -> None:
    plate = phenotype(seedling())
    trait = plate.traits[0].model_copy(update={"value": value})
    line = next(
        line
        for line in render_table(plate.model_copy(update={"traits": (trait,)})).splitlines()
        if "plant count" in line
    )
    assert line.split()[-1] == shown


def test_a_name_cannot_style_the_terminal() -> None:
    assert "[bold red]x[/]" in render_table(phenotype(image=image_metadata(name="[bold red]x[/]")))
