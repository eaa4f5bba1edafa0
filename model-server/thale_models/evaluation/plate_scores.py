"""Scores of one plate: the full pipeline, with the scale from the plate's edge, against the ground truth."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thale._version import __version__
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode, read_header
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.monitoring.scoring import DiceCounter, PointMatchCounter, count_overlaps, match_points, relative_error
from thale.phenotyping.pipeline import build_phenotype
from thale.phenotyping.quality.calibrated_quality import mark_uncalibrated
from thale.phenotyping.quality.error_model import error_model_for, is_uncalibrated
from thale.schemas import ModelCard, Phenotype, Plant, Provenance, Scale, Timings
from thale_models.engine import Engine
from thale_models.evaluation.ground_truth import GroundTruth, GroundTruthPlant
from thale_models.inference import find_landmarks, segment

TIP_MATCH_RADIUS_MM = 1.0
PLANT_MATCH_RADIUS_MM = 6.0
_ROOT_TIPS = {"primary_tip", "lateral_tip"}
"""Tips are scored only if both kinds are labelled. Otherwise a lateral tip would count as a false positive."""


@dataclass(frozen=True)
class LoadedModel:
    """A model card with its loaded engine."""

    card: ModelCard
    engine: Engine


@dataclass(frozen=True)
class PlantScore:
    """Score of one true plant: number of laterals, relative errors of lengths, absolute error of the leaf count.

    NaN: no measured value, or no ground truth.
    """

    laterals: int
    found: bool
    primary_error: float
    total_error: float
    hypocotyl_error: float
    leaf_count_error: float


@dataclass(frozen=True)
class PlateScore:
    """Contribution of one plate to the metrics. The errors of scale and total root length are relative, or NaN."""

    name: str
    overlaps: dict[str, DiceCounter]
    landmarks: dict[str, PointMatchCounter]
    tips: PointMatchCounter
    bases: PointMatchCounter
    plants: tuple[PlantScore, ...]
    plants_extra: int
    scale_error: float
    total_error: float
    seconds: float


@dataclass(frozen=True)
class EvaluatedPlate:
    """Predictions of the models for one plate. The phenotype is None without both models."""

    maps: SegmentationPrediction | None
    points: LandmarkPrediction | None
    phenotype: Phenotype | None

    @property
    def scale(self) -> Scale:
        """The calibrated scale."""
        prediction = self.maps.meta if self.maps is not None else self.points
        assert prediction is not None  # noqa: S101 at least one model is evaluated
        return prediction.calibration.scale


def evaluate_plate(
    image: bytes,
    name: str,
    segmentation: LoadedModel | None,
    landmarks: LoadedModel | None,
    error_models: Path | None = None,
) -> EvaluatedPlate:
    """Return the predictions of the models for a plate, and its phenotype if both models are given.

    The digests in the provenance are digests of the weights, because the models are folders and not archives. Error
    models are those of the package and of the folder `error_models`, as in the facade.

    Raises:
        ImageError: If the image cannot be read.
    """
    started_s = time.perf_counter()
    pixels_HW3 = decode(image)
    calibration = calibrate(pixels_HW3)
    maps = segment(pixels_HW3, segmentation.card, segmentation.engine, calibration) if segmentation else None
    segmented_s = time.perf_counter()
    points = find_landmarks(pixels_HW3, landmarks.card, landmarks.engine, calibration) if landmarks else None
    ended_s = time.perf_counter()
    if maps is None or points is None:
        return EvaluatedPlate(maps, points, None)
    provenance = Provenance(
        models=(maps.meta.model, points.model),
        config_digest="evaluation",
        package_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    timings = Timings(
        segment_s=segmented_s - started_s,
        landmarks_s=ended_s - segmented_s,
        plants_s=0.0,
        total_s=ended_s - started_s,
    )
    weights = (maps.meta.model.digest, points.model.digest)
    error_model = error_model_for(*weights, error_models)
    phenotype = build_phenotype(read_header(image, name), maps, points, provenance, timings, error_model=error_model)
    if is_uncalibrated(*weights, error_models):
        phenotype = mark_uncalibrated(phenotype)
    finished_s = time.perf_counter()
    measured = {"plants_s": finished_s - ended_s, "total_s": finished_s - started_s}
    timings = timings.model_copy(update=measured)
    return EvaluatedPlate(maps, points, phenotype.model_copy(update={"timings": timings}))


def score_plate(name: str, evaluated: EvaluatedPlate, ground_truth: GroundTruth, seconds: float) -> PlateScore:
    """Compare the evaluated plate with its ground truth. `seconds` is the duration of the evaluation of the plate."""
    scale = evaluated.scale
    # If the ground truth has no scale, distances use the calibrated scale, or pixels.
    known_scales = [value for value in (ground_truth.mm_per_px, scale.mm_per_px, 1.0) if math.isfinite(value)]
    mm_per_px = known_scales[0]
    predicted = evaluated.phenotype
    tips, bases = PointMatchCounter(), PointMatchCounter()
    plants: tuple[PlantScore, ...] = ()
    extra_plants, total_length_mm = 0, math.nan
    if predicted is not None:
        landmarks = ground_truth.landmarks or {}
        if landmarks.keys() >= _ROOT_TIPS:
            true_tips = np.concatenate([landmarks[kind] for kind in sorted(_ROOT_TIPS)])
            tips.add(_root_endpoints(predicted, -1), true_tips, mm_per_px, TIP_MATCH_RADIUS_MM)
        if "root_base" in landmarks:
            bases.add(_root_endpoints(predicted, 0), landmarks["root_base"], mm_per_px, TIP_MATCH_RADIUS_MM)
        plants, extra_plants = _match_plants(predicted, ground_truth, mm_per_px)
        traits = {trait.trait: trait.value for trait in predicted.traits}
        total_length_mm = traits["plate_total_root_length"] if scale.is_known else math.nan
    return PlateScore(
        name=name,
        overlaps=count_overlaps(evaluated.maps, ground_truth.mask_HW)
        if evaluated.maps and ground_truth.mask_HW is not None
        else {},
        landmarks=_match_landmarks(evaluated.points, ground_truth, mm_per_px) if evaluated.points is not None else {},
        tips=tips,
        bases=bases,
        plants=plants,
        plants_extra=extra_plants,
        scale_error=relative_error(scale.mm_per_px, ground_truth.mm_per_px),
        total_error=relative_error(total_length_mm, ground_truth.total_root_px * mm_per_px),
        seconds=seconds,
    )


def _match_landmarks(
    points: LandmarkPrediction, ground_truth: GroundTruth, mm_per_px: float
) -> dict[str, PointMatchCounter]:
    """Return the matches of each landmark kind, from the landmark model alone."""
    matches: dict[str, PointMatchCounter] = {}
    for kind, true_M2 in (ground_truth.landmarks or {}).items():
        found_N2 = np.array([(landmark.x, landmark.y) for landmark in points.landmarks if landmark.kind == kind], float)
        matches[kind] = PointMatchCounter()
        matches[kind].add(found_N2.reshape(-1, 2), true_M2, mm_per_px, TIP_MATCH_RADIUS_MM)
    return matches


def _has_germinated(plant: Plant) -> bool:
    """Return True if a plant has a root or a shoot."""
    return bool(plant.roots) or any(organ.kind == "shoot" for organ in plant.organs)


def _root_endpoints(predicted: Phenotype, end: int) -> NDArray[np.float64]:
    """Return the bases of primary roots (end 0) or the tips of all roots (end -1), in source pixels."""
    roots = [root for plant in predicted.plants for root in plant.roots if end == -1 or root.order == 1]
    return np.array([root.points[end] for root in roots], float).reshape(-1, 2)


def _match_plants(
    predicted: Phenotype, ground_truth: GroundTruth, mm_per_px: float
) -> tuple[tuple[PlantScore, ...], int]:
    """Match plants by their root bases. Return a score for each true plant, and the number of false plants."""
    germinated = [plant for plant in predicted.plants if _has_germinated(plant)]
    if ground_truth.plants is not None:
        true_positions = np.array([plant.base_xy for plant in ground_truth.plants], float).reshape(-1, 2)
    elif ground_truth.landmarks is not None and "root_base" in ground_truth.landmarks:
        true_positions = ground_truth.landmarks["root_base"]
    else:
        return (), 0
    positions = np.array([_plant_position(plant) for plant in germinated], float).reshape(-1, 2)
    pairs = {
        true_index: predicted_index
        for predicted_index, true_index in match_points(positions, true_positions, PLANT_MATCH_RADIUS_MM / mm_per_px)
    }
    scores = []
    for index in range(len(true_positions)):
        plant = germinated[pairs[index]] if index in pairs else None
        scores.append(
            _score_plant(plant, ground_truth.plants[index] if ground_truth.plants else None, predicted, mm_per_px)
        )
    return tuple(scores), len(germinated) - len(pairs)


def _plant_position(plant: Plant) -> tuple[float, float]:
    """Return the root base of a plant. If it is hidden, return the nearest point of the shoot.

    For a plant without a root, return the centroid of its outline.
    """
    base_xy = next((root.points[0] for root in plant.roots if root.order == 1), None)
    is_hidden = any(flag.code == "base_hidden" for flag in plant.flags)
    if base_xy is not None and not is_hidden:
        return base_xy
    kinds = {"shoot"} if is_hidden else {organ.kind for organ in plant.organs}
    polygons = [polygon for organ in plant.organs if organ.kind in kinds for polygon in organ.polygons]
    outline_N2 = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    if base_xy is None:
        x, y = outline_N2.mean(0)
    else:
        x, y = outline_N2[np.hypot(*(outline_N2 - base_xy).T).argmin()]
    return float(x), float(y)


def _score_plant(
    plant: Plant | None, true: GroundTruthPlant | None, predicted: Phenotype, mm_per_px: float
) -> PlantScore:
    if plant is None or true is None:
        return PlantScore(true.laterals if true else 0, plant is not None, math.nan, math.nan, math.nan, math.nan)
    traits = {trait.trait: trait.value for trait in plant.traits}
    return PlantScore(
        true.laterals,
        True,
        relative_error(traits["primary_root_length"], true.primary_px * mm_per_px),
        relative_error(traits["total_root_length"], true.total_px * mm_per_px),
        relative_error(traits["hypocotyl_length"], true.hypocotyl_px * mm_per_px),
        abs(traits["leaf_count"] - true.leaf_count),
    )
