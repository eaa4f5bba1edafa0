"""Predictions of fake models on the golden plates, made from their truth."""

from collections.abc import Callable

import numpy as np

from tests.support.sample_releases import make_version
from thale.imaging.geometry import Frame
from thale.models.predictions import (
    LANDMARKS_MEDIA_TYPE,
    SEGMENTATION_MEDIA_TYPE,
    LandmarkPrediction,
    SegmentationMeta,
    SegmentationPrediction,
)
from thale.release.registry.golden import GoldenPlate
from thale.schemas import Calibration, Landmark, ModelCard, ModelRef, Scale

SEGMENTER: ModelCard = make_version("1.0.0").card
LANDMARKER = SEGMENTER.model_copy(
    update={
        "name": "plate-landmarks",
        "task": "landmarks",
        "classes": ("root_base", "primary_tip", "lateral_tip"),
    }
)


def model_ref(card: ModelCard) -> ModelRef:
    return ModelRef(name=card.name, version=card.version, digest=f"sha256:{card.weights_sha256}", engine="truth")


def true_segmentation(
    plate: GoldenPlate,
    card: ModelCard = SEGMENTER,
    transform: Callable[[np.ndarray], np.ndarray] = lambda mask_HW: mask_HW,
) -> SegmentationPrediction:
    """Return the transformed truth as a segmentation prediction."""
    mask_HW = transform(plate.mask_HW)
    height, width = mask_HW.shape
    frame = Frame(x0=0, y0=0, source_width=width, source_height=height, width=width, height=height)
    calibration = Calibration(scale=Scale(mm_per_px=plate.mm_per_px, source="given"))
    planes = [np.where(mask_HW == number, 255, 0) for number in range(1, len(card.classes))]
    meta = SegmentationMeta(model=model_ref(card), classes=card.classes, frame=frame, calibration=calibration)
    return SegmentationPrediction(meta, np.array(planes, np.uint8))


def true_landmarks(
    plate: GoldenPlate,
    card: ModelCard = LANDMARKER,
    transform: Callable[[Landmark], Landmark | None] = lambda mark: mark,
) -> LandmarkPrediction:
    """Return the true landmarks as a prediction, each transformed or removed."""
    marks = tuple(transformed for mark in plate.landmarks if (transformed := transform(mark)) is not None)
    calibration = Calibration(scale=Scale(mm_per_px=plate.mm_per_px, source="given"))
    return LandmarkPrediction(model=model_ref(card), landmarks=marks, calibration=calibration)


def encode_response(prediction: SegmentationPrediction | LandmarkPrediction) -> tuple[int, str, bytes]:
    """Return a prediction as status, media type and body of a model server's response."""
    if isinstance(prediction, SegmentationPrediction):
        return 200, SEGMENTATION_MEDIA_TYPE, prediction.to_bytes()
    return 200, LANDMARKS_MEDIA_TYPE, prediction.model_dump_json().encode()
