"""Definition of one trait: name, unit, ontology term, texts of the trait reference, and function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from thale.phenotyping.traits.ontology import OntologyTerm
from thale.schemas import Flag, Plant, Plate, Scale, TraitLevel

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


@dataclass(frozen=True, kw_only=True)
class TraitDefinition:
    """Fields of every trait. `definition`, `formula`, `method` and `source` are texts of docs/traits.md.

    Formulas use x (right) and y (down), P for the points of a centre line and L for its length.
    """

    name: str
    label: str
    dimension: Dimension
    definition: str
    formula: str
    method: str
    source: str
    ontology: OntologyTerm | None = None

    def unit(self, scale: Scale) -> str:
        """Return the unit of the trait's values at a scale."""
        in_mm, in_px, _ = UNITS[self.dimension]
        return in_mm if scale.is_known else in_px

    @property
    def ontology_id(self) -> str | None:
        """The id of the nearest ontology term, or None if no term is near."""
        return self.ontology.id if self.ontology else None


@dataclass(frozen=True, kw_only=True)
class Trait(TraitDefinition):
    """One trait of a plant. `function` takes the plant and its plate, and returns a value in source pixels.

    `basis` names the organs from which the value is computed. If they are uncertain, the value is uncertain. If
    `uses_axes`, the value is relative to the axes of the plate, and uncertain if no plate edge was found. `unknown` is
    the flag of a NaN for which no other flag is the reason.
    """

    basis: Basis
    function: Callable[[Plant, Plate | None], float]
    uses_axes: bool = False
    unknown: Flag | None = None
    level: TraitLevel = "plant"


@dataclass(frozen=True, kw_only=True)
class PlateTrait(TraitDefinition):
    """One trait of a plate. `function` takes its plants and the unassigned root length (px)."""

    function: Callable[[Sequence[Plant], float], float]
    level: TraitLevel = "plate"
