"""Tests of plate statistics and of the metrics that count them per version."""

import math

import pytest
from prometheus_client import REGISTRY

from tests.support.sample_phenotypes import NO_SCALE, phenotype, seedling
from thale.facade.inference import output_metrics
from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import plate_statistics
from thale.monitoring.shadow_difference import ShadowDifference
from thale.schemas import Landmark

KINDS = ("root_base", "primary_tip", "lateral_tip")
LANDMARKS = [landmark for number in (1, 2) for landmark in seedling(number).landmarks]


def test_plate_statistics_counts_organs_and_landmarks() -> None:
    statistics = plate_statistics(phenotype(seedling(1), seedling(2, x=300)), LANDMARKS, KINDS)
    assert (statistics.plants, statistics.scale_source, statistics.has_missing_trait) == (2, "given", False)
    assert statistics.area_mm2 == {"root": 0, "shoot": 8, "seed": 0}
    assert statistics.confidence == {"shoot": pytest.approx(0.95)}
    assert statistics.landmarks == {"root_base": 2, "primary_tip": 2, "lateral_tip": 2}
    assert statistics.mean_landmark_score == pytest.approx((0.99 + 0.98 + 0.9) / 3)
    assert statistics.traits == pytest.approx(
        {"mean_primary_root_length": 20, "plate_total_root_length": 50, "plate_shoot_area": 8}
    )


def test_plate_statistics_has_no_areas_without_scale() -> None:
    statistics = plate_statistics(phenotype(seedling(), scale=NO_SCALE), LANDMARKS, KINDS)
    assert (statistics.area_mm2, statistics.has_missing_trait, statistics.scale_source) == ({}, False, "none")


def test_plate_statistics_reports_missing_trait_without_root() -> None:
    rootless = seedling().model_copy(update={"roots": ()})
    statistics = plate_statistics(phenotype(rootless), [], KINDS)
    assert (statistics.has_missing_trait, statistics.mean_landmark_score) == (True, None)
    assert statistics.landmarks == dict.fromkeys(KINDS, 0)
    assert math.isnan(statistics.traits["mean_primary_root_length"])


def test_record_output_counts_empty_plate_for_both_models() -> None:
    segmentation, landmarks = (
        Route(f"empty-{task}", "1.0.0", task, "sha256:a", "sha256:w", KINDS) for task in ("segmentation", "landmarks")
    )
    output_metrics.record_output(plate_statistics(phenotype(), [], KINDS), segmentation, landmarks)

    def metric_value(name: str, route: Route, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"model": route.name, "version": route.version, **labels})

    for route in (segmentation, landmarks):
        assert metric_value("thale_output_plates_total", route) == metric_value("thale_output_empty_total", route) == 1
    assert metric_value("thale_output_plants_bucket", segmentation, le="0.0") == 1
    assert metric_value("thale_output_plants_count", landmarks) is None
    assert metric_value("thale_output_landmarks_bucket", landmarks, kind="root_base", le="0.0") == 1
    assert metric_value("thale_output_score_count", landmarks) in (None, 0)


def test_plate_statistics_ignores_landmarks_of_other_kinds() -> None:
    stray = Landmark(kind="leaf_tip", x=1, y=1, score=0.5)
    assert "leaf_tip" not in plate_statistics(phenotype(), [stray], KINDS).landmarks


def test_record_shadow_difference_counts_for_shadow() -> None:
    shadow = Route("shadow-seg", "1.1.0", "segmentation", "sha256:a", "sha256:w", KINDS, role="shadow")
    difference = ShadowDifference({"root": 0.955}, {"root_base": [0.4, 5.0]}, 0.8, {"plate_shoot_area": 0.04})
    output_metrics.record_shadow_difference(difference, shadow)

    def metric_value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"model": shadow.name, "version": shadow.version, **labels})

    assert metric_value("thale_shadow_dice_bucket", organ="root", le="0.95") == 0
    assert metric_value("thale_shadow_dice_bucket", organ="root", le="0.96") == 1
    assert metric_value("thale_shadow_landmark_px_sum", kind="root_base") == pytest.approx(5.4)
    assert metric_value("thale_shadow_landmark_f1_count") == 1
    assert metric_value("thale_shadow_trait_difference_sum", trait="plate_shoot_area") == pytest.approx(0.04)
