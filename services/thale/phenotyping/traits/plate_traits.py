"""Traits of plates: counts and totals. An ambiguous crossing does not change a total."""

from thale.phenotyping.traits import ontology
from thale.phenotyping.traits.definitions import PlateTrait
from thale.phenotyping.traits.sources import OWN
from thale.schemas import Plant


def _has_flag(plant: Plant, code: str) -> bool:
    return any(flag.code == code for flag in plant.flags)


PLATE_TRAITS: tuple[PlateTrait, ...] = (
    PlateTrait(
        name="plant_count",
        label="Plants",
        dimension="number",
        definition="Number of detected plants, including ungerminated seeds.",
        formula="n",
        method="A plant is a shoot, a root base or a seed; see docs/model-quality.md for the detection rate.",
        source=OWN,
        function=lambda plants, _: float(len(plants)),
    ),
    PlateTrait(
        name="ungerminated_count",
        label="Ungerminated seeds",
        dimension="number",
        definition="Number of seeds without root and shoot.",
        formula="number of plants with the flag `ungerminated`",
        method="A seed of the segmentation without root or shoot.",
        source=OWN,
        function=lambda plants, _: float(sum(_has_flag(plant, "ungerminated") for plant in plants)),
    ),
    PlateTrait(
        name="plate_total_root_length",
        label="Total root length of the plate",
        dimension="length",
        definition="Length of all roots of all plants.",
        formula="sum of L over the roots of all plants",
        method="As `total_root_length`. Unassigned root is a separate trait, because labels and bubbles can look like "
        "roots.",
        source=OWN,
        ontology=ontology.root_length("relatedMatch", "sum over all roots of a plate"),
        function=lambda plants, _: float(sum(root.length_px for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        name="plate_unassigned_root_length",
        label="Unassigned root length of the plate",
        dimension="length",
        definition="Length of root-like structures that belong to no plant.",
        formula="sum of L over unassigned segments",
        method="Root-like components of 3 mm and more without a plant, and segments of 2 mm and more of a plant's "
        "component that lead to no tip. Each is flagged with its position.",
        source=OWN,
        function=lambda _, unassigned: unassigned,
    ),
    PlateTrait(
        name="plate_lateral_root_count",
        label="Lateral roots of the plate",
        dimension="number",
        definition="Number of laterals of all plants.",
        formula="sum of `lateral_root_count` over the plants",
        method="As `lateral_root_count`.",
        source=OWN,
        ontology=ontology.lateral_root_number("relatedMatch", "sum over the plants of a plate"),
        function=lambda plants, _: float(sum(root.order > 1 for plant in plants for root in plant.roots)),
    ),
    PlateTrait(
        name="plate_shoot_area",
        label="Shoot area of the plate, projected",
        dimension="area",
        definition="Projected shoot area of all plants.",
        formula="sum of `shoot_area` over the plants",
        method="As `shoot_area`.",
        source=OWN,
        ontology=ontology.leaf_area("projected area of all shoots of a plate"),
        function=lambda plants, _: sum(o.area_px for plant in plants for o in plant.organs if o.kind == "shoot"),
    ),
)
