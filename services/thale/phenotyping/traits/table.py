"""Table."""

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
"""Unit with a scale, unit without one, and the power of the scale that leads from one to the other."""


def _unit(dimension: Dimension, scale: Scale) -> str:
    in_mm, in_px, _ = UNITS[dimension]
    return in_mm if scale.is_known else in_px


@dataclass(frozen=True)
class Trait:
    """One trait. `function` takes a plant and the plate it stands on; its result is in pixels where it has a length.

    `basis` says what the number rests on: where that is in doubt, so is the number.
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
        """Return the unit in which the trait is given at a scale."""
        return _unit(self.dimension, scale)


@dataclass(frozen=True)
class PlateTrait:
    """One trait of a whole plate, from its plants and the root length (px) that no plant got."""

    name: str
    label: str
    dimension: Dimension
    ontology_id: str | None
    method: str
    function: Callable[[Sequence[Plant], float], float]
    level: TraitLevel = "plate"

    def unit(self, scale: Scale) -> str:
        """Return the unit in which the trait is given at a scale."""
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
        "Laterals of every order, from 1 mm on (shorter ones where the landmark model sees their tip).",
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
        "Ann. Bot. 95:707). Nearest term: gravity response.",
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
        "Along the plate's upper edge from its top left corner; unknown where no plate edge was found.",
        "primary", lambda plant, plate: float(shape.tip_from_plate_corner(plant, plate)[0]),
    ),
    Trait(
        "primary_tip_y", "Primary tip, from the plate's top", "length", None,
        "At a right angle to the plate's upper edge, down from it; unknown where no plate edge was found.",
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
        "Geodesic way through the shoot's outline from the root base to where a front that runs up parts or widens "
        "(ours; level sets as in Verroust and Lazarus 2000). Unknown where leaves hide it.",
        "hypocotyl", _ignore_plate(shoot.hypocotyl_length),
    ),
    Trait(
        "shoot_area", "Shoot area, projected", "area", "TO:0000540",
        "Pixels of the shoot as the camera sees it. Nearest term: leaf area.",
        "shoot", _ignore_plate(area.shoot_area),
    ),
    Trait(
        "leaf_count", "Leaf count", "number", "TO:0000241",
        "Leaf tips seen by a landmark model that looks for them, else the outline's ends, cotyledons among them: "
        "maxima of the geodesic distance from the root base that stand out (ours). Leaves over each other count once.",
        "leaves", _ignore_plate(shoot.leaf_count),
    ),
    Trait(
        "root_shoot_area_ratio", "Root to shoot ratio, of projected areas", "number", None,
        "Projected area of the root system over projected area of the shoot; no ratio of masses.",
        "roots_and_shoot", _ignore_plate(area.root_shoot_area_ratio),
    ),
)  # fmt: skip


def _has_flag(plant: Plant, code: str) -> bool:
    return any(flag.code == code for flag in plant.flags)


PLATE_TRAITS = (
    PlateTrait(
        "plant_count", "Plants", "number", None, "Plants found, germinated or not.",
        lambda plants, _: float(len(plants)),
    ),
    PlateTrait(
        "ungerminated_count", "Ungerminated seeds", "number", None, "Seeds without root and shoot.",
        lambda plants, _: float(sum(_has_flag(plant, "ungerminated") for plant in plants)),
    ),
    PlateTrait(
        "plate_total_root_length", "Total root length of the plate", "length", "TO:0000227",
        "All roots of all plants: conserved at a crossing, whoever owns what lies beyond it. What hangs on no plant is "
        "told apart, because labels and bubbles look like roots too.",
        lambda plants, _: float(sum(root.length_px for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        "plate_unassigned_root_length", "Root length that is no plant's", "length", "TO:0000227",
        "Root-like pieces of 3 mm and more that no plant's base reaches, and of 2 mm and more that hang on a plant but "
        "lead to no tip; each is flagged with its place.",
        lambda _, unassigned: unassigned,
    ),
    PlateTrait(
        "plate_lateral_root_count", "Lateral roots of the plate", "number", "TO:0001013",
        "Laterals of all plants.",
        lambda plants, _: float(sum(root.order > 1 for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        "plate_shoot_area", "Shoot area of the plate, projected", "area", "TO:0000540",
        "Projected shoot areas of all plants together.",
        lambda plants, _: sum(o.area_px for plant in plants for o in plant.organs if o.kind == "shoot"),
    ),
)  # fmt: skip


TRAITS: dict[str, Trait | PlateTrait] = {trait.name: trait for trait in (*PLANT_TRAITS, *PLATE_TRAITS)}
"""Every trait by its name, plants' before plates', in the order of all tables."""
