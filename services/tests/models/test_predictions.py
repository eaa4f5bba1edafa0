"""Tests of segmentation predictions and their wire format."""

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sample_plates import DrawnMaps
from thale.errors import ModelFailedError
from thale.models.predictions import SegmentationPrediction, most_likely_classes


def test_segmentation_prediction_round_trips_with_ridges() -> None:
    prediction = DrawnMaps(40, 30).to_prediction()
    ridge_HW = np.arange(-600, 600).reshape(40, 30).clip(-127, 127).astype(np.int8)
    parsed = SegmentationPrediction.from_bytes(replace(prediction, ridge_HW=ridge_HW).to_bytes())
    assert parsed.ridge_HW is not None
    np.testing.assert_array_equal(parsed.ridge_HW, ridge_HW)
    np.testing.assert_array_equal(parsed.probabilities_CHW, prediction.probabilities_CHW)
    assert parsed.meta == prediction.meta


def test_segmentation_prediction_parses_response_without_ridges() -> None:
    older = DrawnMaps(40, 30).to_prediction().to_bytes()
    with np.load(io.BytesIO(older)) as arrays:
        assert set(arrays) == {"probabilities", "meta"}
    assert SegmentationPrediction.from_bytes(older).ridge_HW is None


def test_class_map_returns_most_likely_class() -> None:
    prediction = DrawnMaps(1, 4).to_prediction()
    # Root, shoot and seed of four pixels: certain root, likely background, a tie with the background, a tie of organs.
    probabilities_CHW = np.array([[[255, 100, 120, 90]], [[0, 20, 15, 90]], [[0, 0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(
        replace(prediction, probabilities_CHW=probabilities_CHW).class_map(), np.array([[1, 0, 0, 1]], np.uint8)
    )


@pytest.mark.parametrize(
    "ridge_HW", [np.zeros((40, 31), np.int8), np.zeros((40, 30), np.float32), np.zeros(3, np.int8)]
)
def test_segmentation_prediction_rejects_ridges_of_wrong_shape(ridge_HW: np.ndarray) -> None:
    broken = replace(DrawnMaps(40, 30).to_prediction(), ridge_HW=ridge_HW)
    with pytest.raises(ModelFailedError, match="ridges"):
        SegmentationPrediction.from_bytes(broken.to_bytes())


@pytest.mark.parametrize("levels", [3, 256])
def test_most_likely_classes_resolve_ties_as_defined(levels: int) -> None:
    probabilities_CHW = np.random.default_rng(levels).integers(0, levels, (3, 60, 80), np.uint8) * np.uint8(
        255 // (levels - 1)
    )
    organ_HW, probability_HW = probabilities_CHW.argmax(axis=0), probabilities_CHW.max(axis=0)
    background_HW = 255 - np.minimum(probabilities_CHW.sum(axis=0, dtype=int), 255)
    expected_HW = np.where(probability_HW > background_HW, organ_HW + 1, 0)
    np.testing.assert_array_equal(most_likely_classes(probabilities_CHW), expected_HW)
