"""Tests of the CSV tables, read back with the csv module and pandas."""

import csv
import io
import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.sample_phenotypes import (
    CROSSING_FLAG,
    NO_SCALE,
    UNLOCATED_FLAG,
    image_metadata,
    phenotype,
    phenotypes,
    seedling,
)
from thale.exports import table
from thale.exports.names import image_name, trait_column
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Phenotype


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_long_csv_has_row_per_plant_trait_and_plate_trait() -> None:
    found = phenotype(seedling(), seedling(2, 250.0), flags=(UNLOCATED_FLAG,))
    read = rows(table.long_csv([found]))
    assert tuple(read[0]) == table.LONG_COLUMNS
    assert len(read) == 2 * len(found.plants[0].traits) + len(found.traits)
    length = next(row for row in read if row["trait"] == "primary_root_length" and row["plant"] == "2")
    assert (float(length["value"]), length["unit"], length["ontology_id"]) == (20.0, "mm", "TO:0000227")
    assert (length["scale_source"], float(length["mm_per_px"])) == ("given", 0.1)
    assert length["models"] == "plate-seg@1.0.0;plate-landmarks@1.2.0"
    plate = next(row for row in read if row["trait"] == "plant_count")
    assert (plate["level"], plate["plant"], plate["value"], plate["flags"]) == ("plate", "", "2", "not_focused")


def test_wide_csv_has_row_per_plant_and_ordered_unit_columns() -> None:
    read = rows(table.wide_csv([phenotype(seedling(), seedling(2, 250.0))]))
    assert [row["plant"] for row in read] == ["1", "2"]
    assert [float(row["primary_root_length_mm"]) for row in read] == [20.0, 20.0]
    expected = [
        f"{trait_column(name, trait.unit(phenotype().scale))}{suffix}"
        for name, trait in TRAITS.items()
        for suffix in table.TRAIT_SUFFIXES
    ]
    assert list(read[0])[len(table.WIDE_COLUMNS) :] == [name for name in expected if name in read[0]]
    assert {"lateral_density_per_mm", "convex_hull_area_mm2", "primary_root_angle_deg", "lateral_root_count"} <= set(
        read[0]
    )


def test_wide_csv_separates_millimetre_and_pixel_columns() -> None:
    scaled, unscaled = phenotype(seedling()), phenotype(seedling(), scale=NO_SCALE, image=image_metadata("b.png"))
    frame = pd.read_csv(io.StringIO(table.wide_csv([unscaled, scaled])))
    assert frame["primary_root_length_px"].tolist()[0] == 200.0
    assert frame["primary_root_length_mm"].tolist()[1] == 20.0
    assert frame[["primary_root_length_px", "primary_root_length_mm"]].isna().sum().sum() == 2
    assert frame["mm_per_px"].isna().tolist() == [True, False]
    columns = frame.columns.tolist()
    assert columns.index("primary_root_length_mm_quality") + 1 == columns.index("primary_root_length_px")


def test_tables_have_interval_and_quality_of_each_trait() -> None:
    plant = seedling()
    found = phenotype(plant)
    traits = tuple(
        trait.model_copy(update={"interval": (19.0, 21.5), "quality": "uncertain"})
        if trait.trait == "primary_root_length"
        else trait
        for trait in found.plants[0].traits
    )
    found = found.model_copy(update={"plants": (found.plants[0].model_copy(update={"traits": traits}),)})
    wide = rows(table.wide_csv([found]))[0]
    suffixes = ("_low", "_high", "_quality")
    assert [wide[f"primary_root_length_mm{suffix}"] for suffix in suffixes] == ["19", "21.5", "uncertain"]
    assert [wide[f"total_root_length_mm{suffix}"] for suffix in suffixes] == ["", "", "ok"]
    long = {row["trait"]: row for row in rows(table.long_csv([found]))}
    assert [long["primary_root_length"][name] for name in ("interval_low", "interval_high")] == ["19", "21.5"]
    assert long["total_root_length"]["interval_low"] == ""


def test_wide_csv_has_versions_and_plate_width() -> None:
    found = phenotype(seedling())
    row = rows(table.wide_csv([found]))[0]
    assert row["models"] == "plate-seg@1.0.0;plate-landmarks@1.2.0"
    assert row["package_version"] == found.provenance.package_version
    width_mm = found.scale.plate_width_mm
    assert (row["plate_width_mm"], row["scale_source"]) == ("" if width_mm is None else f"{width_mm:g}", "given")


def test_wide_csv_unknown_value_is_empty_cell() -> None:
    text = table.wide_csv([phenotype(seedling())])
    assert rows(text)[0]["hypocotyl_length_mm"] == ""
    assert math.isnan(pd.read_csv(io.StringIO(text))["hypocotyl_length_mm"][0])


def test_wide_csv_plant_at_crossing_has_flag_and_no_length() -> None:
    row = rows(table.wide_csv([phenotype(seedling(flags=(CROSSING_FLAG,)))]))[0]
    assert row["primary_root_length_mm"] == ""
    assert row["flags"] == "crossing;hypocotyl_hidden"


def test_wide_csv_image_without_plants_has_one_row() -> None:
    read = rows(
        table.wide_csv([phenotype(flags=(UNLOCATED_FLAG,)), phenotype(seedling(), image=image_metadata("b.png"))])
    )
    assert [(row["image"], row["plant"], row["flags"]) for row in read] == [
        ("plate.png", "", "not_focused"),
        ("b.png", "1", "hypocotyl_hidden"),
    ]


def test_tables_without_images_have_header() -> None:
    assert table.long_csv([]) == ",".join(table.LONG_COLUMNS) + "\n"
    assert table.wide_csv(iter([])) == ",".join(table.WIDE_COLUMNS) + "\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_tables_prefix_formula_texts_with_apostrophe(start: str) -> None:
    name = f'{start}cmd|"/c calc"!A1.png'
    for text in (
        table.wide_csv([phenotype(seedling(), image=image_metadata(name))]),
        table.long_csv([phenotype(image=image_metadata(name))]),
    ):
        assert rows(text)[0]["image"] == f"'{name}"


@pytest.mark.parametrize("name", ["+NaCl_1.jpg", "-P 2.png", "=3.tif", "@col-0.png"])
def test_tables_keep_harmless_names_unchanged(name: str) -> None:
    """Joins by file name need the name of the file, also if a spreadsheet shows an error for it."""
    found = phenotype(seedling(), image=image_metadata(name))
    assert {row["image"] for text in (table.wide_csv([found]), table.long_csv([found])) for row in rows(text)} == {name}


def test_wide_csv_does_not_prefix_negative_numbers() -> None:
    leaning = seedling().model_copy(
        update={"roots": (seedling().roots[0].model_copy(update={"points": ((100, 50), (0, 150))}),)}
    )
    frame = pd.read_csv(io.StringIO(table.wide_csv([phenotype(leaning)])))
    assert frame["primary_root_angle_deg"][0] == pytest.approx(-45)


def test_wide_csv_preserves_names_of_any_script() -> None:
    assert rows(table.wide_csv([phenotype(seedling(), image=image_metadata('拟南芥, "Col-0" é.png'))]))[0]["image"] == (
        '拟南芥, "Col-0" é.png'
    )


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(phenotypes())
def test_tables_round_trip_any_phenotype(found: Phenotype) -> None:
    long, wide = table.long_csv([found]), table.wide_csv([found])
    long.encode(), wide.encode()
    traits = [trait for plant in found.plants for trait in plant.traits] + list(found.traits)
    read = rows(long)
    assert [row["trait"] for row in read] == [trait.trait for trait in traits]
    for row, trait in zip(read, traits, strict=True):
        value = float(row["value"]) if row["value"] else math.nan
        assert value == pytest.approx(trait.value, rel=1e-6, nan_ok=True)
        assert row["image"].removeprefix("'") == image_name(found.image).removeprefix("'")
    frame = pd.read_csv(io.StringIO(wide), dtype={"image": str}, keep_default_na=False, na_values={"plant": [""]})
    assert len(frame) == max(1, len(found.plants))
    assert frame["plant"].dropna().astype(int).tolist() == [plant.id for plant in found.plants]
