"""Traits of plants and plates: a table of pure functions and their application."""

from thale.phenotyping.traits.definitions import PlateTrait, Trait
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import TRAITS

__all__ = ["TRAITS", "PlateTrait", "Trait", "measure", "measure_plate"]
