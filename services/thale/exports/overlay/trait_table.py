"""Table of the main traits below the photograph: a column for each plant, with values, 90 % intervals and quality."""

import math
from collections.abc import Sequence

from thale.exports.overlay.canvas import font
from thale.schemas import Phenotype, Plant, TraitValue

Row = list[tuple[float, str]]
"""Texts of one row with the distance of each from the left margin."""

_TRAITS = (
    ("primary_root_length", "primary root"),
    ("total_root_length", "all roots"),
    ("lateral_root_count", "laterals"),
    ("shoot_area", "shoot area"),
)
_GAP = 26.0
_MAX_BLOCKS = 3


def trait_rows(phenotype: Phenotype, max_width: float, text_size: float) -> list[Row]:
    """Return the rows of the table; none if no value has an interval.

    `~` marks a value that is not certain, and `?` an unknown one. Plants that do not fit into one row are in
    further blocks of rows, up to `_MAX_BLOCKS`.

    Args:
        phenotype: The measurement.
        max_width: Width of the table, in the unit of `text_size`.
        text_size: Size of the text.
    """
    plants = phenotype.plants
    if not any(trait.interval for plant in plants for trait in plant.traits):
        return []
    text_width = font(text_size).getlength
    labels = [f"{label} ({_unit(plants, name)})" if _unit(plants, name) else label for name, label in _TRAITS]
    first_width = max(text_width(text) for text in (*labels, "plant")) + _GAP
    columns = [_column(plant) for plant in plants]
    width = max(text_width(text) for column in columns for text in column) + _GAP
    per_block = max(1, int((max_width - first_width) // width))
    rows: list[Row] = []
    for start in range(0, min(len(columns), _MAX_BLOCKS * per_block), per_block):
        block = columns[start : start + per_block]
        for number, label in enumerate(("plant", *labels)):
            cells = [(first_width + index * width, column[number]) for index, column in enumerate(block)]
            rows.append([(0.0, label), *cells])
    hidden = len(columns) - _MAX_BLOCKS * per_block
    note = "[ ]: 90 % interval   ~: not certain   ?: unknown"
    rows.append([(0.0, f"{note}   and {hidden} more plants" if hidden > 0 else note)])
    return rows


def format_value(trait: TraitValue) -> str:
    """Return a value with its interval, such as 72.4 [70.9, 74.0]; `~` if it is not certain, `?` if it is unknown."""
    if not math.isfinite(trait.value):
        return "?"
    digits = 0 if trait.trait == "lateral_root_count" else 1
    mark = "" if trait.quality == "ok" else "~"
    if trait.interval is None:
        return f"{mark}{trait.value:.{digits}f}"
    low, high = trait.interval
    return f"{mark}{trait.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _column(plant: Plant) -> list[str]:
    by_name = {trait.trait: trait for trait in plant.traits}
    return [str(plant.id), *(format_value(by_name[name]) if name in by_name else "" for name, _ in _TRAITS)]


def _unit(plants: Sequence[Plant], name: str) -> str:
    """Return the unit of a trait; empty for a count."""
    units = [trait.unit for plant in plants for trait in plant.traits if trait.trait == name]
    return units[0] if units and units[0] != "1" else ""
