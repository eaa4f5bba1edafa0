"""PlantCV JSON, which `plantcv-utils json2csv` and notebooks for PlantCV can read.

The format is that of the merged results of PlantCV 4 (plantcv.utils.converters.json2csv). `variables` declares each
name as metadata or observation. Each image is an entity with `metadata` and with `observations` by sample. A plant is a
sample. Unknown values are null. Plate totals are metadata, because as observations they would be empty for each plant.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from thale.exports.names import image_name, model_names
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Phenotype, Plant, TraitValue


def write(*phenotypes: Phenotype) -> bytes:
    """Return the results of one or more images in the format of PlantCV, as JSON in UTF-8."""
    entities = [
        {"metadata": _metadata(phenotype), "observations": _observations(phenotype)} for phenotype in phenotypes
    ]
    variables: dict[str, dict[str, str]] = {}
    for entity in entities:
        for name, value in entity["metadata"].items():
            variables[name] = {"category": "metadata", "datatype": value["datatype"]}
        for sample in entity["observations"].values():
            for name, value in sample.items():
                variables[name] = {"category": "observations", "datatype": value["datatype"]}
    return json.dumps({"variables": variables, "entities": entities}, ensure_ascii=False, allow_nan=False).encode()


def _metadata(phenotype: Phenotype) -> dict[str, dict[str, Any]]:
    entries: Sequence[tuple[str, str, str | float | None]] = (
        ("image", "image file", image_name(phenotype.image)),
        ("id", "image digest, SHA-256", phenotype.image.sha256),
        ("mm_per_px", "millimetres per pixel", _finite_or_none(phenotype.scale.mm_per_px)),
        ("scale_source", "source of the scale", phenotype.scale.source),
        ("models", "models and versions", model_names(phenotype)),
        ("software", "software", f"thale {phenotype.provenance.package_version}"),
        ("measured", "date and time of measurement", phenotype.provenance.created),
        *(
            (trait.trait, f"{_trait_label(trait.trait)} ({trait.unit})", _finite_or_none(trait.value))
            for trait in phenotype.traits
        ),
    )
    return {name: {"label": label, "datatype": _datatype(value), "value": value} for name, label, value in entries}


def _observations(phenotype: Phenotype) -> dict[str, dict[str, dict[str, Any]]]:
    method = f"thale {phenotype.provenance.package_version}"
    return {f"plant_{plant.id}": _sample(plant, method) for plant in phenotype.plants}


def _sample(plant: Plant, method: str) -> dict[str, dict[str, Any]]:
    return {trait.trait: _observation(trait, method) for trait in plant.traits}


def _observation(trait: TraitValue, method: str) -> dict[str, Any]:
    return {
        "trait": _trait_label(trait.trait),
        "method": method,
        "scale": trait.unit,
        "datatype": _datatype(0.0),
        "value": _finite_or_none(trait.value),
        "label": trait.unit,
    }


def _trait_label(trait: str) -> str:
    return TRAITS[trait].label if trait in TRAITS else trait.replace("_", " ")


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _datatype(value: str | float | None) -> str:
    return "<class 'str'>" if isinstance(value, str) else "<class 'float'>"
