"""Tests of the error model: risks, intervals and weights."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.sample_error_models import sample_error_model, sample_features, sample_trait_model
from thale.phenotyping.quality import error_model
from thale.phenotyping.quality.feature_names import FEATURE_NAMES


def test_risks_are_logistic_in_scaled_and_clipped_features() -> None:
    risks = [
        sample_error_model().risks({"tip_distance_mm": tip_mm, "contrast": 9.0, "other": 0.0})
        for tip_mm in (1.0, 2.0, 1e9)
    ]
    values = [risk["primary_root_length"] for risk in risks]
    assert values == pytest.approx([0.1192, 0.5, 0.8808], abs=1e-4)


def test_risks_fail_without_a_feature() -> None:
    with pytest.raises(KeyError, match="contrast"):
        sample_error_model().risks({"tip_distance_mm": 1.0})


@pytest.mark.parametrize(("risk", "expected"), [(0.1, (99.0, 102.0)), (0.4, (90.0, 130.0)), (0.9, (50.0, 300.0))])
def test_interval_widens_with_risk(risk: float, expected: tuple[float, float]) -> None:
    assert sample_trait_model().interval("primary_root_length", 100.0, risk) == pytest.approx(expected)


def test_interval_contains_the_value_and_is_not_negative() -> None:
    biased = sample_trait_model(low=(0.1, -3.0, 0.0), high=(0.2, -0.1, 0.0))
    assert biased.interval("primary_root_length", 10.0, 0.1) == pytest.approx((10.0, 12.0))
    assert biased.interval("primary_root_length", 10.0, 0.4) == pytest.approx((0.0, 10.0))


def test_interval_of_position_is_in_mm_and_may_be_negative() -> None:
    assert sample_trait_model().interval("primary_tip_from_base_x", 0.3, 0.9) == pytest.approx((-0.2, 2.3))


def test_interval_of_count_has_whole_bounds() -> None:
    assert sample_trait_model().interval("lateral_root_count", 11.0, 0.4) == (10, 14)
    assert sample_trait_model().interval("lateral_root_count", 0.0, 0.9) == (0, 2)


def test_error_model_rejects_inconsistent_sizes() -> None:
    with pytest.raises(ValidationError, match="coefficients"):
        sample_error_model(means=(1.0,))
    with pytest.raises(ValidationError, match="3 intervals"):
        sample_trait_model(low=(-0.1,))


def test_error_model_rejects_unknown_features() -> None:
    """It would otherwise fail every request of its weights."""
    with pytest.raises(ValidationError, match=r"does not compute the features \['root_colour'\]: fit the model again"):
        sample_error_model(features=("tip_distance_mm", "root_colour"))


@pytest.mark.parametrize("changes", [{"deviations": (0.5, 0.0)}, {"means": (1.0, float("nan"))}])
def test_error_model_rejects_numbers_without_a_risk(changes: dict[str, object]) -> None:
    """A risk that is NaN is not above the limit of `ok`."""
    with pytest.raises(ValidationError, match=r"deviations\.1|means\.1"):
        sample_error_model(**changes)


def test_feature_names_are_those_of_the_computation() -> None:
    assert set(sample_features()) == FEATURE_NAMES


def test_error_model_for_returns_model_of_these_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(error_model.read_error_models.cache_clear)
    monkeypatch.setattr(error_model, "ERROR_MODELS_FOLDER", tmp_path)
    error_model.read_error_models.cache_clear()
    assert error_model.error_model_for("sha256:a", "sha256:b") is None
    assert not error_model.is_uncalibrated("sha256:a", "sha256:b"), "a package without error models is not calibrated"
    models = [sample_error_model(), sample_error_model(segmentation_weights="sha256:c")]
    for model in models:
        (tmp_path / model.file_name).write_text(model.model_dump_json())
    error_model.read_error_models.cache_clear()
    assert error_model.error_model_for("sha256:a", "sha256:b") == models[0]
    assert error_model.error_model_for("sha256:c", "sha256:b") == models[1]
    assert error_model.is_uncalibrated("sha256:b", "sha256:a")
    assert not error_model.is_uncalibrated("sha256:a", "sha256:b")


def test_error_model_for_prefers_the_folder_of_the_user(tmp_path: Path) -> None:
    own = sample_error_model(data="own plates")
    (tmp_path / "mine.json").write_text(own.model_dump_json())
    assert error_model.error_model_for("sha256:a", "sha256:b") is None
    assert error_model.error_model_for("sha256:a", "sha256:b", tmp_path) == own
    assert error_model.is_uncalibrated("sha256:a", "sha256:b")
    assert not error_model.is_uncalibrated("sha256:a", "sha256:b", tmp_path)
    packaged = next(iter(error_model.packaged_error_models()))
    assert error_model.error_model_for(*packaged, tmp_path) == error_model.packaged_error_models()[packaged]


def test_packaged_error_models_have_features_of_the_pipeline() -> None:
    names = set(sample_features())
    for model in error_model.packaged_error_models().values():
        assert set(model.features) == names, "fit the error model again: make error-model"
