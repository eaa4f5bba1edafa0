"""One plate in the numbers that are counted, and under which version they are counted."""

import math

import pytest
from prometheus_client import REGISTRY

from tests.support.sample_phenotypes import NO_SCALE, phenotype, seedling
from thale.facade.inference import output_metrics
from thale.facade.upstream.routing import Choice
from thale.monitoring.comparison import Difference
from thale.monitoring.plate_statistics import observe
from thale.schemas import Landmark

KINDS = ("root_base", "primary_tip", "lateral_tip")
MARKS = [mark for number in (1, 2) for mark in seedling(number).landmarks]


def test_a_plate_is_told_by_its_organs_and_landmarks() -> None:
    seen = observe(phenotype(seedling(1), seedling(2, x=300)), MARKS, KINDS)
    assert (seen.plants, seen.scale_source, seen.unknown) == (2, "given", False)
    assert seen.area_mm2 == {"root": 0, "shoot": 8, "seed": 0}
    assert seen.confidence == {"shoot": pytest.approx(0.95)}
    assert seen.landmarks == {"root_base": 2, "primary_tip": 2, "lateral_tip": 2}
    assert seen.score == pytest.approx((0.99 + 0.98 + 0.9) / 3)
    assert seen.traits == pytest.approx(
        {"mean_primary_root_length": 20, "plate_total_root_length": 50, "plate_shoot_area": 8}
    )


def test_without_a_scale_there_are_no_areas_and_nothing_is_unknown_that_should_be_known() -> None:
    seen = observe(phenotype(seedling(), scale=NO_SCALE), MARKS, KINDS)
    assert (seen.area_mm2, seen.unknown, seen.scale_source) == ({}, False, "none")


def test_a_germinated_plant_without_a_root_is_unknown_in_a_main_trait() -> None:
    rootless = seedling().model_copy(update={"roots": ()})
    seen = observe(phenotype(rootless), [], KINDS)
    assert (seen.unknown, seen.score) == (True, None)
    assert seen.landmarks == dict.fromkeys(KINDS, 0)
    assert math.isnan(seen.traits["mean_primary_root_length"])


def test_an_empty_plate_is_counted_for_both_models_and_its_plants_for_the_segmentation() -> None:
    masks, marks = (
        Choice(f"empty-{task}", "1.0.0", task, "sha256:a", "sha256:w", KINDS) for task in ("segmentation", "landmarks")
    )
    output_metrics.count(observe(phenotype(), [], KINDS), masks, marks)

    def counted(name: str, choice: Choice, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"model": choice.name, "version": choice.version, **labels})

    for choice in (masks, marks):
        assert counted("thale_output_plates_total", choice) == counted("thale_output_empty_total", choice) == 1
    assert counted("thale_output_plants_bucket", masks, le="0.0") == 1
    assert counted("thale_output_plants_count", marks) is None
    assert counted("thale_output_landmarks_bucket", marks, kind="root_base", le="0.0") == 1
    assert counted("thale_output_score_count", marks) in (None, 0)


def test_a_landmark_of_a_kind_that_is_not_looked_for_is_no_column() -> None:
    stray = Landmark(kind="leaf_tip", x=1, y=1, score=0.5)
    assert "leaf_tip" not in observe(phenotype(), [stray], KINDS).landmarks


def test_a_difference_is_counted_for_the_shadow() -> None:
    shadow = Choice("shadow-seg", "1.1.0", "segmentation", "sha256:a", "sha256:w", KINDS, role="shadow")
    difference = Difference({"root": 0.955}, {"root_base": [0.4, 5.0]}, 0.8, {"plate_shoot_area": 0.04})
    output_metrics.count_difference(difference, shadow)

    def counted(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"model": shadow.name, "version": shadow.version, **labels})

    assert counted("thale_shadow_dice_bucket", organ="root", le="0.95") == 0
    assert counted("thale_shadow_dice_bucket", organ="root", le="0.96") == 1
    assert counted("thale_shadow_landmark_px_sum", kind="root_base") == pytest.approx(5.4)
    assert counted("thale_shadow_landmark_f1_count") == 1
    assert counted("thale_shadow_trait_difference_sum", trait="plate_shoot_area") == pytest.approx(0.04)
