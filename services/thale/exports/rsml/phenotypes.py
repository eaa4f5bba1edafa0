"""Conversion of a phenotype to an RSML document that archiDART, RootNav and SmartRoot read.

archiDART 3.4 treats every child of the scene as a plant, and every child of a plant as a root. It fails on properties
or annotations of a scene or of a plant, and on a plant without roots. All of these are therefore elsewhere (ADR 0119):

    traits, flags and landmarks of a plant      properties and annotations of its first root
    traits and flags of the image, provenance   defaults of property definitions, in the metadata
    plants without roots                        the property definition `plants_without_roots`

RSML defines the default of a property as the value for all plants and roots without the property.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from thale.exports.names import image_name
from thale.exports.rsml.document import (
    XY,
    Annotation,
    Function,
    ImageReference,
    Metadata,
    Property,
    RsmlDocument,
    RsmlPlant,
    RsmlRoot,
    Sample,
)
from thale.exports.rsml.property_definitions import (
    DIAMETER,
    DIAMETER_IN_MM,
    INSERTION_ANGLE,
    property_definitions,
    trait_properties,
)
from thale.schemas import Flag, Phenotype, Plant, Root, Scale

PRIMARY_ROOT = "PO:0020127"
LATERAL_ROOT = "PO:0020121"

SOFTWARE = "thale"
_DECIMALS = 3
"""Precision of coordinates: 0.001 px is far below the measurement accuracy."""


def has_roots(phenotype: Phenotype) -> bool:
    """Return True if a plant has a root. A file without roots is invalid by the schema, and archiDART rejects it."""
    return any(_drawable(plant) for plant in phenotype.plants)


def from_phenotype(phenotype: Phenotype) -> RsmlDocument:
    """Return a phenotype as an RSML document.

    Properties whose names include a unit (primary_root_length_mm) are traits of the plant. An unknown trait has no
    property. `length` is the length of a root in px. `software-confidence` is the term of the RSML thesaurus for a
    confidence from 0 to 1. Flags with a position are annotations. The properties `flags` and `plant_flags` list the
    codes of all flags. A root whose parent is missing becomes a root of order 1, so that no root is lost.
    """
    unit, resolution = _unit_and_resolution(phenotype.scale)
    return RsmlDocument(
        metadata=Metadata(
            unit=unit,
            resolution=resolution,
            last_modified=phenotype.provenance.created,
            software=f"{SOFTWARE} {phenotype.provenance.package_version}".strip(),
            file_key=phenotype.image.sha256,
            image=ImageReference(image_name(phenotype.image), phenotype.image.sha256),
            property_definitions=property_definitions(phenotype, [p.id for p in phenotype.plants if not _drawable(p)]),
        ),
        plants=_plants([plant for plant in phenotype.plants if _drawable(plant)], phenotype.scale),
    )


def _drawable(plant: Plant) -> bool:
    """Return True if a root of the plant has at least two points, as the schema requires."""
    return any(len(root.points) > 1 for root in plant.roots)


def _unit_and_resolution(scale: Scale) -> tuple[str, float]:
    """Return the unit and the number of pixels per unit."""
    is_known = scale.is_known and math.isfinite(scale.mm_per_px) and scale.mm_per_px > 0
    return ("mm", 1 / scale.mm_per_px) if is_known else ("pixel", 1.0)


def _plants(plants: Sequence[Plant], scale: Scale) -> tuple[RsmlPlant, ...]:
    counts = Counter(root.id for plant in plants for root in plant.roots)
    unique = max(counts.values(), default=1) == 1
    return tuple(
        RsmlPlant(id=str(plant.id), label=f"plant {plant.id}", roots=_plant_roots(plant, unique, scale))
        for plant in plants
    )


def _plant_roots(plant: Plant, unique: bool, scale: Scale) -> tuple[RsmlRoot, ...]:
    """Return the nested roots of a plant. The first one has the properties and annotations of the plant."""
    first, *others = _nest_roots(plant, unique, scale)
    root_flags = {flag for root in plant.roots for flag in root.flags}
    properties = (*trait_properties(plant.traits), *_flag_codes("plant_flags", plant.flags))
    landmarks = tuple(
        Annotation(landmark.kind, (_round_point((landmark.x, landmark.y)),), f"{landmark.score:.3f}", SOFTWARE)
        for landmark in plant.landmarks
    )
    flags = _flag_annotations([flag for flag in plant.flags if flag not in root_flags])
    return (
        replace(
            first,
            properties=(*first.properties, *properties),
            annotations=(*first.annotations, *landmarks, *flags),
        ),
        *others,
    )


def _nest_roots(plant: Plant, unique: bool, scale: Scale) -> tuple[RsmlRoot, ...]:
    """Return the roots of a plant nested below their parents. Ids shared by plants get the plant number as prefix."""
    roots = [root for root in plant.roots if len(root.points) > 1]
    index_of = {root.id: index for index, root in reversed(list(enumerate(roots)))}
    parents = [index_of.get(root.parent) if root.parent is not None else None for root in roots]
    parents = [None if _is_circular(index, parents) else parent for index, parent in enumerate(parents)]
    children: dict[int | None, list[int]] = {}
    for index, parent in enumerate(parents):
        children.setdefault(parent, []).append(index)

    def build(index: int) -> RsmlRoot:
        own_id = roots[index].id if unique else f"{plant.id}.{index + 1}"
        return _root(roots[index], own_id, tuple(build(child) for child in children.get(index, ())), scale)

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


def _root(root: Root, own_id: str, laterals: tuple[RsmlRoot, ...], scale: Scale) -> RsmlRoot:
    angle = root.insertion_angle_deg
    return RsmlRoot(
        id=own_id,
        label="primary" if root.order == 1 else "lateral",
        accession=PRIMARY_ROOT if root.order == 1 else LATERAL_ROOT,
        points=tuple(_round_point(point) for point in root.points),
        properties=(
            Property("length", f"{root.length_px:.3f}"),
            Property("software-confidence", f"{root.confidence:.4f}"),
            *((Property(INSERTION_ANGLE, f"{angle:.2f}"),) if math.isfinite(angle) else ()),
            *_flag_codes("flags", root.flags),
        ),
        functions=_diameters(root, scale),
        annotations=_flag_annotations(root.flags),
        roots=laterals,
    )


def _diameters(root: Root, scale: Scale) -> tuple[Function, ...]:
    """Return the mean diameter as functions with a sample at each point, or none if it is unknown.

    `diameter` is in pixels, as in the RSML thesaurus and in SmartRoot. archiDART multiplies diameters by the unit of
    their definition and not by the resolution, and reads the last function named diameter or rootDiameter.
    """
    if not math.isfinite(root.diameter_px):
        return ()
    values = [(DIAMETER, root.diameter_px)]
    if scale.is_known:
        values.append((DIAMETER_IN_MM, root.diameter_px * scale.mm_per_px))
    return tuple(Function(name, "polyline", (Sample(round(value, 4)),) * len(root.points)) for name, value in values)


def _round_point(point: XY) -> XY:
    return round(point[0], _DECIMALS), round(point[1], _DECIMALS)


def _flag_codes(name: str, flags: Sequence[Flag]) -> tuple[Property, ...]:
    return (Property(name, " ".join(dict.fromkeys(flag.code for flag in flags))),) if flags else ()


def _flag_annotations(flags: Sequence[Flag]) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(flag.code, (_round_point((flag.at.x, flag.at.y)),), flag.message, SOFTWARE)
        for flag in flags
        if flag.at is not None
    )
