"""Metrics of model output by version, the input of drift monitoring and canary analysis.

Post-processing workers compute the statistics, and the server records them. Both models contribute to one phenotype. A
statistic that depends on one model is recorded for its version only.
"""

from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import PlateStatistics
from thale.monitoring.shadow_difference import ShadowDifference
from thale.telemetry import metrics


def record_output(statistics: PlateStatistics, segmentation: Route, landmarks: Route) -> None:
    """Record the output statistics of a plate for the versions that served it."""
    segmentation_labels, landmark_labels = (
        {"model": route.name, "version": route.version} for route in (segmentation, landmarks)
    )
    for labels in (segmentation_labels, landmark_labels):
        metrics.OUTPUT_PLATES.labels(**labels).inc()
        metrics.OUTPUT_EMPTY.labels(**labels).inc(not statistics.plants)
        metrics.OUTPUT_NAN.labels(**labels).inc(statistics.has_missing_trait)
    metrics.OUTPUT_PLANTS.labels(**segmentation_labels).observe(statistics.plants)
    metrics.OUTPUT_SCALE_SOURCE.labels(**segmentation_labels, source=statistics.scale_source).inc()
    for organ, area_mm2 in statistics.area_mm2.items():
        metrics.OUTPUT_AREA.labels(**segmentation_labels, organ=organ).observe(area_mm2)
    for organ, confidence in statistics.confidence.items():
        metrics.OUTPUT_CONFIDENCE.labels(**segmentation_labels, organ=organ).observe(confidence)
    for kind, landmark_count in statistics.landmarks.items():
        metrics.OUTPUT_LANDMARKS.labels(**landmark_labels, kind=kind).observe(landmark_count)
    if statistics.mean_landmark_score is not None:
        metrics.OUTPUT_SCORE.labels(**landmark_labels).observe(statistics.mean_landmark_score)


def record_shadow_difference(difference: ShadowDifference, shadow: Route) -> None:
    """Record the differences between stable and shadow on one image."""
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
