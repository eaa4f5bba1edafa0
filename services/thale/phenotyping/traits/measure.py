"""Measurement of traits: applies the functions of `TRAITS` to plants and plates, and converts units.

The functions work in pixels. This module converts their values once, by the scale. Without a scale, every length
remains in pixels, with the unit `px`. A length in pixels with the unit mm would be a silent error.
"""

import math
from collections.abc import Sequence
from typing import Literal

from thale.phenotyping.traits import shoot
from thale.phenotyping.traits.definitions import UNITS, Basis, Dimension, Trait
from thale.phenotyping.traits.length import lateral_roots
from thale.phenotyping.traits.table import PLANT_TRAITS, PLATE_TRAITS
from thale.schemas import Flag, Plant, Plate, Root, Scale, TraitValue

_TRACING_FLAGS, _BASE_FLAGS = (
    {"methods_disagree", "tip_unconfirmed", "tip_shared", "lateral_longer", "root_in_other_lane"},
    {"crossing_by_lane", "base_inferred", "base_hidden"},
)
_LENGTH_FLAGS = {"root_unassigned"}
_OUTLINE_FLAGS = {"shoot_at_rim", "shoots_touch"}
_UNCERTAINTY_FLAGS: dict[Basis, set[str]] = {
    "primary": _TRACING_FLAGS | _BASE_FLAGS,
    "laterals": _TRACING_FLAGS | _LENGTH_FLAGS,
    "roots": _TRACING_FLAGS | _LENGTH_FLAGS | _BASE_FLAGS,
    "shoot": set(),
    "hypocotyl": _OUTLINE_FLAGS | _BASE_FLAGS,
    "leaves": _OUTLINE_FLAGS,
    "roots_and_shoot": _TRACING_FLAGS | _LENGTH_FLAGS | _BASE_FLAGS,
}
"""Flags of a plant that make a trait uncertain, by the basis of the trait."""

GATE_FLAGS = {
    *("no_plate", "round_plate", "not_a_plate", "not_a_photograph", "plate_cropped", "plate_edge_weak"),
    *("roots_grow_upwards", "very_low_resolution", "few_grey_levels", "clipped"),
}
"""Flags of the gate: reasons to doubt that the image shows one upright plate like those of the training (ADR 0115)."""

_FLAGS_OF_ALL_TRAITS = GATE_FLAGS | {"strong_compression"}
_FLAGS_OF_LATERALS = _FLAGS_OF_ALL_TRAITS | {"compression", "low_resolution"}
_IMAGE_FLAGS: dict[Basis, set[str]] = {
    "primary": _FLAGS_OF_ALL_TRAITS,
    "laterals": _FLAGS_OF_LATERALS,
    "roots": _FLAGS_OF_LATERALS,
    "shoot": _FLAGS_OF_ALL_TRAITS,
    "hypocotyl": _FLAGS_OF_ALL_TRAITS,
    "leaves": _FLAGS_OF_ALL_TRAITS,
    "roots_and_shoot": _FLAGS_OF_LATERALS,
}
"""Flags of the image that make a trait uncertain, by the basis of the trait (ADR 0112)."""

_FLAGS_FORCING_NAN = {"crossing", *_OUTLINE_FLAGS}
"""Flags for which a trait is NaN, because its value would be a guess."""

_ABSENCE_FLAGS = ("no_root", "ungerminated", "no_shoot")

DOUBT_FLAGS = frozenset().union(*_UNCERTAINTY_FLAGS.values(), *_IMAGE_FLAGS.values())
"""Flags of an image or plant that make at least one trait uncertain."""
UNKNOWN_FLAGS = frozenset({*_FLAGS_FORCING_NAN, *_ABSENCE_FLAGS}) | {
    trait.unknown.code for trait in PLANT_TRAITS if trait.unknown is not None
}
"""Flags that come with a value of NaN."""

_TILT_UNKNOWN_FLAG = Flag(
    code="tilt_unknown",
    message="no plate edge was found: the value is relative to the image's axes, whose angle to gravity is unknown",
)
_NO_SCALE_FLAG = Flag(code="no_scale", message="the scale is unknown: lengths are in pixels of the source image")


def measure(
    plant: Plant, scale: Scale, plate: Plate | None = None, image_flags: Sequence[Flag] = ()
) -> tuple[TraitValue, ...]:
    """Return all traits of one plant, in the order of `TRAITS`.

    Traits of an ambiguous root or of an organ that is not visible are NaN and flagged.

    Args:
        plant: The plant.
        scale: Scale of the image.
        plate: The plate, if one was found.
        image_flags: Flags of the image. Some of them make traits uncertain.
    """
    return tuple(_measure_trait(trait, plant, scale, plate, image_flags) for trait in PLANT_TRAITS)


def _measure_trait(
    trait: Trait, plant: Plant, scale: Scale, plate: Plate | None, image_flags: Sequence[Flag]
) -> TraitValue:
    doubts = [flag for flag in image_flags if flag.code in _IMAGE_FLAGS[trait.basis]]
    flags = [*_relevant_flags(plant, trait.basis), *doubts]
    if trait.uses_axes and plate is None:
        flags.append(_TILT_UNKNOWN_FLAG)
    is_invalid = any(flag.code in _FLAGS_FORCING_NAN for flag in flags)
    value = math.nan if is_invalid else _apply_scale(trait.function(plant, plate), trait.dimension, scale)
    if math.isnan(value):
        flags += [flag for flag in plant.flags if flag.code in _ABSENCE_FLAGS]
    if math.isnan(value) and trait.unknown is not None and len(flags) == len(doubts):
        flags.append(trait.unknown)
    is_from_outline = trait.basis == "hypocotyl" or (trait.basis == "leaves" and not shoot.has_leaf_tips(plant))
    quality: Literal["ok", "uncertain", "unknown"] = "uncertain" if flags or is_from_outline else "ok"
    return TraitValue(
        trait=trait.name,
        value=value,
        unit=trait.unit(scale),
        ontology_id=trait.ontology_id,
        ontology_relation=trait.ontology.relation if trait.ontology else None,
        ontology_qualifier=trait.ontology.qualifier if trait.ontology else None,
        quality="unknown" if math.isnan(value) else quality,
        flags=(*flags, *_scale_flags(trait.dimension, scale)),
    )


def _relevant_flags(plant: Plant, basis: Basis) -> list[Flag]:
    """Return the flags of the roots from which a trait is computed, and the plant's flags that make it uncertain."""
    roots: Sequence[Root] = plant.roots
    if basis == "primary":
        roots = [root for root in plant.roots if root.order == 1]
    elif basis == "laterals":
        roots = lateral_roots(plant)
    elif basis in ("shoot", "hypocotyl", "leaves"):
        roots = []
    flags = [flag for root in roots for flag in root.flags]
    return flags + [flag for flag in plant.flags if flag.code in _UNCERTAINTY_FLAGS[basis] and flag not in flags]


def measure_plate(
    plants: Sequence[Plant], scale: Scale, unassigned_px: float = 0.0, image_flags: Sequence[Flag] = ()
) -> tuple[TraitValue, ...]:
    """Return all traits of a plate. `unassigned_px` is the root length (source px) that belongs to no plant.

    `image_flags` are the flags of the image, of which some make traits uncertain.

    Totals are conserved: a root counts even if its plant is ambiguous. They are uncertain if the roots of a plant are
    not visible, or if the ridge filter does not confirm them. Without plants, they are unknown if the gate doubts the
    image, or if roots belong to no plant: a zero would mean that nothing grows there.
    """
    uncertainty_codes = {"no_root", *_TRACING_FLAGS, *_LENGTH_FLAGS}
    uncertainty_flags = [flag for plant in plants for flag in plant.flags if flag.code in uncertainty_codes]
    uncertainty_flags += [flag for flag in image_flags if flag.code == "no_plant"]
    is_doubted = any(flag.code in _FLAGS_OF_ALL_TRAITS for flag in image_flags)
    is_unknown = not plants and (is_doubted or unassigned_px > 0)
    values = []
    for trait in PLATE_TRAITS:
        is_of_roots = trait.name in ("plate_total_root_length", "plate_lateral_root_count")
        codes = _IMAGE_FLAGS["roots" if is_of_roots else "shoot"]
        doubts = [flag for flag in image_flags if flag.code in codes]
        flags = [*(uncertainty_flags if is_of_roots or not plants else ()), *doubts]
        value = math.nan if is_unknown else trait.function(plants, unassigned_px)
        quality: Literal["ok", "uncertain", "unknown"] = "uncertain" if flags else "ok"
        values.append(
            TraitValue(
                trait=trait.name,
                value=_apply_scale(value, trait.dimension, scale),
                unit=trait.unit(scale),
                ontology_id=trait.ontology_id,
                ontology_relation=trait.ontology.relation if trait.ontology else None,
                ontology_qualifier=trait.ontology.qualifier if trait.ontology else None,
                quality="unknown" if math.isnan(value) else quality,
                flags=(*flags, *_scale_flags(trait.dimension, scale)),
            )
        )
    return tuple(values)


def _apply_scale(value: float, dimension: Dimension, scale: Scale) -> float:
    return value * math.pow(scale.mm_per_px, UNITS[dimension][2]) if scale.is_known else value


def _scale_flags(dimension: Dimension, scale: Scale) -> tuple[Flag, ...]:
    return (_NO_SCALE_FLAG,) if UNITS[dimension][2] != 0 and not scale.is_known else ()
