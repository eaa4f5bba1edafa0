"""Dependencies between traits: a trait is never surer than the traits from which it is computed."""

from collections.abc import Mapping, Sequence

from thale.schemas import Flag, TraitValue

DEPENDENCIES: Mapping[str, tuple[str, ...]] = {
    "total_root_length": ("primary_root_length", "lateral_root_length"),
    "mean_lateral_root_length": ("lateral_root_length", "lateral_root_count"),
    "lateral_density": ("lateral_root_count", "primary_root_length"),
    "branched_zone_length": ("lateral_root_count", "primary_root_length"),
    "lateral_density_branched_zone": ("lateral_root_count", "branched_zone_length"),
    "primary_root_angle": ("primary_root_length",),
    "primary_root_tortuosity": ("primary_root_length",),
    "root_system_width": ("primary_root_length",),
    "root_system_depth": ("primary_root_length",),
    "root_width_depth_ratio": ("root_system_width", "root_system_depth"),
    "convex_hull_area": ("root_system_width", "root_system_depth"),
    "primary_tip_x": ("primary_root_length",),
    "primary_tip_y": ("primary_root_length",),
    "primary_tip_from_base_x": ("primary_root_length",),
    "primary_tip_from_base_y": ("primary_root_length",),
    "primary_root_diameter": ("primary_root_length",),
    "root_diameter": ("primary_root_length",),
    "lateral_insertion_angle": ("lateral_root_count",),
    "root_shoot_area_ratio": ("total_root_length", "shoot_area"),
}
"""The traits on which each trait depends directly. Traits without a row depend on none."""

PLATE_DEPENDENCIES: Mapping[str, tuple[str, ...]] = {
    "plate_total_root_length": ("total_root_length",),
    "plate_lateral_root_count": ("lateral_root_count",),
    "plate_shoot_area": ("shoot_area",),
}
"""The traits of the plants on which each trait of the plate depends."""


def limit_by_dependencies(traits: Sequence[TraitValue]) -> tuple[TraitValue, ...]:
    """Return the traits of a plant, `uncertain` instead of `ok` if a trait on which they depend is not `ok`."""
    by_name = {trait.trait: trait for trait in traits}
    limited: dict[str, TraitValue] = {}

    def limit(trait: TraitValue) -> TraitValue:
        if trait.trait not in limited:
            needed = [by_name[name] for name in DEPENDENCIES.get(trait.trait, ()) if name in by_name]
            doubtful = [other.trait for other in needed if limit(other).quality != "ok"]
            limited[trait.trait] = _lower(trait, doubtful)
        return limited[trait.trait]

    return tuple(limit(trait) for trait in traits)


def limit_plate_traits(traits: Sequence[TraitValue], plants: Sequence[Sequence[TraitValue]]) -> tuple[TraitValue, ...]:
    """Return the traits of a plate, `uncertain` instead of `ok` if the trait of a plant is not `ok`.

    A plant without roots or shoot has no such trait to depend on: `ungerminated` seeds have none.
    """
    limited = []
    for trait in traits:
        names = PLATE_DEPENDENCIES.get(trait.trait, ())
        doubtful = {
            value.trait for plant in plants for value in plant if value.trait in names and value.quality == "uncertain"
        }
        limited.append(_lower(trait, sorted(doubtful)))
    return tuple(limited)


def _lower(trait: TraitValue, doubtful: Sequence[str]) -> TraitValue:
    if trait.quality != "ok" or not doubtful:
        return trait
    names = ", ".join(name.replace("_", " ") for name in doubtful)
    flag = Flag(code="depends_on_uncertain", message=f"the value depends on another that is not certain: {names}")
    return trait.model_copy(update={"quality": "uncertain", "flags": (*trait.flags, flag)})
