"""What the models said, counted by version: the signals by which a bad version is told from a good one.

Measuring processes make the observations, the server counts them. Both models are measured together into one
phenotype; what depends on one of them is told of that one alone.
"""


from thale.facade.upstream.routing import Choice
from thale.monitoring.comparison import Difference
from thale.monitoring.plate_statistics import Observation
from thale.telemetry import metrics


def count(seen: Observation, segmentation: Choice, landmarks: Choice) -> None:
    """Count a user's plate for the versions that answered."""
    masks, marks = ({"model": choice.name, "version": choice.version} for choice in (segmentation, landmarks))
    for labels in (masks, marks):
        metrics.OUTPUT_PLATES.labels(**labels).inc()
        metrics.OUTPUT_EMPTY.labels(**labels).inc(not seen.plants)
        metrics.OUTPUT_NAN.labels(**labels).inc(seen.unknown)
    metrics.OUTPUT_PLANTS.labels(**masks).observe(seen.plants)
    metrics.OUTPUT_SCALE_SOURCE.labels(**masks, source=seen.scale_source).inc()
    for organ, area_mm2 in seen.area_mm2.items():
        metrics.OUTPUT_AREA.labels(**masks, organ=organ).observe(area_mm2)
    for organ, confidence in seen.confidence.items():
        metrics.OUTPUT_CONFIDENCE.labels(**masks, organ=organ).observe(confidence)
    for kind, found in seen.landmarks.items():
        metrics.OUTPUT_LANDMARKS.labels(**marks, kind=kind).observe(found)
    if seen.score is not None:
        metrics.OUTPUT_SCORE.labels(**marks).observe(seen.score)


def count_difference(difference: Difference, shadow: Choice) -> None:
    """Count how far a shadow was from the stable version."""
    labels = {"model": shadow.name, "version": shadow.version}
    for organ, dice in difference.dice.items():
        metrics.SHADOW_DICE.labels(**labels, organ=organ).observe(dice)
    for kind, distances_px in difference.landmark_px.items():
        for distance_px in distances_px:
            metrics.SHADOW_LANDMARK_PX.labels(**labels, kind=kind).observe(distance_px)
    if difference.landmark_f1 is not None:
        metrics.SHADOW_LANDMARK_F1.labels(**labels).observe(difference.landmark_f1)
    for trait, relative in difference.traits.items():
        metrics.SHADOW_TRAIT_DIFFERENCE.labels(**labels, trait=trait).observe(relative)
