"""Inference of one model on one image, for the handlers and for `evaluate`.

The image is cropped to the plate, resampled to the training scale, and processed tile by tile. Memory contains the
decoded image, the 8-bit prediction, the image at training scale, and one row of tiles. The image at training scale has
as many bytes as the maps of three organs.
"""

import time
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from thale.errors import ImageTooLargeError, ScaleError
from thale.imaging.calibration import interior_mask, region_of_interest
from thale.imaging.geometry import Frame
from thale.imaging.ridge_filter import ridge_response
from thale.models.predictions import LandmarkPrediction, SegmentationMeta, SegmentationPrediction
from thale.schemas import Calibration, Flag, Landmark, LandmarkKind, ModelCard, ModelRef
from thale.telemetry.step_timing import step
from thale_models.engine import Engine
from thale_models.heatmap_peaks import PeakFinder
from thale_models.tiled_inference import predict_in_bands
from thale_models.transforms import resample, training_frame

MAX_PIXELS = 25_000_000
"""Maximum number of pixels of an image at training scale. Three organs and ridges of this size are the largest response
(config.properties)."""

MIN_LANDMARK_SCORE = 0.2
"""Minimum score of a landmark in a prediction. Plant reconstruction applies stricter thresholds by context: a faint
peak at the end of a root is a tip (`thale.phenotyping.plants.graph_repair`)."""
MIN_LANDMARK_DISTANCE_MM = 0.5
MAX_LANDMARKS_PER_KIND = 500
"""Maximum number of landmarks of one kind in a prediction. A crowded plate has some hundred tips."""


def segment(
    image_HW3: NDArray[np.uint8],
    card: ModelCard,
    engine: Engine,
    calibration: Calibration,
    *,
    include_ridges: bool = True,
) -> SegmentationPrediction:
    """Return the probability of each organ for each pixel of the plate, at the training scale, and the ridges.

    Probabilities and ridges are 0 on the rim of a plate: nothing grows there, and its straight lines look like roots
    (docs/adr/0036-no-predictions-on-the-plate-rim.md).

    Args:
        image_HW3: The decoded image.
        card: The card of a segmentation model.
        engine: The engine of that model.
        calibration: Scale and plate of the image. Pixels outside the plate are ignored.
        include_ridges: Also return the ridges.

    Raises:
        ScaleError: If the image would have more than `MAX_PIXELS` at training scale.
        ImageTooLargeError: If the scale is unknown and the image has more than `MAX_PIXELS`.
    """
    started_s = time.perf_counter()
    with step("transform"), step("resample"):
        frame, pixels_HW3 = _resample_to_training_scale(image_HW3, card, calibration)
    resampled_s = time.perf_counter()
    probabilities_CHW = np.empty((len(card.classes) - 1, frame.height, frame.width), np.uint8)
    with step("inference"), step("net"):
        for band in predict_in_bands(pixels_HW3, card, engine, first_plane=1):
            levels_CHW = np.multiply(band.planes_CHW, 255, out=band.planes_CHW)
            probabilities_CHW[:, band.rows] = np.rint(levels_CHW, out=levels_CHW)
    predicted_s = time.perf_counter()
    ridge_HW = None
    if include_ridges:
        with step("inference"), step("ridges"):
            ridge_HW = ridge_response(pixels_HW3)
    if calibration.plate is not None:
        inside_HW = interior_mask(calibration, frame)
        probabilities_CHW *= inside_HW
        if ridge_HW is not None:
            ridge_HW *= inside_HW
    meta = SegmentationMeta(
        model=_model_ref(card, engine),
        classes=card.classes,
        frame=frame,
        calibration=calibration,
        seconds={
            "resample": resampled_s - started_s,
            "net": predicted_s - resampled_s,
            "ridges": time.perf_counter() - predicted_s,
        },
    )
    return SegmentationPrediction(meta, probabilities_CHW, ridge_HW)


def find_landmarks(
    image_HW3: NDArray[np.uint8], card: ModelCard, engine: Engine, calibration: Calibration
) -> LandmarkPrediction:
    """Return the landmarks on the plate in source pixels: by kind in the order of the card, then by descending score.

    Args:
        image_HW3: The decoded image.
        card: The card of a landmark model.
        engine: The engine of that model.
        calibration: Scale and plate of the image. Landmarks outside the plate are dropped.

    Raises:
        ScaleError: If the image would have more than `MAX_PIXELS` at training scale.
        ImageTooLargeError: If the scale is unknown and the image has more than `MAX_PIXELS`.
    """
    started_s = time.perf_counter()
    with step("transform"), step("resample"):
        frame, pixels_HW3 = _resample_to_training_scale(image_HW3, card, calibration)
    resampled_s = time.perf_counter()
    radius = max(1, round(MIN_LANDMARK_DISTANCE_MM / card.mm_per_px))
    finder = PeakFinder(len(card.classes), radius, MIN_LANDMARK_SCORE, MAX_LANDMARKS_PER_KIND)
    with step("inference"), step("net"):
        peaks = finder.collect(predict_in_bands(pixels_HW3, card, engine))
    positions_N2 = frame.to_source(np.array([(peak.x, peak.y) for peak in peaks]).reshape(-1, 2))
    inside_HW = interior_mask(calibration, frame)
    landmarks = tuple(
        Landmark(kind=_parse_landmark_kind(card.classes[peak.plane]), x=float(x), y=float(y), score=peak.score)
        for peak, (x, y) in zip(peaks, positions_N2, strict=True)
        if inside_HW[round(peak.y), round(peak.x)]
    )
    return LandmarkPrediction(
        model=_model_ref(card, engine),
        landmarks=landmarks,
        calibration=calibration,
        flags=_truncation_flags(card, finder),
        seconds={"resample": resampled_s - started_s, "net": time.perf_counter() - resampled_s},
    )


def _resample_to_training_scale(
    image_HW3: NDArray[np.uint8], card: ModelCard, calibration: Calibration
) -> tuple[Frame, NDArray[np.uint8]]:
    height, width = image_HW3.shape[:2]
    frame = training_frame(region_of_interest(calibration, height, width), calibration.scale.mm_per_px, card.mm_per_px)
    if frame.width * frame.height > MAX_PIXELS:
        if calibration.scale.is_known:
            raise ScaleError(
                f"at {calibration.scale.mm_per_px:g} mm per pixel, the input of {card.name} has {frame.width} x "
                f"{frame.height} px, more than {MAX_PIXELS}: check mm_per_px, or crop the image to the plate"
            )
        raise ImageTooLargeError(
            f"the scale is unknown and the image has {frame.width} x {frame.height} px, more than {MAX_PIXELS}: "
            "pass mm_per_px or plate_width_mm so that it can be reduced, or send a smaller image"
        )
    return frame, resample(image_HW3, frame)


def _parse_landmark_kind(name: str) -> LandmarkKind:
    if name not in get_args(LandmarkKind):
        raise ValueError(f"{name!r} is not a landmark kind; validate_model_card rejects such a card")
    return cast(LandmarkKind, name)


def _truncation_flags(card: ModelCard, finder: PeakFinder) -> tuple[Flag, ...]:
    return tuple(
        Flag(
            code="landmarks_left_out",
            message=f"{peak_count} candidates for {kind}; only the {finder.limit} with the highest scores are returned",
        )
        for kind, peak_count in zip(card.classes, finder.peak_counts, strict=True)
        if peak_count > finder.limit
    )


def _model_ref(card: ModelCard, engine: Engine) -> ModelRef:
    return ModelRef(name=card.name, version=card.version, digest=f"sha256:{card.weights_sha256}", engine=engine.name)
