"""CSV tables for statistics packages: one row per plant and trait (long), or one row per plant (wide).

The format is RFC 4180, but with a line feed as line end; encode it as UTF-8. An unknown value is an empty cell. R's
read.csv and pandas' read_csv read an empty cell as missing, while spreadsheets read "NaN" as text.

`plate` is the number of the plate in the image. An image with several plates has rows for each of them, with its own
scale; a plate without plants has one row in the wide table. `plant` is unique in the image.

Scales are never mixed in one column. The name of a wide column includes the unit (primary_root_length_mm), so that
images without a scale have separate columns (primary_root_length_px). Each row has `scale_source` and `mm_per_px`.

A text that starts with = + - @ or a tab and contains one of ( | ! could run as a formula in a spreadsheet (OWASP, CSV
injection). It gets an apostrophe as prefix. Without these characters, a formula calls no function and starts no
program. A name such as +NaCl_1.jpg is therefore the same in each output, and tables can be joined by it.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from thale.exports.names import flag_codes, image_name, model_names, replace_unprintable, trait_column
from thale.phenotyping.plates import plate_number, split_plates
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Flag, Phenotype, Plant, TraitLevel, TraitValue

LONG_COLUMNS = (
    "image",
    "sha256",
    "level",
    "plate",
    "plant",
    "trait",
    "value",
    "interval_low",
    "interval_high",
    "unit",
    "ontology_id",
    "ontology_relation",
    "ontology_qualifier",
    "quality",
    "flags",
    "scale_source",
    "mm_per_px",
    "plate_width_mm",
    "models",
    "model_digests",
    "config_digest",
    "package_version",
    "created",
)
"""Columns of a long table, in order."""

WIDE_COLUMNS = (
    "image",
    "sha256",
    "plate",
    "plant",
    "flags",
    "scale_source",
    "mm_per_px",
    "plate_width_mm",
    "models",
    "package_version",
)
"""Columns of a wide table before the traits. The traits follow in the order of `TRAITS`."""

TRAIT_SUFFIXES = ("", "_low", "_high", "_quality")
"""Columns of one trait in a wide table: its value, the bounds of its 90 % interval, and its quality."""

TRAIT_ORDER = {name: index for index, name in enumerate(TRAITS)}
"""Position of each trait in `TRAITS`."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_CALLS = frozenset("(|!")
"""Characters without which a formula calls no function, no program (DDE) and no other sheet."""

Cell = str | float | int | None


def long_csv(phenotypes: Iterable[Phenotype]) -> str:
    """Return a table with one row per trait of each plant, and one row per trait of each plate.

    `level` is plant or plate. Rows of a plate have an empty `plant`, and they include the flags of the image.
    """
    rows: list[Sequence[Cell]] = []
    for phenotype in (part for each in phenotypes for part in split_plates(each)):
        for plant in phenotype.plants:
            rows += [_long_row(phenotype, trait, "plant", plant.id) for trait in plant.traits]
        rows += [_long_row(phenotype, trait, "plate", None, phenotype.flags) for trait in phenotype.traits]
    return to_csv(LONG_COLUMNS, rows)


def wide_csv(phenotypes: Iterable[Phenotype]) -> str:
    """Return a table with one row per plant, and the columns `TRAIT_SUFFIXES` for each trait and unit.

    An image without plants has one row with an empty `plant`, so that every image is in the table.
    """
    phenotypes = tuple(part for phenotype in phenotypes for part in split_plates(phenotype))
    columns = _trait_columns(phenotypes)
    rows = [_wide_row(phenotype, plant, columns) for phenotype in phenotypes for plant in (phenotype.plants or (None,))]
    trait_columns = [f"{column}{suffix}" for column in columns for suffix in TRAIT_SUFFIXES]
    return to_csv((*WIDE_COLUMNS, *trait_columns), rows)


def _long_row(
    phenotype: Phenotype, trait: TraitValue, level: TraitLevel, plant: int | None, flags: tuple[Flag, ...] = ()
) -> Sequence[Cell]:
    provenance = phenotype.provenance
    return (
        image_name(phenotype.image),
        phenotype.image.sha256,
        level,
        plate_number(phenotype),
        plant,
        trait.trait,
        trait.value,
        *_bounds(trait),
        trait.unit,
        trait.ontology_id,
        trait.ontology_relation,
        trait.ontology_qualifier,
        trait.quality,
        flag_codes((*trait.flags, *flags)),
        phenotype.scale.source,
        phenotype.scale.mm_per_px,
        phenotype.scale.plate_width_mm,
        model_names(phenotype),
        ";".join(model.digest for model in provenance.models),
        provenance.config_digest,
        provenance.package_version,
        provenance.created,
    )


def _wide_row(phenotype: Phenotype, plant: Plant | None, columns: Sequence[str]) -> Sequence[Cell]:
    traits = plant.traits if plant else ()
    cells: dict[str, Sequence[Cell]] = {
        trait_column(trait.trait, trait.unit): (trait.value, *_bounds(trait), trait.quality) for trait in traits
    }
    no_cells: Sequence[Cell] = (None,) * len(TRAIT_SUFFIXES)
    flags = (*phenotype.flags, *(plant.flags if plant else ()), *(flag for trait in traits for flag in trait.flags))
    return (
        image_name(phenotype.image),
        phenotype.image.sha256,
        plate_number(phenotype),
        plant.id if plant else None,
        flag_codes(flags),
        phenotype.scale.source,
        phenotype.scale.mm_per_px,
        phenotype.scale.plate_width_mm,
        model_names(phenotype),
        phenotype.provenance.package_version,
        *(cell for column in columns for cell in cells.get(column, no_cells)),
    )


def _bounds(trait: TraitValue) -> Sequence[Cell]:
    return trait.interval if trait.interval is not None else (None, None)


def _trait_columns(phenotypes: Iterable[Phenotype]) -> list[str]:
    """Return the trait columns in the order of `TRAITS`, with mm before px for each trait."""
    present = {
        (trait.trait, trait.unit) for phenotype in phenotypes for plant in phenotype.plants for trait in plant.traits
    }
    ordered = sorted(present, key=lambda item: (TRAIT_ORDER.get(item[0], len(TRAIT_ORDER)), *item))
    return list(dict.fromkeys(trait_column(trait, unit) for trait, unit in ordered))


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table in the format of this module."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([format_cell(value) for value in row] for row in rows)
    return table.getvalue()


def format_cell(value: Cell) -> str | int:
    """Return a cell: a number with seven digits, a text that is safe in spreadsheets, or empty if unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, str):
        text = replace_unprintable(value)
        is_formula = text.startswith(_FORMULA_STARTS) and not _CALLS.isdisjoint(text)
        return f"'{text}" if is_formula else text
    return value
