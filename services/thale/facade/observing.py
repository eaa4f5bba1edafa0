"""What the models said, counted by version: the signals by which a bad version is told from a good one.

Measuring processes make the observations, the server counts them. Both models are measured together into one
phenotype; what depends on one of them is told of that one alone.
"""

from collections.abc import Mapping
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
