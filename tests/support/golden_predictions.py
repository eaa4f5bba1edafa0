"""Models that answer the golden plates from what is true of them: as well as a test wants."""

from collections.abc import Callable

import numpy as np

from tests.support.sample_releases import version
from thale.imaging.geometry import Frame
from thale.models.predictions import (
    LANDMARKS_MEDIA_TYPE,
    SEGMENTATION_MEDIA_TYPE,
    LandmarksAnswer,
    SegmentationAnswer,
    SegmentationMeta,
)
from thale.release.registry.golden import GoldenPlate
from thale.schemas import Calibration, Card, Landmark, ModelRef, Scale

SEGMENTER: Card = version("1.0.0").card
LANDMARKER = SEGMENTER.model_copy(
    update={
        "name": "plate-landmarks",
        "task": "landmarks",
        "classes": ("root_base", "primary_tip", "lateral_tip"),
    }
)


def model_of(card: Card) -> ModelRef:
    return ModelRef(name=card.name, version=card.version, digest=f"sha256:{card.weights_sha256}", engine="truth")


def segmentation(
    plate: GoldenPlate,
    card: Card = SEGMENTER,
    change: Callable[[np.ndarray], np.ndarray] = lambda mask_HW: mask_HW,
) -> SegmentationAnswer:
    """Return the truth, changed, as a segmentation model would answer it."""
    mask_HW = change(plate.mask_HW)
    height, width = mask_HW.shape
    frame = Frame(x0=0, y0=0, source_width=width, source_height=height, width=width, height=height)
    calibration = Calibration(scale=Scale(mm_per_px=plate.mm_per_px, source="given"))
    planes = [np.where(mask_HW == number, 255, 0) for number in range(1, len(card.classes))]
    meta = SegmentationMeta(model=model_of(card), classes=card.classes, frame=frame, calibration=calibration)
    return SegmentationAnswer(meta, np.array(planes, np.uint8))


def landmarks(
    plate: GoldenPlate,
    card: Card = LANDMARKER,
    change: Callable[[Landmark], Landmark | None] = lambda mark: mark,
) -> LandmarksAnswer:
    """Return the true landmarks, each changed or left out."""
    marks = tuple(changed for mark in plate.landmarks if (changed := change(mark)) is not None)
    calibration = Calibration(scale=Scale(mm_per_px=plate.mm_per_px, source="given"))
    return LandmarksAnswer(model=model_of(card), landmarks=marks, calibration=calibration)


def said(answer: SegmentationAnswer | LandmarksAnswer) -> tuple[int, str, bytes]:
    """Return an answer as a model server says it."""
    if isinstance(answer, SegmentationAnswer):
        return 200, SEGMENTATION_MEDIA_TYPE, answer.to_bytes()
    return 200, LANDMARKS_MEDIA_TYPE, answer.model_dump_json().encode()
