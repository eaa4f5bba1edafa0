"""What a model says of a golden plate, in a few numbers that can be compared and kept in its archive."""

import math

import numpy as np
from numpy.typing import NDArray

from thale.errors import ModelFailedError
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.monitoring.scoring import DiceCounter, count_overlaps
from thale.release.registry.golden.plates import ORGANS, GoldenPlate
from thale.release.registry.golden_predictions import GoldenPrediction
from thale.schemas import Landmark


def summarise(plate: GoldenPlate, answer: SegmentationPrediction | LandmarkPrediction) -> GoldenPrediction:
    """Return an answer in numbers.

    Raises:
        ModelFailedError: If it is about another picture or says what cannot be.
    """
    if isinstance(answer, LandmarkPrediction):
        _check_landmarks(plate, answer.landmarks)
        # Hundredths of pixels: more would be noise in a file that is made to be compared.
        marks = tuple(
            mark.model_copy(update={"x": round(mark.x, 2), "y": round(mark.y, 2), "score": round(mark.score, 3)})
            for mark in answer.landmarks
        )
        return GoldenPrediction(plate=plate.name, plate_sha256=plate.digest, model=answer.model, landmarks=marks)
    overlap_by_class = _count_overlaps(plate, answer)
    return GoldenPrediction(
        plate=plate.name,
        plate_sha256=plate.digest,
        model=answer.meta.model,
        classes=answer.meta.classes,
        area_px={organ: overlap.predicted for organ, overlap in overlap_by_class.items()},
        dice={
            organ: round(overlap.dice, 4)
            for organ, overlap in overlap_by_class.items()
            if organ in ORGANS and overlap.predicted + overlap.true
        },
    )


def _count_overlaps(plate: GoldenPlate, answer: SegmentationPrediction) -> dict[str, DiceCounter]:
    """Count the overlaps of each class; a class that the truth does not know overlaps with nothing."""
    height, width = plate.mask_HW.shape
    frame = answer.meta.frame
    inside = min(frame.x0, frame.y0) >= 0
    if not inside or frame.x0 + frame.source_width > width or frame.y0 + frame.source_height > height:
        raise ModelFailedError(f"the answer shows a part of {plate.name} that lies outside it: {frame!r}")
    max_sum = int(answer.probabilities_CHW.sum(axis=0, dtype=np.uint16).max(initial=0))
    if max_sum > 255 + len(answer.probabilities_CHW):  # each plane is rounded by itself
        raise ModelFailedError(f"the answer's probabilities on {plate.name} add up to {max_sum / 255:.2f}")
    return count_overlaps(answer, _relabel_mask(plate, answer.meta.classes[1:]))


def _relabel_mask(plate: GoldenPlate, organs: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the plate's mask with the model's own numbers for its classes."""
    mask_HW = np.zeros_like(plate.mask_HW)
    for number, organ in enumerate(organs, start=1):
        if organ in ORGANS:
            mask_HW[plate.mask_HW == ORGANS.index(organ) + 1] = number
    return mask_HW


def _check_landmarks(plate: GoldenPlate, landmarks: tuple[Landmark, ...]) -> None:
    height, width = plate.mask_HW.shape
    for mark in landmarks:
        if not (math.isfinite(mark.x + mark.y) and -1 <= mark.x <= width and -1 <= mark.y <= height):
            raise ModelFailedError(f"the answer has a {mark.kind} outside {plate.name}: x {mark.x:g}, y {mark.y:g}")
