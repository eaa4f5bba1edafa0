"""Features of a plant from which the error model estimates the errors of its traits, as numbers.

Each feature is evidence that a value may be wrong: a tip without a landmark, a path through unlikely root, root that
was not traced, an image unlike the training data. Lengths are in millimetres, at a nominal scale if the image has none.
Large values are compressed by log(1 + x), because the error model is linear.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.spatial import cKDTree

from thale.imaging.components import find_pixels
from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ROOT_LOW, ProbabilityMaps
from thale.phenotyping.quality.image_features import image_features
from thale.phenotyping.quality.lateral_features import base_features, lateral_features
from thale.phenotyping.quality.ridge_agreement import RidgeAgreement
from thale.schemas import ImageMetadata, Landmark, LandmarkKind, Plant, Plate, Root

PlantFeatures = dict[str, float]

_MAX_END_DISTANCE_MM = 4.0
_END_RADIUS_MM = 1.0
_MIN_WINDOW_MM = 0.5
_SHOOT_LEVEL = 89
_TRACED_MM = 0.6
_NEAR_PLANT_MM = 6.0
_FAINT_LEVEL, _CERTAIN_LEVEL = 51, 128
_GRID_STEP = 2
_CONTACT_CELL_MM = 1.0
_MAX_RIM_MM = 10.0
_BEND_MM = 1.0
_MAX_EXCHANGE_MARGIN = 5.0
_MAX_LANE_OFFSET = 2.0
_FLAGS = (
    *("methods_disagree", "tip_shared", "crossing", "crossing_by_lane", "base_inferred", "base_hidden"),
    *("root_in_other_lane", "lateral_longer", "root_unassigned"),
)
EVIDENCE_FLAGS = (
    *("compression", "low_resolution", "methods_disagree", "crossing_by_lane", "base_inferred"),
    *("root_in_other_lane", "root_unassigned", "lateral_hidden"),
)
"""Flags whose evidence is among the features: an error model decides about the traits that they concern.

The flags of the gate are not among them, nor those that right values rarely have: `tip_unconfirmed`, `tip_shared`,
`lateral_longer`, `base_hidden` and `strong_compression` (ADR 0127)."""

_NAMED_FLAGS = {*_FLAGS, "tip_unconfirmed", "shoot_at_rim", "shoots_touch"}
"""Flags with a feature of their own, or without an effect on roots."""


@dataclass(frozen=True)
class PlateEvidence:
    """Everything from which features are computed: the predictions, the plants without traits, and the image."""

    image: ImageMetadata
    segmentation: SegmentationPrediction
    landmarks: Sequence[Landmark]
    plants: Sequence[Plant]
    agreements: Mapping[int, RidgeAgreement]
    unassigned_px: float
    """Root length in source pixels that belongs to no plant."""
    contested_shares: Mapping[int, float] = field(default_factory=dict)
    """Expected share of each plant's root length that is exchanged with a neighbour, by plant id."""
    exchange_margins: Mapping[int, float] = field(default_factory=dict)
    """Additional cost of exchanging more than 5 % of a plant's root length with a neighbour, by plant id."""
    primary_margins: Mapping[int, float] = field(default_factory=dict)
    """Additional cost of exchanging the primary tip with a neighbour, by plant id."""


def plant_features(evidence: PlateEvidence) -> dict[int, PlantFeatures]:
    """Return the features of each plant with a primary root, by plant id."""
    maps = ProbabilityMaps.from_prediction(evidence.segmentation)
    rooted = [plant for plant in evidence.plants if any(root.order == 1 for root in plant.roots)]
    if not rooted:
        return {}
    lines = {plant.id: [_frame_points(root, maps) for root in plant.roots] for plant in rooted}
    points = {plant_id: np.vstack(plant_lines) for plant_id, plant_lines in lines.items()}
    image = image_features(evidence.image, evidence.segmentation, np.vstack(list(points.values())))
    untraced = _untraced_features(points, maps)
    ends_N2 = np.array([line[-1] for plant_lines in lines.values() for line in plant_lines])
    laterals = lateral_features(rooted, lines, evidence.landmarks, maps)
    unused_tips = _count_unused_tips(points, ends_N2, evidence.landmarks, maps)
    contacts = _contact_lengths(points, maps)
    primaries = {plant.id: lines[plant.id][_primary_index(plant)] for plant in rooted}
    primary_contacts = _contact_lengths(primaries, maps)
    bases = {plant_id: line[0] for plant_id, line in primaries.items()}
    median_px = float(np.median([len(line) for line in primaries.values()]))
    unassigned_mm = evidence.unassigned_px * maps.frame.factor / maps.px_per_mm
    features = {}
    for plant in rooted:
        others = [base for plant_id, base in bases.items() if plant_id != plant.id]
        spacing_mm = min((math.dist(bases[plant.id], other) for other in others), default=math.inf) / maps.px_per_mm
        features[plant.id] = {
            **image,
            **_landmark_features(plant, lines[plant.id], evidence.landmarks, maps),
            **_path_features(plant, lines[plant.id], maps),
            **_ridge_features(evidence.agreements.get(plant.id)),
            **untraced[plant.id],
            **laterals[plant.id],
            **base_features(primaries[plant.id], maps),
            **_shoot_features(plant),
            **_shape_features(plant, maps),
            **_rim_features(points[plant.id], primaries[plant.id][-1], evidence.segmentation, maps),
            **{f"flag_{code}": float(any(flag.code == code for flag in plant.flags)) for code in _FLAGS},
            "unused_tips": math.log1p(unused_tips[plant.id][0]),
            "expected_missed_laterals": math.log1p(unused_tips[plant.id][1]),
            "contact_mm": math.log1p(contacts[plant.id]),
            "contested_share": evidence.contested_shares.get(plant.id, 0.0),
            "exchange_margin": min(evidence.exchange_margins.get(plant.id, math.inf), _MAX_EXCHANGE_MARGIN),
            "primary_margin": min(evidence.primary_margins.get(plant.id, math.inf), _MAX_EXCHANGE_MARGIN),
            "primary_contact_mm": math.log1p(primary_contacts[plant.id]),
            "spacing_mm": math.log1p(min(spacing_mm, 60.0)),
            "lane_offset": _lane_offset(primaries[plant.id], spacing_mm, maps),
            "unlike_neighbours": min(abs(math.log(len(primaries[plant.id]) / median_px)), 2.0),
            "sharpest_bend": _sharpest_bend(primaries[plant.id], maps),
            "other_flags": float(sum(flag.code not in _NAMED_FLAGS for flag in plant.flags)),
            "unassigned_mm": math.log1p(unassigned_mm),
        }
    return features


def plate_features(features: Mapping[int, PlantFeatures]) -> PlantFeatures | None:
    """Return the features of a plate: the means over its plants. None without plants."""
    if not features:
        return None
    plants = list(features.values())
    return {name: float(np.mean([plant[name] for plant in plants])) for name in plants[0]}


def _primary_index(plant: Plant) -> int:
    return next(index for index, root in enumerate(plant.roots) if root.order == 1)


def _frame_points(root: Root, maps: ProbabilityMaps) -> Points:
    """Return points along a root at steps of one frame pixel."""
    return polyline.resample(maps.frame.from_source(np.array(root.points)))


def _landmark_features(
    plant: Plant, lines: Sequence[Points], landmarks: Sequence[Landmark], maps: ProbabilityMaps
) -> PlantFeatures:
    """Return features of the landmarks at the ends: of the primary root's end and base, and of the lateral tips."""
    primary = lines[_primary_index(plant)]
    tip_mm, tip_score = _nearest_landmark(primary[-1], "primary_tip", landmarks, maps)
    base_mm, base_score = _nearest_landmark(primary[0], "root_base", landmarks, maps)
    lateral_mm, lateral_score = _nearest_landmark(primary[-1], "lateral_tip", landmarks, maps)
    lateral_tips_xy = _landmark_positions(landmarks, ("lateral_tip",), maps)
    ends = [line[-1] for line, root in zip(lines, plant.roots, strict=True) if root.order > 1]
    radius_px = maps.mm_to_px(_END_RADIUS_MM)
    unconfirmed = sum(_distance(end, lateral_tips_xy) > radius_px for end in ends)
    return {
        "tip_distance_mm": tip_mm,
        "tip_score": tip_score,
        "base_distance_mm": base_mm,
        "base_score": base_score,
        "lateral_score_at_tip": lateral_score if lateral_mm <= _END_RADIUS_MM else 0.0,
        "primary_score_at_laterals": max((_score_at(end, "primary_tip", landmarks, maps) for end in ends), default=0.0),
        "unconfirmed_ends": math.log1p(unconfirmed),
        "unconfirmed_share": unconfirmed / max(len(ends), 1),
        "expected_false_laterals": math.log1p(sum(1 - _score_at(end, "lateral_tip", landmarks, maps) for end in ends)),
    }


def _landmark_positions(
    landmarks: Sequence[Landmark], kinds: Sequence[LandmarkKind], maps: ProbabilityMaps
) -> NDArray[np.float64]:
    chosen = [(landmark.x, landmark.y) for landmark in landmarks if landmark.kind in kinds]
    return maps.frame.from_source(np.array(chosen, float).reshape(-1, 2))


def _nearest_landmark(
    point_xy: Points, kind: LandmarkKind, landmarks: Sequence[Landmark], maps: ProbabilityMaps
) -> tuple[float, float]:
    """Return the distance in mm to the nearest landmark of a kind, up to 4 mm, and its score; 0 if it is farther."""
    distances_mm = np.hypot(*(_landmark_positions(landmarks, (kind,), maps) - point_xy).T) / maps.px_per_mm
    nearest_mm = float(distances_mm.min(initial=np.inf))
    if nearest_mm >= _MAX_END_DISTANCE_MM:
        return _MAX_END_DISTANCE_MM, 0.0
    scores = [landmark.score for landmark in landmarks if landmark.kind == kind]
    return nearest_mm, scores[int(distances_mm.argmin())]


def _score_at(point_xy: Points, kind: LandmarkKind, landmarks: Sequence[Landmark], maps: ProbabilityMaps) -> float:
    """Return the score of the nearest landmark of a kind within 1 mm of a point, or 0."""
    distance_mm, score = _nearest_landmark(point_xy, kind, landmarks, maps)
    return score if distance_mm <= _END_RADIUS_MM else 0.0


def _distance(point_xy: Points, others_N2: NDArray[np.float64]) -> float:
    return float(np.hypot(*(others_N2 - point_xy).T).min(initial=np.inf))


def _path_features(plant: Plant, lines: Sequence[Points], maps: ProbabilityMaps) -> PlantFeatures:
    """Return features of the root probability along the primary root, and along all laterals together."""
    primary_lines = [line for line, root in zip(lines, plant.roots, strict=True) if root.order == 1]
    lateral_lines = [line for line, root in zip(lines, plant.roots, strict=True) if root.order > 1]
    return {
        **_probability_features("primary", primary_lines, maps),
        **_probability_features("lateral", lateral_lines, maps),
    }


def _probability_features(name: str, lines: Sequence[Points], maps: ProbabilityMaps) -> PlantFeatures:
    """Return mean, minimum, faint share and gaps of the probability along lines, outside shoots and seeds."""
    window = max(1, round(maps.mm_to_px(_MIN_WINDOW_MM)))
    probabilities, minimum, gap_px, longest_px, gaps = [np.ones(0)], 1.0, 0.0, 0.0, 0
    for line in lines:
        covered = np.maximum(polyline.sample(maps.shoot_HW, line), polyline.sample(maps.seed_HW, line)) > _SHOOT_LEVEL
        along = np.where(covered, 1.0, polyline.sample(maps.root_HW, line) / 255)
        probabilities.append(along[~covered])
        minimum = min(minimum, float(uniform_filter1d(along, window, mode="nearest").min()))
        lengths = _run_lengths(along < ROOT_LOW)
        gap_px, longest_px = gap_px + float(lengths.sum()), max(longest_px, float(lengths.max(initial=0)))
        gaps += len(lengths)
    values = np.concatenate(probabilities)
    return {
        f"{name}_mean_probability": float(values.mean()) if len(values) else 1.0,
        f"{name}_min_probability": minimum,
        f"{name}_faint_share": float((values < 0.7).mean()) if len(values) else 0.0,
        f"{name}_gap_mm": math.log1p(gap_px / maps.px_per_mm),
        f"{name}_longest_gap_mm": math.log1p(longest_px / maps.px_per_mm),
        f"{name}_gaps": math.log1p(gaps),
    }


def _run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the length of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[1::2] - edges[::2]


def _ridge_features(agreement: RidgeAgreement | None) -> PlantFeatures:
    if agreement is None:
        return {"ridge_unknown": 1.0, "ridge_support": 1.0, "ridge_excess": 0.0, "ridge_deficit": 0.0}
    ratio = math.log(max(agreement.length_ratio, 0.05))
    return {
        "ridge_unknown": 0.0,
        "ridge_support": agreement.supported_share,
        "ridge_excess": max(ratio, 0.0),
        "ridge_deficit": max(-ratio, 0.0),
    }


def _untraced_features(points: Mapping[int, Points], maps: ProbabilityMaps) -> dict[int, PlantFeatures]:
    """Return the area of certain and of faint root near each plant that is on no traced line."""
    level_HW = maps.root_HW[::_GRID_STEP, ::_GRID_STEP]
    other_HW = np.maximum(maps.shoot_HW, maps.seed_HW)[::_GRID_STEP, ::_GRID_STEP]
    pixels_rc = find_pixels((level_HW >= _FAINT_LEVEL) & (level_HW >= other_HW))
    owner = np.repeat(list(points), [len(line) for line in points.values()])
    tree = cKDTree(np.vstack(list(points.values())))
    distance, index = tree.query(
        pixels_rc[:, ::-1] * _GRID_STEP, distance_upper_bound=maps.mm_to_px(_NEAR_PLANT_MM), workers=1
    )
    is_untraced = np.isfinite(distance) & (distance > maps.mm_to_px(_TRACED_MM))
    levels, owners = level_HW[tuple(pixels_rc[is_untraced].T)], owner[index[is_untraced]]
    to_mm2 = _GRID_STEP**2 / maps.px_per_mm**2
    features = {}
    for plant_id in points:
        own = levels[owners == plant_id]
        certain_mm2 = float(np.count_nonzero(own >= _CERTAIN_LEVEL)) * to_mm2
        features[plant_id] = {
            "untraced_certain_mm2": math.log1p(certain_mm2),
            "untraced_faint_mm2": math.log1p(len(own) * to_mm2 - certain_mm2),
        }
    return features


def _count_unused_tips(
    points: Mapping[int, Points], ends_N2: NDArray[np.float64], landmarks: Sequence[Landmark], maps: ProbabilityMaps
) -> dict[int, tuple[int, float]]:
    """Return number and summed scores of lateral tips without a root end within 1 mm, by the plant within 12 mm."""
    tips_N2 = _landmark_positions(landmarks, ("lateral_tip",), maps)
    owner = np.repeat(list(points), [len(line) for line in points.values()])
    end_distance, _ = cKDTree(ends_N2).query(tips_N2)
    distance, index = cKDTree(np.vstack(list(points.values()))).query(tips_N2)
    is_unused = (end_distance > maps.mm_to_px(_END_RADIUS_MM)) & (distance <= maps.mm_to_px(2 * _NEAR_PLANT_MM))
    scores = np.array([landmark.score for landmark in landmarks if landmark.kind == "lateral_tip"])[is_unused]
    own = {plant_id: owner[index[is_unused]] == plant_id for plant_id in points}
    return {plant_id: (int(mask.sum()), float(scores[mask].sum())) for plant_id, mask in own.items()}


def _contact_lengths(points: Mapping[int, Points], maps: ProbabilityMaps) -> dict[int, float]:
    """Return the length (mm) of each plant's roots in cells of 1 mm in which another plant has roots as well."""
    cells = {
        plant_id: np.floor(line / maps.mm_to_px(_CONTACT_CELL_MM)).astype(np.int64) for plant_id, line in points.items()
    }
    owners: dict[tuple[int, int], int] = {}
    shared: set[tuple[int, int]] = set()
    keys = {plant_id: [(int(x), int(y)) for x, y in cell.tolist()] for plant_id, cell in cells.items()}
    for plant_id, plant_keys in keys.items():
        for key in set(plant_keys):
            if owners.setdefault(key, plant_id) != plant_id:
                shared.add(key)
    return {
        plant_id: sum(key in shared for key in plant_keys) / maps.px_per_mm for plant_id, plant_keys in keys.items()
    }


def _lane_offset(primary_N2: Points, spacing_mm: float, maps: ProbabilityMaps) -> float:
    """Return the horizontal distance from base to tip over the distance to the nearest plant."""
    offset_mm = abs(float(primary_N2[-1, 0] - primary_N2[0, 0])) / maps.px_per_mm
    return min(offset_mm / max(spacing_mm, 1.0), _MAX_LANE_OFFSET)


def _sharpest_bend(line_N2: Points, maps: ProbabilityMaps) -> float:
    """Return the largest angle (radians) between the directions of 1 mm before and after a point of a line."""
    step = max(2, round(maps.mm_to_px(_BEND_MM)))
    if len(line_N2) <= 2 * step:
        return 0.0
    before, after = line_N2[step:-step] - line_N2[: -2 * step], line_N2[2 * step :] - line_N2[step:-step]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return float(np.abs(np.arctan2(cross, (before * after).sum(axis=1))).max())


def _shape_features(plant: Plant, maps: ProbabilityMaps) -> PlantFeatures:
    to_mm = maps.frame.factor / maps.px_per_mm
    primary = plant.roots[_primary_index(plant)]
    laterals_mm = [root.length_px * to_mm for root in plant.roots if root.order > 1]
    primary_mm = primary.length_px * to_mm
    (x0, y0), (x1, y1) = primary.points[0], primary.points[-1]
    chord_mm = math.hypot(x1 - x0, y1 - y0) * to_mm
    return {
        "primary_mm": math.log1p(primary_mm),
        "laterals": math.log1p(len(laterals_mm)),
        "lateral_mm": math.log1p(sum(laterals_mm)),
        "longest_lateral_share": min(max(laterals_mm, default=0.0) / max(primary_mm, 1.0), 3.0),
        "short_laterals": math.log1p(sum(length_mm < 1.0 for length_mm in laterals_mm)),
        "hidden_laterals": math.log1p(
            sum(flag.code == "lateral_hidden" for root in plant.roots for flag in root.flags)
        ),
        "higher_orders": math.log1p(sum(root.order > 2 for root in plant.roots)),
        "angle": abs(math.atan2(x1 - x0, y1 - y0)),
        "bending": math.log(min(max(primary_mm / max(chord_mm, 0.1), 1.0), 5.0)),
    }


def _shoot_features(plant: Plant) -> PlantFeatures:
    """Return mean probability and area of the shoot; certain and 0 without a shoot."""
    shoot = next((organ for organ in plant.organs if organ.kind == "shoot"), None)
    area_mm2 = 0.0 if shoot is None or not math.isfinite(shoot.area_mm2) else shoot.area_mm2
    return {"shoot_confidence": 1.0 if shoot is None else shoot.confidence, "shoot_mm2": math.log1p(area_mm2)}


def _rim_features(
    points_N2: Points, tip_xy: Points, segmentation: SegmentationPrediction, maps: ProbabilityMaps
) -> PlantFeatures:
    """Return how near the primary tip and the nearest root point are to the rim: 0 at 10 mm or more, 1 at the rim."""
    corners_N2 = _rim_corners(segmentation)
    source_N2 = maps.frame.to_source(np.vstack([points_N2[::8], tip_xy[None]]))
    distances = np.full(len(source_N2), np.inf)
    for start, end in zip(corners_N2, np.roll(corners_N2, -1, axis=0), strict=True):
        along = (end - start) / max(math.dist(start, end), 1e-9)
        offset = source_N2 - start
        distances = np.minimum(distances, np.abs(along[0] * offset[:, 1] - along[1] * offset[:, 0]))
    nearness = 1 - np.clip(distances * maps.frame.factor / maps.px_per_mm, 0, _MAX_RIM_MM) / _MAX_RIM_MM
    return {"rim_at_tip": float(nearness[-1]), "rim_at_roots": float(nearness.max())}


def _rim_corners(segmentation: SegmentationPrediction) -> NDArray[np.float64]:
    plate: Plate | None = segmentation.meta.calibration.plate
    if plate is not None:
        return np.array([(corner.x, corner.y) for corner in plate.corners])
    frame = segmentation.meta.frame
    right, bottom = frame.x0 + frame.source_width, frame.y0 + frame.source_height
    return np.array([(frame.x0, frame.y0), (right, frame.y0), (right, bottom), (frame.x0, bottom)], float)
