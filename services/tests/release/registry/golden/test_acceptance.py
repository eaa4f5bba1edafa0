"""Held against the truth and against what the model answered before: what passes, and what is named."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.golden_predictions import LANDMARKER, SEGMENTER, true_landmarks, true_segmentation
from thale.errors import RegistrationError
from thale.release.registry.golden import (
    AcceptanceCriteria,
    GoldenPrediction,
    GoldenPredictions,
    check_acceptance,
    golden_plates,
    summarise,
)
from thale.schemas import Landmark, ModelCard

Change = Callable[[np.ndarray], np.ndarray]
NO_CRITERIA = AcceptanceCriteria(min_dice={}, min_f1=0)


def unchanged(mask_HW: np.ndarray) -> np.ndarray:
    return mask_HW


def shift(by: int) -> Change:
    return lambda mask_HW: np.roll(mask_HW, by, axis=1)


def predict(change: Change = unchanged, card: ModelCard = SEGMENTER) -> list[GoldenPrediction]:
    return [summarise(plate, true_segmentation(plate, card, change)) for plate in golden_plates()]


def predict_landmarks(change: Callable[[Landmark], Landmark | None] = lambda mark: mark) -> list[GoldenPrediction]:
    return [summarise(plate, true_landmarks(plate, transform=change)) for plate in golden_plates()]


def as_golden_predictions(given: list[GoldenPrediction]) -> GoldenPredictions:
    return GoldenPredictions(weights_sha256=SEGMENTER.weights_sha256, answers=tuple(given))


def shift_left(by: float) -> Callable[[Landmark], Landmark]:
    return lambda mark: mark.model_copy(update={"x": max(0.0, mark.x - by)})


def test_the_truth_passes_with_full_marks() -> None:
    assert check_acceptance(SEGMENTER, predict(), as_golden_predictions(predict())) == {
        "dice_root": 1,
        "dice_shoot": 1,
        "dice_seed": 1,
    }
    assert check_acceptance(LANDMARKER, predict_landmarks(), None) == {"landmark_f1": 1}


def test_a_processors_arithmetic_passes() -> None:
    def speckled(mask_HW: np.ndarray) -> np.ndarray:
        speckles = mask_HW.copy()
        speckles[0, ::80] = 1
        return speckles

    assert check_acceptance(SEGMENTER, predict(speckled), as_golden_predictions(predict()))
    assert check_acceptance(LANDMARKER, predict_landmarks(shift_left(0.4)), as_golden_predictions(predict_landmarks()))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (predict(lambda mask_HW: np.zeros_like(mask_HW)), "sees none of it"),
        (predict(lambda mask_HW: np.zeros_like(mask_HW)), "Dice of root is 0.000"),
        (predict(shift(100)), "Dice of root"),
        (predict(lambda mask_HW: np.where(mask_HW == 2, 0, mask_HW)), "Dice of shoot is 0.000, at least 0.5"),
        (predict(lambda mask_HW: np.where(mask_HW == 0, 1, mask_HW)), "Dice of root"),
    ],
)
def test_what_is_far_from_the_truth_is_refused(given: list[GoldenPrediction], complaint: str) -> None:
    with pytest.raises(RegistrationError, match=complaint):
        check_acceptance(SEGMENTER, given, None)


def test_nothing_at_all_is_refused_even_where_nothing_is_demanded() -> None:
    with pytest.raises(RegistrationError, match="sees none of it"):
        check_acceptance(SEGMENTER, predict(lambda mask_HW: np.zeros_like(mask_HW)), None, NO_CRITERIA)
    with pytest.raises(RegistrationError, match="sees none of it"):
        check_acceptance(LANDMARKER, predict_landmarks(lambda mark: None), None, NO_CRITERIA)


def test_answers_that_differ_from_the_models_own_are_refused_by_what_differs() -> None:
    with pytest.raises(
        RegistrationError, match=r"(?s)px of root, and \d+ px when the model was archived.*Dice of root"
    ):
        check_acceptance(
            SEGMENTER, predict(lambda mask_HW: mask_HW * (np.arange(640) % 4 > 0)), as_golden_predictions(predict())
        )
    with pytest.raises(RegistrationError, match=r"0\.5 px elsewhere"):
        check_acceptance(LANDMARKER, predict_landmarks(shift_left(2.0)), as_golden_predictions(predict_landmarks()))
    with pytest.raises(RegistrationError, match=r"F1 of the landmarks is 0\.0"):
        check_acceptance(LANDMARKER, predict_landmarks(shift_left(40.0)), None)


def test_faint_landmarks_may_come_and_go() -> None:
    faint = [
        answer.model_copy(update={"landmarks": (*answer.landmarks, Landmark(kind="lateral_tip", x=5, y=5, score=0.31))})
        for answer in predict_landmarks()
    ]
    assert check_acceptance(LANDMARKER, predict_landmarks(), as_golden_predictions(faint))
    assert check_acceptance(LANDMARKER, faint, as_golden_predictions(predict_landmarks()))


def test_the_answers_of_another_model_are_refused() -> None:
    other = SEGMENTER.model_copy(update={"weights_sha256": "other"})
    with pytest.raises(RegistrationError, match="answered by plate-seg"):
        check_acceptance(other, predict(), None)
    fewer = SEGMENTER.model_copy(update={"classes": ("background", "root")})
    with pytest.raises(RegistrationError, match="tells apart"):
        check_acceptance(fewer, predict(), None)
    basal = LANDMARKER.model_copy(update={"classes": ("root_base",)})
    with pytest.raises(RegistrationError, match="knows no lateral_tip and no primary_tip"):
        check_acceptance(basal, predict_landmarks(), None)


def test_own_answers_about_other_plates_are_left_aside() -> None:
    old = [answer.model_copy(update={"plate_sha256": "0", "area_px": {"root": 1}}) for answer in predict()]
    assert check_acceptance(SEGMENTER, predict(), as_golden_predictions(old))


def test_a_model_of_other_organs_is_not_judged_by_roots() -> None:
    leaves = SEGMENTER.model_copy(update={"classes": ("background", "leaf")})
    given = [summarise(plate, true_segmentation(plate, leaves)) for plate in golden_plates()]
    assert check_acceptance(leaves, given, as_golden_predictions(given)) == {}
