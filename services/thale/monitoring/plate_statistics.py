"""Plate statistics: summary of one phenotype for the comparison of model versions.

The post-processing workers compute them, because they hold the phenotype.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import get_args

from thale.schemas import Landmark, OrganKind, Phenotype, Plant, ScaleSource

_PLANT_TRAITS = ("primary_root_length", "total_root_length", "shoot_area")
"""Traits that every germinated plant has if the scale is known."""
_PLATE_TRAITS = ("plate_total_root_length", "plate_shoot_area")


@dataclass(frozen=True)
class PlateStatistics:
    """Output statistics of one plate."""

    plants: int
    scale_source: ScaleSource
    area_mm2: Mapping[str, float]
    """Total area of each organ; empty if the scale is unknown."""
    confidence: Mapping[str, float]
    """Mean confidence of each detected organ."""
    landmarks: Mapping[str, int]
    """Number of landmarks of each kind that the model detects."""
    mean_landmark_score: float | None
    """Mean score of all landmarks; None without landmarks."""
    has_missing_trait: bool
    """True if the scale is known but a main trait of a germinated plant is NaN."""
    traits: Mapping[str, float] = field(default_factory=dict)
    """Main traits of the plate, in mm if the scale is known, else in px."""


def plate_statistics(phenotype: Phenotype, landmarks: Sequence[Landmark], kinds: Iterable[str]) -> PlateStatistics:
    """Return the output statistics of one plate.

    Args:
        phenotype: The measured plate.
        landmarks: All landmarks of the model, including those without a plant.
        kinds: The landmark kinds that the model detects.
    """
    organs = [organ for plant in phenotype.plants for organ in plant.organs]
    areas: dict[str, float] = {
        kind: sum(organ.area_mm2 for organ in organs if organ.kind == kind) for kind in get_args(OrganKind)
    }
    confidences: dict[str, float] = {
        kind: fmean(organ.confidence for organ in organs if organ.kind == kind)
        for kind in {organ.kind for organ in organs}
    }
    return PlateStatistics(
        plants=len(phenotype.plants),
        scale_source=phenotype.scale.source,
        area_mm2=areas if phenotype.scale.is_known else {},
        confidence=confidences,
        landmarks={kind: sum(landmark.kind == kind for landmark in landmarks) for kind in kinds},
        mean_landmark_score=fmean(landmark.score for landmark in landmarks) if landmarks else None,
        has_missing_trait=phenotype.scale.is_known and any(_has_missing_trait(plant) for plant in phenotype.plants),
        traits=_main_traits(phenotype),
    )


def _has_missing_trait(plant: Plant) -> bool:
    """Return True if the plant has germinated and one of its main traits is NaN."""
    if any(flag.code == "ungerminated" for flag in plant.flags):
        return False
    return any(math.isnan(trait.value) for trait in plant.traits if trait.trait in _PLANT_TRAITS)


def _main_traits(phenotype: Phenotype) -> dict[str, float]:
    """Return a plate's main traits: mean primary root length of its plants, total root length and shoot area."""
    primary_lengths = [
        trait.value
        for plant in phenotype.plants
        for trait in plant.traits
        if trait.trait == "primary_root_length" and not math.isnan(trait.value)
    ]
    plate_traits = {trait.trait: trait.value for trait in phenotype.traits if trait.trait in _PLATE_TRAITS}
    return {"mean_primary_root_length": fmean(primary_lengths) if primary_lengths else math.nan, **plate_traits}
