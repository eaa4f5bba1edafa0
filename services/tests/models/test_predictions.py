"""Segmentation answers on the wire: from this model server, from an older one, and from a broken one."""

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sample_plates import SyntheticPlate
from thale.errors import ModelFailedError
from thale.models.predictions import SegmentationPrediction


def test_an_answer_survives_the_wire_with_its_ridges() -> None:
    answer = SyntheticPlate(40, 30).to_prediction()
    ridge_HW = np.arange(-600, 600).reshape(40, 30).clip(-127, 127).astype(np.int8)
    again = SegmentationPrediction.from_bytes(replace(answer, ridge_HW=ridge_HW).to_bytes())
    assert again.ridge_HW is not None
    np.testing.assert_array_equal(again.ridge_HW, ridge_HW)
    np.testing.assert_array_equal(again.probabilities_CHW, answer.probabilities_CHW)
    assert again.meta == answer.meta


def test_the_answer_of_an_older_model_server_has_no_ridges_and_is_read() -> None:
    older = SyntheticPlate(40, 30).to_prediction().to_bytes()
    with np.load(io.BytesIO(older)) as arrays:
        assert set(arrays) == {"probabilities", "meta"}
    assert SegmentationPrediction.from_bytes(older).ridge_HW is None


@pytest.mark.parametrize(
    "ridge_HW", [np.zeros((40, 31), np.int8), np.zeros((40, 30), np.float32), np.zeros(3, np.int8)]
)
def test_ridges_that_do_not_fit_are_a_failure_of_the_model(ridge_HW: np.ndarray) -> None:
    broken = replace(SyntheticPlate(40, 30).to_prediction(), ridge_HW=ridge_HW)
    with pytest.raises(ModelFailedError, match="ridges"):
        SegmentationPrediction.from_bytes(broken.to_bytes())
