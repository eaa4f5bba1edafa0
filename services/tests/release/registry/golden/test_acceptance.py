"""Tests of acceptance on the golden plates, against the truth and against golden predictions."""

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


def as_golden_predictions(predictions: list[GoldenPrediction]) -> GoldenPredictions:
    return GoldenPredictions(weights_sha256=SEGMENTER.weights_sha256, answers=tuple(predictions))


def shift_left(by: float) -> Callable[[Landmark], Landmark]:
    return lambda mark: mark.model_copy(update={"x": max(0.0, mark.x - by)})


def test_acceptance_scores_the_truth_as_one() -> None:
    assert check_acceptance(SEGMENTER, predict(), as_golden_predictions(predict())) == {
        "dice_root": 1,
        "dice_shoot": 1,
        "dice_seed": 1,
    }
    assert check_acceptance(LANDMARKER, predict_landmarks(), None) == {"landmark_f1": 1}


def test_acceptance_tolerates_numerical_differences() -> None:
    def speckled(mask_HW: np.ndarray) -> np.ndarray:
        speckles = mask_HW.copy()
        speckles[0, ::80] = 1
        return speckles

    assert check_acceptance(SEGMENTER, predict(speckled), as_golden_predictions(predict()))
    assert check_acceptance(LANDMARKER, predict_landmarks(shift_left(0.4)), as_golden_predictions(predict_landmarks()))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (predict(lambda mask_HW: np.zeros_like(mask_HW)), "the model detects none"),
        (predict(lambda mask_HW: np.zeros_like(mask_HW)), "Dice of root is 0.000"),
        (predict(shift(100)), "Dice of root"),
        (
            predict(lambda mask_HW: np.where(mask_HW == 2, 0, mask_HW)),
            "Dice of shoot is 0.000, below",
        ),
        (predict(lambda mask_HW: np.where(mask_HW == 0, 1, mask_HW)), "Dice of root"),
    ],
)
def test_acceptance_rejects_low_scores(predictions: list[GoldenPrediction], message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        check_acceptance(SEGMENTER, predictions, None)


def test_acceptance_rejects_empty_predictions_without_criteria() -> None:
    with pytest.raises(RegistrationError, match="the model detects none"):
        check_acceptance(SEGMENTER, predict(lambda mask_HW: np.zeros_like(mask_HW)), None, NO_CRITERIA)
    with pytest.raises(RegistrationError, match="the model detects none"):
        check_acceptance(LANDMARKER, predict_landmarks(lambda mark: None), None, NO_CRITERIA)


def test_acceptance_names_differences_from_golden_predictions() -> None:
    with pytest.raises(
        RegistrationError, match=r"(?s)px of root, and \d+ px when the model was archived.*Dice of root"
    ):
        check_acceptance(
            SEGMENTER, predict(lambda mask_HW: mask_HW * (np.arange(640) % 4 > 0)), as_golden_predictions(predict())
        )
    with pytest.raises(RegistrationError, match=r"moved by more than 0\.5 px"):
        check_acceptance(LANDMARKER, predict_landmarks(shift_left(2.0)), as_golden_predictions(predict_landmarks()))
    with pytest.raises(RegistrationError, match=r"F1 of the landmarks is 0\.0"):
        check_acceptance(LANDMARKER, predict_landmarks(shift_left(40.0)), None)


def test_acceptance_ignores_landmarks_with_low_scores() -> None:
    faint = [
        prediction.model_copy(
            update={"landmarks": (*prediction.landmarks, Landmark(kind="lateral_tip", x=5, y=5, score=0.31))}
        )
        for prediction in predict_landmarks()
    ]
    assert check_acceptance(LANDMARKER, predict_landmarks(), as_golden_predictions(faint))
    assert check_acceptance(LANDMARKER, faint, as_golden_predictions(predict_landmarks()))


def test_acceptance_rejects_predictions_of_another_model() -> None:
    other = SEGMENTER.model_copy(update={"weights_sha256": "other"})
    with pytest.raises(RegistrationError, match="predicted by plate-seg"):
        check_acceptance(other, predict(), None)
    fewer = SEGMENTER.model_copy(update={"classes": ("background", "root")})
    with pytest.raises(RegistrationError, match="predicted classes"):
        check_acceptance(fewer, predict(), None)
    basal = LANDMARKER.model_copy(update={"classes": ("root_base",)})
    with pytest.raises(RegistrationError, match="the card does not contain lateral_tip and primary_tip"):
        check_acceptance(basal, predict_landmarks(), None)


def test_acceptance_ignores_predictions_on_other_plates() -> None:
    old = [prediction.model_copy(update={"plate_sha256": "0", "area_px": {"root": 1}}) for prediction in predict()]
    assert check_acceptance(SEGMENTER, predict(), as_golden_predictions(old))


def test_acceptance_scores_only_known_organs() -> None:
    leaves = SEGMENTER.model_copy(update={"classes": ("background", "leaf")})
    predictions = [summarise(plate, true_segmentation(plate, leaves)) for plate in golden_plates()]
    assert check_acceptance(leaves, predictions, as_golden_predictions(predictions)) == {}
