"""Conversion of a phenotype to an RSML document.

Roots are nested below their parents, traits are properties, and landmarks and flags are annotations.
"""

import math
from collections import Counter
from collections.abc import Sequence

from thale.exports.names import image_name, trait_column
from thale.exports.rsml.document import (
    XY,
    Annotation,
    ImageReference,
    Metadata,
    Property,
    PropertyDefinition,
    RsmlDocument,
    RsmlPlant,
    RsmlRoot,
)
from thale.schemas import Flag, Phenotype, Plant, Root, Scale, TraitValue

PRIMARY_ROOT = "PO:0020127"
LATERAL_ROOT = "PO:0020121"

_SOFTWARE = "thale"
_DECIMALS = 3
"""Precision of coordinates: 0.001 px is far below the measurement accuracy."""


def from_phenotype(phenotype: Phenotype) -> RsmlDocument:
    """Return a phenotype as an RSML document.

    Properties whose names include a unit (primary_root_length_mm) are traits. An unknown trait has no property.
    `length` is the length of a root in px. `software-confidence` is the term of the RSML thesaurus for a confidence
    from 0 to 1. Flags with a position are annotations. The property `flags` lists the codes of all flags. A root whose
    parent is missing becomes a root of order 1, so that no root is lost.
    """
    unit, resolution = _unit_and_resolution(phenotype.scale)
    name = image_name(phenotype.image)
    return RsmlDocument(
        metadata=Metadata(
            unit=unit,
            resolution=resolution,
            last_modified=phenotype.provenance.created,
            software=f"{_SOFTWARE} {phenotype.provenance.package_version}".strip(),
            file_key=phenotype.image.sha256,
            image=ImageReference(name, phenotype.image.sha256),
            property_definitions=_property_definitions(phenotype),
        ),
        plants=_plants(phenotype.plants),
        properties=(*_trait_properties(phenotype.traits), *_flag_codes(phenotype.flags)),
        annotations=_flag_annotations(phenotype.flags),
    )


def _unit_and_resolution(scale: Scale) -> tuple[str, float]:
    """Return the unit and the number of pixels per unit."""
    is_known = scale.is_known and math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0
    return ("mm", 1 / scale.mm_per_px) if is_known else ("pixel", 1.0)


def _property_definitions(phenotype: Phenotype) -> tuple[PropertyDefinition, ...]:
    traits = [*phenotype.traits, *(trait for plant in phenotype.plants for trait in plant.traits)]
    units = {trait_column(trait.trait, trait.unit): trait.unit for trait in traits if not math.isnan(trait.value)}
    return (
        PropertyDefinition("length", "real", "pixel"),
        PropertyDefinition("software-confidence", "real"),
        PropertyDefinition("flags", "string"),
        *(PropertyDefinition(name, "real", unit or None) for name, unit in units.items()),
    )


def _plants(plants: Sequence[Plant]) -> tuple[RsmlPlant, ...]:
    counts = Counter(root.id for plant in plants for root in plant.roots)
    return tuple(_plant(plant, unique=max(counts.values(), default=1) == 1) for plant in plants)


def _plant(plant: Plant, unique: bool) -> RsmlPlant:
    root_flags = {flag for root in plant.roots for flag in root.flags}
    return RsmlPlant(
        id=str(plant.id),
        label=f"plant {plant.id}",
        roots=_nest_roots(plant, unique),
        properties=(*_trait_properties(plant.traits), *_flag_codes(plant.flags)),
        annotations=(
            *(
                Annotation(landmark.kind, (_round_point((landmark.x, landmark.y)),), f"{landmark.score:.3f}", _SOFTWARE)
                for landmark in plant.landmarks
            ),
            *_flag_annotations([flag for flag in plant.flags if flag not in root_flags]),
        ),
    )


def _nest_roots(plant: Plant, unique: bool) -> tuple[RsmlRoot, ...]:
    """Return the roots of a plant nested below their parents. Ids shared by plants get the plant number as prefix."""
    roots = plant.roots
    index_of = {root.id: index for index, root in reversed(list(enumerate(roots)))}
    parents = [index_of.get(root.parent) if root.parent is not None else None for root in roots]
    parents = [None if _is_circular(index, parents) else parent for index, parent in enumerate(parents)]
    children: dict[int | None, list[int]] = {}
    for index, parent in enumerate(parents):
        children.setdefault(parent, []).append(index)

    def build(index: int) -> RsmlRoot:
        own_id = roots[index].id if unique else f"{plant.id}.{index + 1}"
        return _root(roots[index], own_id, tuple(build(child) for child in children.get(index, ())))

    return tuple(build(index) for index in children.get(None, ()))


def _is_circular(start: int, parents: Sequence[int | None]) -> bool:
    """Return True if a root is its own ancestor."""
    current, visited = parents[start], set[int]()
    while current is not None and current not in visited:
        if current == start:
            return True
        visited.add(current)
        current = parents[current]
    return False


def _root(root: Root, own_id: str, laterals: tuple[RsmlRoot, ...]) -> RsmlRoot:
    return RsmlRoot(
        id=own_id,
        label="primary" if root.order == 1 else "lateral",
        accession=PRIMARY_ROOT if root.order == 1 else LATERAL_ROOT,
        points=tuple(_round_point(point) for point in root.points),
        properties=(
            Property("length", f"{root.length_px:.3f}"),
            Property("software-confidence", f"{root.confidence:.4f}"),
            *_flag_codes(root.flags),
        ),
        annotations=_flag_annotations(root.flags),
        roots=laterals,
    )


def _round_point(point: XY) -> XY:
    return round(point[0], _DECIMALS), round(point[1], _DECIMALS)


def _trait_properties(traits: Sequence[TraitValue]) -> tuple[Property, ...]:
    return tuple(
        Property(trait_column(trait.trait, trait.unit), f"{trait.value:.6g}")
        for trait in traits
        if math.isfinite(trait.value)
    )


def _flag_codes(flags: Sequence[Flag]) -> tuple[Property, ...]:
    return (Property("flags", " ".join(dict.fromkeys(flag.code for flag in flags))),) if flags else ()


def _flag_annotations(flags: Sequence[Flag]) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(flag.code, (_round_point((flag.at.x, flag.at.y)),), flag.message, _SOFTWARE)
        for flag in flags
        if flag.at is not None
    )
