"""One plate's signals: a phenotype in the few numbers by which model versions are told apart.

Run in the measuring processes, where the phenotype is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import get_args

from thale.schemas import Landmark, OrganKind, Phenotype, Plant, ScaleSource

_PLANT_TRAITS = ("primary_root_length", "total_root_length", "shoot_area")
"""What a germinated plant of a known scale should have."""
_PLATE_TRAITS = ("plate_total_root_length", "plate_shoot_area")


@dataclass(frozen=True)
class Observation:
    """One plate in a few numbers."""

    plants: int
    scale_source: ScaleSource
    area_mm2: Mapping[str, float]
    """Of each organ; empty where the scale is unknown."""
    confidence: Mapping[str, float]
    """Mean of each organ that was found."""
    landmarks: Mapping[str, int]
    """How many of each kind that the model looks for."""
    score: float | None
    """Mean of all landmarks, None where there are none."""
    unknown: bool
    """Whether a main trait of a germinated plant is unknown in spite of a known scale."""
    traits: Mapping[str, float] = field(default_factory=dict)
    """Main traits of the plate, in the unit that the scale allows."""


def observe(found: Phenotype, landmarks: Sequence[Landmark], kinds: Iterable[str]) -> Observation:
    """Return what is counted of a plate.

    Args:
        found: What was measured.
        landmarks: All that the landmark model marked, whether a plant owns it or not.
        kinds: The kinds that it looks for.
    """
    organs = [organ for plant in found.plants for organ in plant.organs]
    areas: dict[str, float] = {
        kind: sum(organ.area_mm2 for organ in organs if organ.kind == kind) for kind in get_args(OrganKind)
    }
    confidences: dict[str, float] = {
        kind: fmean(organ.confidence for organ in organs if organ.kind == kind)
        for kind in {organ.kind for organ in organs}
    }
    return Observation(
        plants=len(found.plants),
        scale_source=found.scale.source,
        area_mm2=areas if found.scale.known else {},
        confidence=confidences,
        landmarks={kind: sum(mark.kind == kind for mark in landmarks) for kind in kinds},
        score=fmean(mark.score for mark in landmarks) if landmarks else None,
        unknown=found.scale.known and any(_unknown(plant) for plant in found.plants),
        traits=_traits(found),
    )


def _unknown(plant: Plant) -> bool:
    """Whether a main trait of a germinated plant is NaN."""
    if any(flag.code == "ungerminated" for flag in plant.flags):
        return False
    return any(math.isnan(trait.value) for trait in plant.traits if trait.trait in _PLANT_TRAITS)


def _traits(found: Phenotype) -> dict[str, float]:
    """Return a plate's main traits: the mean primary root of its plants, and its totals; NaN where unknown."""
    primaries = [
        trait.value
        for plant in found.plants
        for trait in plant.traits
        if trait.trait == "primary_root_length" and not math.isnan(trait.value)
    ]
    plate = {trait.trait: trait.value for trait in found.traits if trait.trait in _PLATE_TRAITS}
    return {"mean_primary_root_length": fmean(primaries) if primaries else math.nan, **plate}
