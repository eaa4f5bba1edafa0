"""The table of all traits. Each row has a name, unit, ontology term, definition, formula, method, source and function.

`docs/traits.md` is generated from this table.
"""

from thale.phenotyping.traits.definitions import PlateTrait, Trait
from thale.phenotyping.traits.plate_traits import PLATE_TRAITS
from thale.phenotyping.traits.root_traits import ROOT_TRAITS
from thale.phenotyping.traits.shoot_traits import SHOOT_TRAITS

__all__ = ["PLANT_TRAITS", "PLATE_TRAITS", "TRAITS"]

PLANT_TRAITS: tuple[Trait, ...] = (*ROOT_TRAITS, *SHOOT_TRAITS)
"""Traits of plants, in the order of every table."""

_ALL: tuple[Trait | PlateTrait, ...] = (*PLANT_TRAITS, *PLATE_TRAITS)
TRAITS: dict[str, Trait | PlateTrait] = {trait.name: trait for trait in _ALL}
"""All traits by name, in the order of every table: traits of plants, then traits of plates."""
