"""Tables for statistics: one row a plant and trait (long), or one row a plant (wide).

CSV by RFC 4180, but with a bare line feed; encode it as UTF-8. What is not known is an empty cell: R's read.csv and
pandas' read_csv both read that as missing, and "NaN" is a text to a spreadsheet.

Scales are never mixed in silence. A wide column carries its unit (primary_root_length_mm), so that images without a
scale fill columns of their own (primary_root_length_px), and `scale_source` and `mm_per_px` stand in every row.

A text that a spreadsheet would run as a formula (OWASP, CSV injection: it begins with = + - @ or a tab) gets an
apostrophe in front, which spreadsheets hide.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from thale.exports.names import image_name, model_names, replace_unprintable, trait_column
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Flag, Phenotype, Plant, TraitLevel, TraitValue

LONG_COLUMNS = (
    "image",
    "sha256",
    "level",
    "plant",
    "trait",
    "value",
    "unit",
    "ontology_id",
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
"""The columns of a long table, in their order."""

WIDE_COLUMNS = ("image", "sha256", "plant", "flags", "scale_source", "mm_per_px")
"""The columns of a wide table before its traits; the traits follow in the order of `TRAITS`."""

_ORDER = {name: index for index, name in enumerate(TRAITS)}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Cell = str | float | int | None


def long_csv(phenotypes: Iterable[Phenotype]) -> str:
    """Return one row for each trait of each plant, and one for each of each plate (`level`; `plant` is empty).

    The rows of a plate carry the flags of its image too.
    """
    rows: list[Sequence[Cell]] = []
    for phenotype in phenotypes:
        for plant in phenotype.plants:
            rows += [_long_row(phenotype, trait, "plant", plant.id) for trait in plant.traits]
        rows += [_long_row(phenotype, trait, "plate", None, phenotype.flags) for trait in phenotype.traits]
    return _to_csv(LONG_COLUMNS, rows)


def wide_csv(phenotypes: Iterable[Phenotype]) -> str:
    """Return one row for each plant, its traits in columns that carry their unit.

    An image without plants has one row with an empty `plant`, so that no photograph is missing from the table.
    """
    phenotypes = tuple(phenotypes)
    columns = _trait_columns(phenotypes)
    rows = [_wide_row(phenotype, plant, columns) for phenotype in phenotypes for plant in (phenotype.plants or (None,))]
    return _to_csv((*WIDE_COLUMNS, *columns), rows)


def _long_row(
    phenotype: Phenotype, trait: TraitValue, level: TraitLevel, plant: int | None, flags: tuple[Flag, ...] = ()
) -> Sequence[Cell]:
    provenance = phenotype.provenance
    return (
        image_name(phenotype.image),
        phenotype.image.sha256,
        level,
        plant,
        trait.trait,
        trait.value,
        trait.unit,
        trait.ontology_id,
        trait.quality,
        _join_codes((*trait.flags, *flags)),
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
    values = {trait_column(trait.trait, trait.unit): trait.value for trait in traits}
    flags = (*phenotype.flags, *(plant.flags if plant else ()), *(flag for trait in traits for flag in trait.flags))
    return (
        image_name(phenotype.image),
        phenotype.image.sha256,
        plant.id if plant else None,
        _join_codes(flags),
        phenotype.scale.source,
        phenotype.scale.mm_per_px,
        *(values.get(column) for column in columns),
    )


def _trait_columns(phenotypes: Iterable[Phenotype]) -> list[str]:
    """Return the columns that are needed: traits in the order of `TRAITS`, of one trait mm before px."""
    present = {
        (trait.trait, trait.unit) for phenotype in phenotypes for plant in phenotype.plants for trait in plant.traits
    }
    ordered = sorted(present, key=lambda item: (_ORDER.get(item[0], len(_ORDER)), *item))
    return list(dict.fromkeys(trait_column(trait, unit) for trait, unit in ordered))


def _join_codes(flags: Iterable[Flag]) -> str:
    return ";".join(dict.fromkeys(flag.code for flag in flags))


def _to_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_format_cell(value) for value in row] for row in rows)
    return table.getvalue()


def _format_cell(value: Cell) -> str | int:
    """Return a cell: seven digits of a measured number, text that no spreadsheet runs, nothing for the unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, str):
        text = replace_unprintable(value)
        return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
    return value
