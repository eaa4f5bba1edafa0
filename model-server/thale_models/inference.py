"""One picture through one model: what the handlers answer and what `evaluate` measures.

The picture is cut to the plate, brought to the model's training scale, and passed through the net tile by tile. Beside
the decoded picture and the 8-bit answer, memory holds the picture at training scale (as many bytes as the maps of three
organs) and one row of tiles, whatever the plate's size.
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
"""Most pixels of a picture at training scale; three organs and ridges of so many are the largest answer
(config.properties)."""

MIN_LANDMARK_SCORE = 0.2
"""Least score of a landmark that is answered. What it takes to be believed is for those to say who see the roots: a
faint peak where a root ends is a tip (`thale.phenotyping.plants.graph_repair`)."""
MIN_LANDMARK_DISTANCE_MM = 0.5
MAX_LANDMARKS_PER_KIND = 500
"""Most landmarks of one kind in an answer: a crowded plate has some hundred tips."""


def segment(
    image_HW3: NDArray[np.uint8], card: ModelCard, engine: Engine, calibration: Calibration
) -> SegmentationPrediction:
    """Return each organ's probability for each pixel of the plate, at the model's training scale, and its ridges.

    Nothing grows on a plate's rim, whose straight lines look like roots: there every probability is 0, and no ridge.

    Args:
        image_HW3: The decoded picture.
        card: A segmentation model's card.
        engine: That model.
        calibration: Scale and plate of the picture; what lies outside the plate is not looked at.

    Raises:
        ScaleError: If the scale would blow the picture up beyond `MAX_PIXELS`.
        ImageTooLargeError: If the scale is unknown and the picture has more pixels than that.
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
    with step("inference"), step("ridges"):
        ridge_HW = ridge_response(pixels_HW3)
    if calibration.plate is not None:
        inside_HW = interior_mask(calibration, frame)
        probabilities_CHW *= inside_HW
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
    """Return the landmarks on the plate in source pixels: by kind in the card's order, the surest first.

    Args:
        image_HW3: The decoded picture.
        card: A landmark model's card.
        engine: That model.
        calibration: Scale and plate of the picture; what lies outside the plate is not looked at.

    Raises:
        ScaleError: If the scale would blow the picture up beyond `MAX_PIXELS`.
        ImageTooLargeError: If the scale is unknown and the picture has more pixels than that.
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
                f"at {calibration.scale.mm_per_px:g} mm per pixel, {card.name} would see {frame.width} x "
                f"{frame.height} px, more than {MAX_PIXELS}: check mm_per_px, or cut the picture to the plate"
            )
        raise ImageTooLargeError(
            f"the scale is unknown and the picture has {frame.width} x {frame.height} px, more than {MAX_PIXELS}: "
            "give mm_per_px or plate_width_mm so that it can be reduced, or send a smaller one"
        )
    return frame, resample(image_HW3, frame)


def _parse_landmark_kind(name: str) -> LandmarkKind:
    if name not in get_args(LandmarkKind):
        raise ValueError(f"{name!r} is no kind of landmark; archive.read_card lets no such card pass")
    return cast(LandmarkKind, name)


def _truncation_flags(card: ModelCard, finder: PeakFinder) -> tuple[Flag, ...]:
    return tuple(
        Flag(
            code="landmarks_left_out",
            message=f"{peak_count} places look like a {kind}; the {finder.limit} surest are given",
        )
        for kind, peak_count in zip(card.classes, finder.peak_counts, strict=True)
        if peak_count > finder.limit
    )


def _model_ref(card: ModelCard, engine: Engine) -> ModelRef:
    return ModelRef(name=card.name, version=card.version, digest=f"sha256:{card.weights_sha256}", engine=engine.name)
