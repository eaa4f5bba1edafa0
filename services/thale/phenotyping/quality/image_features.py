"""Features of the image for the error model: resolution, contrast, noise and compression, against the training data.

Two features concern the detected plate. A wrong edge changes the scale, and so every length.
"""

import math

import numpy as np

from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.schemas import ImageMetadata, Plate

TRAINING_PX_PER_MM = (14.0, 23.0)
"""Resolutions of the training images, before they are resampled to the training scale."""

_LOSSLESS_QUALITY = 95
_BACKGROUND_LEVEL = 13
_STEP = 4


def image_features(
    image: ImageMetadata, segmentation: SegmentationPrediction, root_points_N2: Points
) -> dict[str, float]:
    """Return the features that all plants of an image share.

    The ridge filter replaces the pixels, which post-processing does not have: its response on the traced roots is their
    contrast, and its response elsewhere is noise and texture.

    Args:
        image: Metadata of the image.
        segmentation: Probabilities and ridges.
        root_points_N2: Points along all traced roots, in frame pixels.
    """
    scale, frame = segmentation.meta.calibration.scale, segmentation.meta.frame
    min_px_per_mm, max_px_per_mm = TRAINING_PX_PER_MM
    px_per_mm = 1 / scale.mm_per_px if scale.is_known else min_px_per_mm
    quality = image.jpeg_quality if image.jpeg_quality is not None else _LOSSLESS_QUALITY
    contrast, background = 1.0, 0.0
    if segmentation.ridge_HW is not None and len(root_points_N2):
        on_roots = polyline.sample(segmentation.ridge_HW.view(np.uint8), root_points_N2).view(np.int8)
        contrast = float(np.median(np.abs(on_roots.astype(np.int16))))
        ridge_HW = np.abs(segmentation.ridge_HW[::_STEP, ::_STEP].astype(np.int16))
        is_agar_HW = segmentation.class_probability("root")[::_STEP, ::_STEP] < _BACKGROUND_LEVEL
        background = float(ridge_HW[is_agar_HW].mean()) if is_agar_HW.any() else 0.0
    confidence = polyline.sample(segmentation.class_probability("root"), root_points_N2)
    return {
        "resolution_below": max(0.0, math.log(min_px_per_mm / px_per_mm)),
        "resolution_above": max(0.0, math.log(px_per_mm / max_px_per_mm)),
        "compression": max(0, _LOSSLESS_QUALITY - quality) / 25,
        "contrast": math.log1p(contrast),
        "background_ridges": math.log1p(background),
        "contrast_to_background": math.log((contrast + 0.5) / (background + 0.5)),
        "image_confidence": float(confidence.mean() / 255) if len(confidence) else 1.0,
        "frame_factor": math.log(frame.factor),
        **_plate_features(segmentation.meta.calibration.plate),
    }


def _plate_features(plate: Plate | None) -> dict[str, float]:
    """Return the doubt of the plate's edge, and the log ratio of its longest to its shortest side."""
    if plate is None:
        return {"plate_doubt": 1.0, "plate_skew": 0.0}
    corners = [(corner.x, corner.y) for corner in plate.corners]
    sides = [math.dist(start, end) for start, end in zip(corners, corners[1:] + corners[:1], strict=True)]
    return {"plate_doubt": 1 - plate.confidence, "plate_skew": math.log(max(sides) / max(min(sides), 1e-9))}
