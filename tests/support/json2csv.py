"""Model of `plantcv-utils json2csv`: its reading rules for single values, without PlantCV and pandas.

The rules are those of plantcv.utils.converters in PlantCV 4.5 to 4.11.3. services/tests/exports/test_plantcv.py
compares the model with PlantCV where that is installed.
"""

import json
from typing import Any

_SCALARS = {"<class 'bool'>", "<class 'int'>", "<class 'float'>", "<class 'str'>"}

Row = dict[str, str]


def read_single_values(data: bytes) -> list[Row]:
    """Return the rows of PREFIX-single-value-traits.csv: a dictionary of text per image and sample, in sorted order.

    Raises:
        KeyError, TypeError, ValueError: If json2csv fails.
    """
    document = json.loads(data.decode("ascii"), parse_constant=_reject_constant)
    variables = document["variables"]
    metadata_names = [name for name, variable in variables.items() if variable["category"] == "metadata"]
    scalar_names = [
        name
        for name, variable in variables.items()
        if variable["category"] != "metadata" and variable["datatype"] in _SCALARS
    ]
    rows: dict[tuple[str, ...], Row] = {}
    for entity in document["entities"]:
        metadata = [_metadata_text(name, entity["metadata"]) for name in metadata_names]
        for sample, observations in entity["observations"].items():
            values = _known_values(observations, scalar_names)
            if values:  # the pivot table has no row for a sample without a known value
                key = (*metadata, sample)
                row = rows.setdefault(key, dict(zip([*metadata_names, "sample"], key, strict=True)))
                row.update(values)
    return [rows[key] for key in sorted(rows)]


def _metadata_text(name: str, metadata: dict[str, Any]) -> str:
    """Return the values of a metadata entry. A value that is not a list fails, or is split into its characters."""
    if name not in metadata:
        return "NA"
    values = ["none" if value is None else value for value in metadata[name]["value"]]
    return "_".join(map(str, sorted(set(values))))


def _known_values(observations: dict[str, Any], names: list[str]) -> Row:
    values: Row = {}
    for name in names:
        value, label = "NA", "NA"
        if name in observations:
            value, label = observations[name]["value"], observations[name]["label"]
        if value is not None:
            values[f"{name}_{label}"] = str(value)
    return values


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
