"""Definitions of the properties and functions in the RSML files of thale.

The defaults of definitions are the traits and flags of the image, and its provenance: a default is the value for all
plants and roots of the file, and every reader ignores it or saves it.
"""

import math
from collections.abc import Sequence

from thale.exports.names import model_names, trait_column
from thale.exports.rsml.document import Property, PropertyDefinition
from thale.schemas import Phenotype, TraitValue

DIAMETER, DIAMETER_IN_MM = "diameter", "rootDiameter"
INSERTION_ANGLE = "insertion_angle_deg"


def property_definitions(phenotype: Phenotype, without_roots: Sequence[int]) -> tuple[PropertyDefinition, ...]:
    """Return the definitions of a file. `without_roots` lists the plants that are not in it."""
    traits = [trait for plant in phenotype.plants for trait in plant.traits]
    units = {trait_column(trait.trait, trait.unit): trait.unit for trait in traits if math.isfinite(trait.value)}
    diameter_in_mm = (PropertyDefinition(DIAMETER_IN_MM, "real", "mm"),) if phenotype.scale.is_known else ()
    return (
        PropertyDefinition("length", "real", "pixel"),
        PropertyDefinition("software-confidence", "real"),
        PropertyDefinition("flags", "string"),
        PropertyDefinition("plant_flags", "string"),
        PropertyDefinition(INSERTION_ANGLE, "real", "degree"),
        *(PropertyDefinition(name, "real", unit or None) for name, unit in units.items()),
        *_plate_definitions(phenotype),
        *_provenance_definitions(phenotype, without_roots),
        PropertyDefinition(DIAMETER, "real", "pixel"),
        *diameter_in_mm,
    )


def _plate_definitions(phenotype: Phenotype) -> tuple[PropertyDefinition, ...]:
    return tuple(
        PropertyDefinition(trait_column(trait.trait, trait.unit), "real", trait.unit, _number(trait.value))
        for trait in phenotype.traits
        if math.isfinite(trait.value)
    )


def _provenance_definitions(phenotype: Phenotype, without_roots: Sequence[int]) -> tuple[PropertyDefinition, ...]:
    texts = {
        "plants_without_roots": " ".join(map(str, without_roots)),
        "image_flags": "; ".join(f"{flag.code}: {flag.message}" for flag in phenotype.flags),
        "scale_source": phenotype.scale.source,
        "models": model_names(phenotype),
        "model_digests": ";".join(model.digest for model in phenotype.provenance.models),
        "config_digest": phenotype.provenance.config_digest,
    }
    return tuple(PropertyDefinition(name, "string", None, text) for name, text in texts.items() if text)


def trait_properties(traits: Sequence[TraitValue]) -> tuple[Property, ...]:
    """Return the known traits of a plant as properties whose names include the unit."""
    return tuple(
        Property(trait_column(trait.trait, trait.unit), _number(trait.value))
        for trait in traits
        if math.isfinite(trait.value)
    )


def _number(value: float) -> str:
    return f"{value:.6g}"
