"""Summary of a prediction on a golden plate, for comparison and for storage in an archive."""

import math

import numpy as np
from numpy.typing import NDArray

from thale.errors import ModelFailedError
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.monitoring.scoring import DiceCounter, count_overlaps
from thale.release.registry.golden.plates import ORGANS, GoldenPlate
from thale.release.registry.golden_predictions import GoldenPrediction
from thale.schemas import Landmark


def summarise(plate: GoldenPlate, prediction: SegmentationPrediction | LandmarkPrediction) -> GoldenPrediction:
    """Return the summary of a prediction.

    Raises:
        ModelFailedError: If the prediction is outside the image, or its probabilities are not valid.
    """
    if isinstance(prediction, LandmarkPrediction):
        _check_landmarks(plate, prediction.landmarks)
        # 0.01 px is enough for comparison, and keeps the file small.
        marks = tuple(
            mark.model_copy(update={"x": round(mark.x, 2), "y": round(mark.y, 2), "score": round(mark.score, 3)})
            for mark in prediction.landmarks
        )
        return GoldenPrediction(plate=plate.name, plate_sha256=plate.digest, model=prediction.model, landmarks=marks)
    overlap_by_class = _count_overlaps(plate, prediction)
    return GoldenPrediction(
        plate=plate.name,
        plate_sha256=plate.digest,
        model=prediction.meta.model,
        classes=prediction.meta.classes,
        area_px={organ: overlap.predicted for organ, overlap in overlap_by_class.items()},
        dice={
            organ: round(overlap.dice, 4)
            for organ, overlap in overlap_by_class.items()
            if organ in ORGANS and overlap.predicted + overlap.true
        },
    )


def _count_overlaps(plate: GoldenPlate, prediction: SegmentationPrediction) -> dict[str, DiceCounter]:
    """Return the overlap of each class. A class without truth overlaps with nothing."""
    height, width = plate.mask_HW.shape
    frame = prediction.meta.frame
    inside = min(frame.x0, frame.y0) >= 0
    if not inside or frame.x0 + frame.source_width > width or frame.y0 + frame.source_height > height:
        raise ModelFailedError(f"the frame of the prediction is partly outside {plate.name}: {frame!r}")
    max_sum = int(prediction.probabilities_CHW.sum(axis=0, dtype=np.uint16).max(initial=0))
    if max_sum > 255 + len(prediction.probabilities_CHW):  # each plane is rounded separately
        raise ModelFailedError(f"the predicted probabilities on {plate.name} sum to {max_sum / 255:.2f}")
    return count_overlaps(prediction, _relabel_mask(plate, prediction.meta.classes[1:]))


def _relabel_mask(plate: GoldenPlate, organs: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the mask of a plate with the class numbers of the model."""
    mask_HW = np.zeros_like(plate.mask_HW)
    for number, organ in enumerate(organs, start=1):
        if organ in ORGANS:
            mask_HW[plate.mask_HW == ORGANS.index(organ) + 1] = number
    return mask_HW


def _check_landmarks(plate: GoldenPlate, landmarks: tuple[Landmark, ...]) -> None:
    height, width = plate.mask_HW.shape
    for mark in landmarks:
        if not (math.isfinite(mark.x + mark.y) and -1 <= mark.x <= width and -1 <= mark.y <= height):
            raise ModelFailedError(f"the predicted {mark.kind} is outside {plate.name}: x {mark.x:g}, y {mark.y:g}")
