"""Tests of calibrated quality: the error model applied to a measured plate."""

import pytest

from tests.support.sample_error_models import sample_error_model, sample_trait_model
from tests.support.sample_phenotypes import phenotype, seedling
from thale.phenotyping.quality.calibrated_quality import grade_plants, grade_plate, mark_uncalibrated
from thale.phenotyping.quality.features import EVIDENCE_FLAGS
from thale.phenotyping.traits.measure import GATE_FLAGS
from thale.schemas import Flag, Phenotype, Plant, TraitValue

SAFE, DOUBTFUL = {"tip_distance_mm": 0.0, "contrast": 0.0}, {"tip_distance_mm": 2.0, "contrast": 0.0}


def by_name(plant: Plant) -> dict[str, TraitValue]:
    return {trait.trait: trait for trait in plant.traits}


def test_grade_plants_adds_interval_and_quality_by_risk() -> None:
    plants = phenotype(seedling(), seedling(2, 250.0)).plants
    safe, doubtful = map(by_name, grade_plants(plants, {1: SAFE, 2: DOUBTFUL}, sample_error_model()))
    assert safe["primary_root_length"].quality == "ok"
    assert safe["primary_root_length"].interval == pytest.approx((19.8, 20.4))
    assert doubtful["primary_root_length"].quality == "uncertain"
    assert doubtful["primary_root_length"].interval == pytest.approx((18.0, 26.0))
    assert "error_likely" in {flag.code for flag in doubtful["primary_root_length"].flags}
    assert safe["total_root_length"].interval is None, "the model has no such trait"


def test_grade_plants_limits_dependent_traits() -> None:
    [plant] = grade_plants(phenotype(seedling()).plants, {1: DOUBTFUL}, sample_error_model())
    traits = by_name(plant)
    assert traits["total_root_length"].quality == traits["primary_root_angle"].quality == "uncertain"
    assert traits["shoot_area"].quality == "ok"


def flagged(code: str) -> Plant:
    """Return a plant whose traits are uncertain because of one flag."""
    [plant] = phenotype(seedling()).plants
    doubt = {"quality": "uncertain", "flags": (Flag(code=code, message=code),)}
    return plant.model_copy(update={"traits": tuple(trait.model_copy(update=doubt) for trait in plant.traits)})


@pytest.mark.parametrize("code", ["no_plate", "plate_edge_weak", "tilt_unknown", "tip_shared", "tip_unconfirmed"])
def test_grade_plants_keeps_doubt_of_deciding_flags(code: str) -> None:
    [graded] = grade_plants([flagged(code)], {1: SAFE}, sample_error_model(evidence_flags=EVIDENCE_FLAGS))
    assert by_name(graded)["primary_root_length"].quality == "uncertain"
    assert by_name(graded)["primary_root_length"].interval is not None


@pytest.mark.parametrize("code", ["low_resolution", "compression", "root_in_other_lane", "methods_disagree"])
def test_grade_plants_decides_by_risk_where_a_flag_is_evidence(code: str) -> None:
    model = sample_error_model(evidence_flags=EVIDENCE_FLAGS)
    plant = flagged(code)
    safe = by_name(grade_plants([plant], {1: SAFE}, model)[0])["primary_root_length"]
    assert (safe.quality, [flag.code for flag in safe.flags]) == ("ok", [code])
    doubtful = by_name(grade_plants([plant], {1: DOUBTFUL}, model)[0])["primary_root_length"]
    assert (doubtful.quality, [flag.code for flag in doubtful.flags]) == ("uncertain", [code, "error_likely"])
    earlier = by_name(grade_plants([plant], {1: SAFE}, sample_error_model())[0])
    assert earlier["primary_root_length"].quality == "uncertain", "a model without evidence flags leaves them decisive"
    graded = by_name(grade_plants([plant], {1: SAFE}, model)[0])
    assert graded["total_root_length"].quality == "uncertain", "the model has no such trait"


def test_evidence_flags_leave_all_flags_of_the_gate_decisive() -> None:
    assert not GATE_FLAGS & set(EVIDENCE_FLAGS)


def test_grade_plants_without_model_keeps_values() -> None:
    plants = phenotype(seedling()).plants
    assert grade_plants(plants, {1: DOUBTFUL}, None) == plants


def test_grade_plate_uses_the_mean_features_of_its_plants() -> None:
    found = phenotype(seedling(), seedling(2, 250.0))
    plate_model = sample_error_model(traits={"plate_total_root_length": sample_trait_model()})
    for features, quality in (((SAFE, SAFE), "ok"), ((SAFE, {"tip_distance_mm": 4.0, "contrast": 0.0}), "uncertain")):
        graded = grade_plate(found.traits, found.plants, dict(enumerate(features, start=1)), plate_model)
        total = next(trait for trait in graded if trait.trait == "plate_total_root_length")
        assert total.quality == quality
        assert total.interval is not None


def test_mark_uncalibrated_leaves_nothing_ok() -> None:
    found = phenotype(seedling())
    plants = grade_plants(found.plants, {1: SAFE}, sample_error_model())
    marked: Phenotype = mark_uncalibrated(found.model_copy(update={"plants": plants}))
    traits = [*marked.plants[0].traits, *marked.traits]
    assert {trait.quality for trait in traits} == {"uncertain", "unknown"}
    assert {trait.interval for trait in traits} == {None}
    assert marked.flags[-1].code == "not_calibrated"
