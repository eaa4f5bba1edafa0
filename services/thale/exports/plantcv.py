"""PlantCV JSON, which `plantcv-utils json2csv` of PlantCV 4 converts to CSV.

The format is that of merged results (plantcv.utils.converters.json2csv). `variables` declares each name as metadata or
observation. Each image is an entity with `metadata`, whose values are lists, and with `observations` by sample. A plant
is a sample. Each plate of an image with several plates is an entity. Unknown values are null, which json2csv writes as
"none" in metadata and as an empty cell in observations.

json2csv writes no row for a sample without a known value, so each sample has `flags`, which is always known. It writes
metadata as columns. Totals of the plate are metadata, with the unit in the name, so that scales are not mixed in one
column. An image without plants has no samples, and therefore no row.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from thale.exports.names import flag_codes, image_name, model_names, trait_column
from thale.phenotyping.plates import plate_number, split_plates
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Phenotype, Plant, TraitValue

_TEXT, _NUMBER = "<class 'str'>", "<class 'float'>"
_NO_UNIT = "none"


def write(phenotypes: Iterable[Phenotype]) -> bytes:
    """Return the results of one or more images in the format of PlantCV, as JSON in ASCII."""
    return "".join(chunks(phenotypes)).encode()


def chunks(phenotypes: Iterable[Phenotype]) -> Iterator[str]:
    """Yield the same document piece by piece. Only one phenotype is in memory."""
    variables: dict[str, dict[str, str]] = {}
    yield '{"entities": ['
    parts = (part for phenotype in phenotypes for part in split_plates(phenotype))
    for index, phenotype in enumerate(parts):
        entity = {"metadata": _metadata(phenotype), "observations": _observations(phenotype)}
        for name, value in entity["metadata"].items():
            variables[name] = {"category": "metadata", "datatype": value["datatype"]}
        for sample in entity["observations"].values():
            for name, value in sample.items():
                variables[name] = {"category": "observations", "datatype": value["datatype"]}
        yield (", " if index else "") + _dump(entity)
    yield f'], "variables": {_dump(variables)}}}'


def _dump(value: object) -> str:
    """Return JSON in ASCII, because json2csv reads the file in the encoding of the locale."""
    return json.dumps(value, allow_nan=False)


def _metadata(phenotype: Phenotype) -> dict[str, dict[str, Any]]:
    entries: Sequence[tuple[str, str, str, str | float | None]] = (
        ("image", "image file", _TEXT, image_name(phenotype.image)),
        ("id", "image digest, SHA-256", _TEXT, phenotype.image.sha256),
        ("plate", "number of the plate in the image", _NUMBER, plate_number(phenotype)),
        ("mm_per_px", "millimetres per pixel", _NUMBER, _finite_or_none(phenotype.scale.mm_per_px)),
        ("scale_source", "source of the scale", _TEXT, phenotype.scale.source),
        ("image_flags", "flags of the image", _TEXT, flag_codes(phenotype.flags) or None),
        ("models", "models and versions", _TEXT, model_names(phenotype)),
        ("software", "software", _TEXT, f"thale {phenotype.provenance.package_version}"),
        ("measured", "date and time of measurement", _TEXT, phenotype.provenance.created),
        *(
            (
                trait_column(trait.trait, trait.unit),
                f"{_trait_label(trait.trait)} ({trait.unit})",
                _NUMBER,
                _finite_or_none(trait.value),
            )
            for trait in phenotype.traits
        ),
    )
    return {name: {"label": label, "datatype": datatype, "value": [value]} for name, label, datatype, value in entries}


def _observations(phenotype: Phenotype) -> dict[str, dict[str, dict[str, Any]]]:
    method = f"thale {phenotype.provenance.package_version}"
    return {f"plant_{plant.id}": _sample(plant, method) for plant in phenotype.plants}


def _sample(plant: Plant, method: str) -> dict[str, dict[str, Any]]:
    return {**{trait.trait: _observation(trait, method) for trait in plant.traits}, "flags": _flags(plant, method)}


def _observation(trait: TraitValue, method: str) -> dict[str, Any]:
    return {
        "trait": _trait_label(trait.trait),
        "method": method,
        "scale": trait.unit,
        "datatype": _NUMBER,
        "value": _finite_or_none(trait.value),
        "label": trait.unit,
    }


def _flags(plant: Plant, method: str) -> dict[str, Any]:
    """Return the flags of a plant and of its traits as an observation."""
    codes = flag_codes([*plant.flags, *(flag for trait in plant.traits for flag in trait.flags)])
    return {
        "trait": "Flags of the plant and of its traits",
        "method": method,
        "scale": _NO_UNIT,
        "datatype": _TEXT,
        "value": codes or "none",
        "label": _NO_UNIT,
    }


def _trait_label(trait: str) -> str:
    return TRAITS[trait].label if trait in TRAITS else trait.replace("_", " ")


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
