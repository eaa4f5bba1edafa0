"""One plate, measured as a user would have it measured (scale from the plate's edge), against its truth."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from thale._version import __version__
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode, read_header
from thale.models.predictions import LandmarksAnswer, SegmentationAnswer
from thale.monitoring.scoring import Matches, Overlap, match_points, overlaps, relative_error
from thale.phenotyping.pipeline import phenotype
from thale.schemas import Card, Phenotype, Plant, Provenance, Scale, Timings
from thale_models.engine import Engine
from thale_models.evaluation.ground_truth import TruePlant, Truth
from thale_models.inference import find_landmarks, segment

TIP_RADIUS_MM = 1.0
SAME_PLANT_MM = 6.0
_ROOT_TIPS = {"primary_tip", "lateral_tip"}
"""Tips are judged where both kinds are labelled: a lateral's end would be a mistake otherwise."""


@dataclass(frozen=True)
class Model:
    """A model that is ready to answer."""

    card: Card
    engine: Engine


@dataclass(frozen=True)
class PlantScore:
    """One true plant: its laterals, the relative errors of its lengths, and by how many leaves the count is off.

    NaN: not measured, or not known.
    """

    laterals: int
    found: bool
    primary_error: float
    total_error: float
    hypocotyl_error: float
    leaves_off: float


@dataclass(frozen=True)
class PlateScore:
    """Everything that one plate adds to the figures."""

    name: str
    overlaps: dict[str, Overlap]
    landmarks: dict[str, Matches]
    tips: Matches
    bases: Matches
    plants: tuple[PlantScore, ...]
    plants_extra: int
    scale_error: float
    total_error: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What the models say of one plate. The phenotype needs both of them."""

    maps: SegmentationAnswer | None
    points: LandmarksAnswer | None
    phenotype: Phenotype | None

    @property
    def scale(self) -> Scale:
        """The scale that was found."""
        answer = self.maps.meta if self.maps is not None else self.points
        assert answer is not None  # noqa: S101 one model at least is measured
        return answer.calibration.scale


def measure(image: bytes, name: str, segmentation: Model | None, landmarks: Model | None) -> Measured:
    """Return what the models say of a plate, and with both of them its phenotype.

    The digests in its provenance are those of the weights: the models are folders, not archives.

    Raises:
        ImageError: If the image cannot be read.
    """
    begun = time.perf_counter()
    pixels_HW3 = decode(image)
    calibration = calibrate(pixels_HW3)
    maps = segment(pixels_HW3, segmentation.card, segmentation.engine, calibration) if segmentation else None
    segmented = time.perf_counter()
    points = find_landmarks(pixels_HW3, landmarks.card, landmarks.engine, calibration) if landmarks else None
    ended = time.perf_counter()
    if maps is None or points is None:
        return Measured(maps, points, None)
    provenance = Provenance(
        models=(maps.meta.model, points.model),
        config_digest="evaluation",
        package_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    timings = Timings(
        segment_s=segmented - begun, landmarks_s=ended - segmented, plants_s=math.nan, total_s=ended - begun
    )
    return Measured(maps, points, phenotype(read_header(image, name), maps, points, provenance, timings))


def score(name: str, measured: Measured, truth: Truth, seconds: float) -> PlateScore:
    """Compare what was measured on a plate with its truth."""
    scale = measured.scale
    # Where the truth has no scale, distances are judged by the scale that was found, or in pixels.
    known = [value for value in (truth.mm_per_px, scale.mm_per_px, 1.0) if math.isfinite(value)]
    mm_per_px = known[0]
    found = measured.phenotype
    tips, bases = Matches(), Matches()
    plants: tuple[PlantScore, ...] = ()
    extra, total = 0, math.nan
    if found is not None:
        marks = truth.marks or {}
        if marks.keys() >= _ROOT_TIPS:
            true_tips = np.concatenate([marks[kind] for kind in sorted(_ROOT_TIPS)])
            tips.add(_ends(found, -1), true_tips, mm_per_px, TIP_RADIUS_MM)
        if "root_base" in marks:
            bases.add(_ends(found, 0), marks["root_base"], mm_per_px, TIP_RADIUS_MM)
        plants, extra = _match_plants(found, truth, mm_per_px)
        traits = {trait.trait: trait.value for trait in found.traits}
        total = traits["plate_total_root_length"] if scale.known else math.nan
    return PlateScore(
        name=name,
        overlaps=overlaps(measured.maps, truth.mask_HW) if measured.maps and truth.mask_HW is not None else {},
        landmarks=_landmarks(measured.points, truth, mm_per_px) if measured.points is not None else {},
        tips=tips,
        bases=bases,
        plants=plants,
        plants_extra=extra,
        scale_error=relative_error(scale.mm_per_px, truth.mm_per_px),
        total_error=relative_error(total, truth.total_root_px * mm_per_px),
        seconds=seconds,
    )


def _landmarks(points: LandmarksAnswer, truth: Truth, mm_per_px: float) -> dict[str, Matches]:
    """Return the matches of each kind of landmark, as the model alone answers them."""
    matches: dict[str, Matches] = {}
    for kind, true_M2 in (truth.marks or {}).items():
        found_N2 = np.array([(mark.x, mark.y) for mark in points.landmarks if mark.kind == kind], float)
        matches[kind] = Matches()
        matches[kind].add(found_N2.reshape(-1, 2), true_M2, mm_per_px, TIP_RADIUS_MM)
    return matches


def _has_grown(plant: Plant) -> bool:
    """Whether a plant is more than a seed that lies there."""
    return bool(plant.roots) or any(organ.kind == "shoot" for organ in plant.organs)


def _ends(found: Phenotype, end: int) -> NDArray[np.float64]:
    """Return where the roots begin (0: of primary roots alone) or end (-1: of all), source pixels."""
    roots = [root for plant in found.plants for root in plant.roots if end == -1 or root.order == 1]
    return np.array([root.points[end] for root in roots], float).reshape(-1, 2)


def _match_plants(found: Phenotype, truth: Truth, mm_per_px: float) -> tuple[tuple[PlantScore, ...], int]:
    """Pair the plants by where their roots begin; return a score for each true plant, and how many others there are."""
    grown = [plant for plant in found.plants if _has_grown(plant)]
    if truth.plants is not None:
        true_places = np.array([plant.base_xy for plant in truth.plants], float).reshape(-1, 2)
    elif truth.marks is not None and "root_base" in truth.marks:
        true_places = truth.marks["root_base"]
    else:
        return (), 0
    places = np.array([_place(plant) for plant in grown], float).reshape(-1, 2)
    pairs = {true: ours for ours, true in match_points(places, true_places, SAME_PLANT_MM / mm_per_px)}
    scores = []
    for index in range(len(true_places)):
        plant = grown[pairs[index]] if index in pairs else None
        scores.append(_plant_score(plant, truth.plants[index] if truth.plants else None, found, mm_per_px))
    return tuple(scores), len(grown) - len(pairs)


def _place(plant: Plant) -> tuple[float, float]:
    """Return where a plant's root begins, or where its shoot is nearest to that if the beginning is hidden.

    Of a plant without a root it is the middle of its outline.
    """
    begin_xy = next((root.points[0] for root in plant.roots if root.order == 1), None)
    hidden = any(flag.code == "base_hidden" for flag in plant.flags)
    if begin_xy is not None and not hidden:
        return begin_xy
    kinds = {"shoot"} if hidden else {organ.kind for organ in plant.organs}
    polygons = [polygon for organ in plant.organs if organ.kind in kinds for polygon in organ.polygons]
    outline_N2 = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    if begin_xy is None:
        x, y = outline_N2.mean(0)
    else:
        x, y = outline_N2[np.hypot(*(outline_N2 - begin_xy).T).argmin()]
    return float(x), float(y)


def _plant_score(plant: Plant | None, true: TruePlant | None, found: Phenotype, mm_per_px: float) -> PlantScore:
    if plant is None or true is None:
        return PlantScore(true.laterals if true else 0, plant is not None, math.nan, math.nan, math.nan, math.nan)
    traits = {trait.trait: trait.value for trait in plant.traits}
    return PlantScore(
        true.laterals,
        True,
        relative_error(traits["primary_root_length"], true.primary_px * mm_per_px),
        relative_error(traits["total_root_length"], true.total_px * mm_per_px),
        relative_error(traits["hypocotyl_length"], true.hypocotyl_px * mm_per_px),
        abs(traits["leaf_count"] - true.leaves),
    )
