"""What the models said, counted by version: the signals by which a bad version is told from a good one.

Measuring processes make the observations, the server counts them. Both models are measured together into one
phenotype; what depends on one of them is told of that one alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thale import telemetry
from thale.contract import ScaleSource
from thale.facade.traffic import Choice


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


@dataclass(frozen=True)
class Difference:
    """How far a shadow's answer is from the stable version's, about one plate."""

    dice: Mapping[str, float] = field(default_factory=dict)
    """Dice coefficient of each organ that either sees."""
    landmark_px: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Distances of the landmarks that match, by kind."""
    landmark_f1: float | None = None
    """None where neither marks anything."""
    traits: Mapping[str, float] = field(default_factory=dict)
    """Relative differences of a plate's main traits; 1 where only one of the two versions knows the trait."""

    @property
    def agreement(self) -> float:
        """The worst of all figures: 1 is the same answer, 0 or less nothing in common."""
        f1 = [] if self.landmark_f1 is None else [self.landmark_f1]
        return min([*self.dice.values(), *f1, *(1 - difference for difference in self.traits.values())], default=1.0)


def count(seen: Observation, segmentation: Choice, landmarks: Choice) -> None:
    """Count a user's plate for the versions that answered."""
    masks, marks = ({"model": choice.name, "version": choice.version} for choice in (segmentation, landmarks))
    for labels in (masks, marks):
        telemetry.OUTPUT_PLATES.labels(**labels).inc()
        telemetry.OUTPUT_EMPTY.labels(**labels).inc(not seen.plants)
        telemetry.OUTPUT_NAN.labels(**labels).inc(seen.unknown)
    telemetry.OUTPUT_PLANTS.labels(**masks).observe(seen.plants)
    telemetry.OUTPUT_SCALE_SOURCE.labels(**masks, source=seen.scale_source).inc()
    for organ, area_mm2 in seen.area_mm2.items():
        telemetry.OUTPUT_AREA.labels(**masks, organ=organ).observe(area_mm2)
    for organ, confidence in seen.confidence.items():
        telemetry.OUTPUT_CONFIDENCE.labels(**masks, organ=organ).observe(confidence)
    for kind, found in seen.landmarks.items():
        telemetry.OUTPUT_LANDMARKS.labels(**marks, kind=kind).observe(found)
    if seen.score is not None:
        telemetry.OUTPUT_SCORE.labels(**marks).observe(seen.score)


def count_difference(difference: Difference, shadow: Choice) -> None:
    """Count how far a shadow was from the stable version."""
    labels = {"model": shadow.name, "version": shadow.version}
    for organ, dice in difference.dice.items():
        telemetry.SHADOW_DICE.labels(**labels, organ=organ).observe(dice)
    for kind, distances_px in difference.landmark_px.items():
        for distance_px in distances_px:
            telemetry.SHADOW_LANDMARK_PX.labels(**labels, kind=kind).observe(distance_px)
    if difference.landmark_f1 is not None:
        telemetry.SHADOW_LANDMARK_F1.labels(**labels).observe(difference.landmark_f1)
    for trait, relative in difference.traits.items():
        telemetry.SHADOW_TRAIT_DIFFERENCE.labels(**labels, trait=trait).observe(relative)
