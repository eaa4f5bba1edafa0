"""The table of all traits: name, label, unit, ontology term, method and function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from thale.phenotyping.traits import angle, area, length, shape, shoot
from thale.schemas import Plant, Plate, Scale, TraitLevel

Dimension = Literal["length", "area", "per_length", "angle", "number"]
Basis = Literal["primary", "laterals", "roots", "shoot", "hypocotyl", "leaves", "roots_and_shoot"]

UNITS: dict[Dimension, tuple[str, str, int]] = {
    "length": ("mm", "px", 1),
    "area": ("mm2", "px2", 2),
    "per_length": ("1/mm", "1/px", -1),
    "angle": ("deg", "deg", 0),
    "number": ("1", "1", 0),
}
"""Unit with a scale, unit without a scale, and the exponent of the scale (mm per px) in the conversion from px."""


def _unit(dimension: Dimension, scale: Scale) -> str:
    in_mm, in_px, _ = UNITS[dimension]
    return in_mm if scale.is_known else in_px


@dataclass(frozen=True)
class Trait:
    """One trait of a plant. `function` takes the plant and its plate, and returns a value in source pixels.

    `basis` names the organs from which the value is computed. If they are uncertain, the value is uncertain.
    """

    name: str
    label: str
    dimension: Dimension
    ontology_id: str | None
    method: str
    basis: Basis
    function: Callable[[Plant, Plate | None], float]
    level: TraitLevel = "plant"

    def unit(self, scale: Scale) -> str:
        """Return the unit of the trait's values at a scale."""
        return _unit(self.dimension, scale)


@dataclass(frozen=True)
class PlateTrait:
    """One trait of a plate. `function` takes its plants and the unassigned root length (px)."""

    name: str
    label: str
    dimension: Dimension
    ontology_id: str | None
    method: str
    function: Callable[[Sequence[Plant], float], float]
    level: TraitLevel = "plate"

    def unit(self, scale: Scale) -> str:
        """Return the unit of the trait's values at a scale."""
        return _unit(self.dimension, scale)


def _ignore_plate(function: Callable[[Plant], float]) -> Callable[[Plant, Plate | None], float]:
    return lambda plant, _plate: function(plant)


_CENTRE_LINE = (
    "Length of the traced centre line, smoothed along its arc (chain codes are biased: Seethepalli et al. 2021)"
)
_DUBROVSKY = "Dubrovsky and Forde 2012, Plant Cell 24:4"

PLANT_TRAITS = (
    Trait(
        "primary_root_length", "Primary root length", "length", "TO:0000227",
        f"{_CENTRE_LINE}, from the root base to the primary tip. Nearest term: root length.",
        "primary", _ignore_plate(length.primary_root_length),
    ),
    Trait(
        "total_root_length", "Total root length", "length", "TO:0000227",
        f"{_CENTRE_LINE}; primary root and laterals of every order.",
        "roots", _ignore_plate(length.total_root_length),
    ),
    Trait(
        "lateral_root_count", "Lateral root count", "number", "TO:0001013",
        "Laterals of every order that end at a detected tip, and other laterals of at least 6 mm.",
        "roots", _ignore_plate(length.lateral_root_count),
    ),
    Trait(
        "lateral_root_length", "Lateral root length, sum", "length", "TO:0001012",
        f"{_CENTRE_LINE}; laterals of every order, from their parent's centre line to their tip.",
        "laterals", _ignore_plate(length.lateral_root_length),
    ),
    Trait(
        "mean_lateral_root_length", "Lateral root length, mean", "length", "TO:0001012",
        "Sum of lateral lengths over their count; unknown without laterals.",
        "laterals", _ignore_plate(length.mean_lateral_root_length),
    ),
    Trait(
        "lateral_density", "Lateral density of the primary root", "per_length", "TO:0000257",
        f"First-order laterals over primary root length ({_DUBROVSKY}). Nearest term: root branching.",
        "roots", _ignore_plate(length.lateral_density),
    ),
    Trait(
        "lateral_density_branched_zone", "Lateral density of the branched zone", "per_length", "TO:0000257",
        f"First-order laterals over branched-zone length ({_DUBROVSKY}). Nearest term: root branching.",
        "roots", _ignore_plate(length.lateral_density_of_branched_zone),
    ),
    Trait(
        "branched_zone_length", "Branched-zone length", "length", "TO:0000257",
        f"Along the primary root, from its first to its last lateral ({_DUBROVSKY}). Nearest term: root branching.",
        "roots", _ignore_plate(length.branched_zone_length),
    ),
    Trait(
        "primary_root_angle", "Primary root angle to gravity", "angle", "TO:0002693",
        "Angle of the line from base to tip to the image's vertical, positive to the right (Grabov et al. 2005, "
        "New Phytol. 165:641). Nearest term: gravity response.",
        "primary", _ignore_plate(angle.primary_root_angle),
    ),
    Trait(
        "primary_root_tortuosity", "Primary root tortuosity", "number", None,
        "Primary root length over the distance from base to tip: the inverse of straightness (Grabov et al. 2005).",
        "primary", _ignore_plate(angle.primary_root_tortuosity),
    ),
    Trait(
        "root_system_width", "Root-system width", "length", "TO:0001057",
        "Horizontal extent of all centre lines (Galkovskyi et al. 2012, BMC Plant Biol. 12:116).",
        "roots", _ignore_plate(shape.root_system_width),
    ),
    Trait(
        "root_system_depth", "Root-system depth", "length", "TO:0001058",
        "Vertical extent of all centre lines (Galkovskyi et al. 2012).",
        "roots", _ignore_plate(shape.root_system_depth),
    ),
    Trait(
        "root_width_depth_ratio", "Root-system width over depth", "number", "TO:0001059",
        "Width over depth (Galkovskyi et al. 2012).",
        "roots", _ignore_plate(shape.width_depth_ratio),
    ),
    Trait(
        "convex_hull_area", "Convex-hull area of the root system", "area", None,
        "Area of the convex hull of all centre lines (Galkovskyi et al. 2012).",
        "roots", _ignore_plate(area.convex_hull_area),
    ),
    Trait(
        "primary_tip_x", "Primary tip, from the plate's left", "length", None,
        "Along the plate's upper edge from its top left corner; unknown if no plate edge was found.",
        "primary", lambda plant, plate: float(shape.tip_from_plate_corner(plant, plate)[0]),
    ),
    Trait(
        "primary_tip_y", "Primary tip, from the plate's top", "length", None,
        "Perpendicular to the plate's upper edge, downwards; unknown if no plate edge was found.",
        "primary", lambda plant, plate: float(shape.tip_from_plate_corner(plant, plate)[1]),
    ),
    Trait(
        "primary_tip_from_base_x", "Primary tip, right of the root base", "length", None,
        "Horizontal distance from root base to primary tip in the image, positive to the right.",
        "primary", lambda plant, _plate: float(shape.tip_from_base(plant)[0]),
    ),
    Trait(
        "primary_tip_from_base_y", "Primary tip, below the root base", "length", None,
        "Vertical distance from root base to primary tip in the image, positive downwards.",
        "primary", lambda plant, _plate: float(shape.tip_from_base(plant)[1]),
    ),
    Trait(
        "hypocotyl_length", "Hypocotyl length", "length", "TO:0006065",
        "Geodesic length through the shoot's outline from the root base to the point where a geodesic front splits or "
        "widens (own method; level sets as in Verroust and Lazarus 2000). Unknown if leaves hide the hypocotyl.",
        "hypocotyl", _ignore_plate(shoot.hypocotyl_length),
    ),
    Trait(
        "shoot_area", "Shoot area, projected", "area", "TO:0000540",
        "Projected area: the pixels of the shoot in the image. Nearest term: leaf area.",
        "shoot", _ignore_plate(area.shoot_area),
    ),
    Trait(
        "leaf_count", "Leaf count", "number", "TO:0000241",
        "Leaf tips of a landmark model that detects them, else the ends of the outline, cotyledons included: prominent "
        "maxima of the geodesic distance from the root base (own method). Overlapping leaves count once.",
        "leaves", _ignore_plate(shoot.leaf_count),
    ),
    Trait(
        "root_shoot_area_ratio", "Root to shoot ratio, of projected areas", "number", None,
        "Projected area of the root system over projected area of the shoot; not a ratio of masses.",
        "roots_and_shoot", _ignore_plate(area.root_shoot_area_ratio),
    ),
)  # fmt: skip


def _has_flag(plant: Plant, code: str) -> bool:
    return any(flag.code == code for flag in plant.flags)


PLATE_TRAITS = (
    PlateTrait(
        "plant_count", "Plants", "number", None, "Detected plants, including ungerminated seeds.",
        lambda plants, _: float(len(plants)),
    ),
    PlateTrait(
        "ungerminated_count", "Ungerminated seeds", "number", None, "Seeds without root and shoot.",
        lambda plants, _: float(sum(_has_flag(plant, "ungerminated") for plant in plants)),
    ),
    PlateTrait(
        "plate_total_root_length", "Total root length of the plate", "length", "TO:0000227",
        "All roots of all plants. An ambiguous crossing does not change it. Unassigned root is a separate trait, "
        "because labels and bubbles can look like roots.",
        lambda plants, _: float(sum(root.length_px for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        "plate_unassigned_root_length", "Unassigned root length of the plate", "length", "TO:0000227",
        "Root-like components of 3 mm and more without a plant, and segments of 2 mm and more of a plant's component "
        "that lead to no tip; each is flagged with its position.",
        lambda _, unassigned: unassigned,
    ),
    PlateTrait(
        "plate_lateral_root_count", "Lateral roots of the plate", "number", "TO:0001013",
        "Laterals of all plants.",
        lambda plants, _: float(sum(root.order > 1 for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        "plate_shoot_area", "Shoot area of the plate, projected", "area", "TO:0000540",
        "Total projected shoot area of all plants.",
        lambda plants, _: sum(o.area_px for plant in plants for o in plant.organs if o.kind == "shoot"),
    ),
)  # fmt: skip


TRAITS: dict[str, Trait | PlateTrait] = {trait.name: trait for trait in (*PLANT_TRAITS, *PLATE_TRAITS)}
"""All traits by name, in the order of every table: traits of plants, then traits of plates."""
