"""Features of the laterals of a plant: evidence for each lateral, and for laterals that were not traced.

A count is right only if every lateral is one and none is missing. Its risk follows from the weakest evidence and from
the product of the probabilities, not from their means.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ROOT_LOW, ProbabilityMaps
from thale.schemas import Landmark, Plant

_END_RADIUS_MM = 1.0
_NEAR_PLANT_MM = 12.0
_MIN_EVIDENCE = 0.05
_DOUBTFUL_EVIDENCE = 0.5
_BORDERLINE_MM = 1.2
"""Laterals around the length at which a tip is found or missed (drawn plates: 28 to 36 % are missed below 1 mm)."""
_ALONG_MM = 0.5
_ALONG_START_MM = 0.6
_SHORT_PRIMARY_MM = 20.0


def lateral_features(
    plants: Sequence[Plant], lines: Mapping[int, Sequence[Points]], landmarks: Sequence[Landmark], maps: ProbabilityMaps
) -> dict[int, dict[str, float]]:
    """Return the features of the laterals of each plant, by plant id.

    Args:
        plants: Plants with a primary root.
        lines: Centre lines of the roots of each plant at steps of one frame pixel, by plant id.
        landmarks: All landmarks of the image, source pixels.
        maps: Probability maps.
    """
    tips = [landmark for landmark in landmarks if landmark.kind == "lateral_tip"]
    tips_N2 = maps.frame.from_source(np.array([(tip.x, tip.y) for tip in tips], float).reshape(-1, 2))
    scores_N = np.array([tip.score for tip in tips], float)
    missed = _missed_features(lines, tips_N2, scores_N, maps)
    foreign = _count_foreign_tips(lines, tips_N2, maps)
    features = {}
    for plant in plants:
        laterals = [line for line, root in zip(lines[plant.id], plant.roots, strict=True) if root.order > 1]
        evidence = [_evidence(line, tips_N2, scores_N, maps) for line in laterals]
        lengths_mm = [len(line) / maps.px_per_mm for line in laterals]
        features[plant.id] = {
            "no_laterals": float(not laterals),
            "weakest_lateral": min(evidence, default=1.0),
            "lateral_log_doubt": sum(-math.log(max(value, _MIN_EVIDENCE)) for value in evidence),
            "doubtful_laterals": math.log1p(sum(value < _DOUBTFUL_EVIDENCE for value in evidence)),
            "borderline_laterals": math.log1p(sum(length < _BORDERLINE_MM for length in lengths_mm)),
            "laterals_along_roots": math.log1p(_along_mm(lines[plant.id], plant, maps)),
            "foreign_tips": math.log1p(foreign[plant.id]),
            "short_primary": max(0.0, math.log(_SHORT_PRIMARY_MM / max(_primary_mm(plant, lines, maps), 1.0))),
            **missed[plant.id],
        }
    return features


def _evidence(line: Points, tips_N2: Points, scores_N: NDArray[np.float64], maps: ProbabilityMaps) -> float:
    """Return the evidence for one lateral, 0 to 1: score of the tip at its end times the probability along it."""
    distances = np.hypot(*(tips_N2 - line[-1]).T)
    near = distances <= maps.mm_to_px(_END_RADIUS_MM)
    score = float(scores_N[near].max()) if near.any() else 0.0
    along = polyline.sample(maps.root_HW, line) / 255
    return score * float(along.mean())


def _missed_features(
    lines: Mapping[int, Sequence[Points]], tips_N2: Points, scores_N: NDArray[np.float64], maps: ProbabilityMaps
) -> dict[int, dict[str, float]]:
    """Return features of lateral tips at which no root ends, by the plant whose root is nearest."""
    owner = np.repeat(list(lines), [sum(len(line) for line in own) for own in lines.values()])
    points = np.vstack([line for own in lines.values() for line in own])
    ends = np.array([line[-1] for own in lines.values() for line in own])
    end_distance, _ = cKDTree(ends).query(tips_N2)
    distance, index = cKDTree(points).query(tips_N2)
    is_missed = (end_distance > maps.mm_to_px(_END_RADIUS_MM)) & (distance <= maps.mm_to_px(_NEAR_PLANT_MM))
    features = {}
    for plant_id in lines:
        scores = scores_N[is_missed & (owner[index] == plant_id)] if len(scores_N) else scores_N
        features[plant_id] = {
            "missed_log_doubt": float(-np.log(np.clip(1 - scores, _MIN_EVIDENCE, 1)).sum()),
            "likeliest_missed": float(scores.max(initial=0.0)),
        }
    return features


def _along_mm(own: Sequence[Points], plant: Plant, maps: ProbabilityMaps) -> float:
    """Return the length (mm) of the laterals that run along or over another root of their plant."""
    start, reach = round(maps.mm_to_px(_ALONG_START_MM)), maps.mm_to_px(_ALONG_MM)
    trees = [cKDTree(line) for line in own]
    mins_R2, maxes_R2 = np.array([tree.mins for tree in trees]), np.array([tree.maxes for tree in trees])
    total = 0
    for number, (line, root) in enumerate(zip(own, plant.roots, strict=True)):
        points = line[start:]
        if root.order == 1 or not len(points):
            continue
        is_along = np.zeros(len(points), bool)
        overlaps_R = np.all((mins_R2 - reach <= points.max(axis=0)) & (maxes_R2 + reach >= points.min(axis=0)), axis=1)
        overlaps_R[number] = False
        for other in np.flatnonzero(overlaps_R).tolist():
            is_near = (
                np.all((points >= mins_R2[other] - reach) & (points <= maxes_R2[other] + reach), axis=1) & ~is_along
            )
            if is_near.any():
                distance, _ = trees[other].query(points[is_near], distance_upper_bound=reach, workers=1)
                is_along[is_near] = np.isfinite(distance)
        total += int(is_along.sum())
    return total / maps.px_per_mm


def _count_foreign_tips(
    lines: Mapping[int, Sequence[Points]], tips_N2: Points, maps: ProbabilityMaps
) -> dict[int, int]:
    """Return the number of lateral tips within 1 mm of a root of each plant and of a root of another one."""
    radius = maps.mm_to_px(_END_RADIUS_MM)
    is_near_PN = np.array([cKDTree(np.vstack(list(own))).query(tips_N2)[0] <= radius for own in lines.values()])
    is_shared_N = is_near_PN.sum(axis=0) >= 2
    return dict(zip(lines, (is_near_PN & is_shared_N).sum(axis=1).tolist(), strict=True))


def _primary_mm(plant: Plant, lines: Mapping[int, Sequence[Points]], maps: ProbabilityMaps) -> float:
    index = next(index for index, root in enumerate(plant.roots) if root.order == 1)
    return len(lines[plant.id][index]) / maps.px_per_mm


def base_features(primary_N2: Points, maps: ProbabilityMaps) -> dict[str, float]:
    """Return features of the start of a primary root: distance to the shoot, and length under shoot and seed.

    The base is where shoot and root meet. A base away from the shoot, or a root that starts within it, is doubtful.
    """
    half = round(maps.mm_to_px(4.0))
    x, y = np.round(primary_N2[0]).astype(int)
    top, left = max(0, y - half), max(0, x - half)
    shoot_rc = np.argwhere(maps.shoot_HW[top : y + half, left : x + half] >= ROOT_LOW * 255)
    gaps = np.hypot(*(shoot_rc + np.array([top, left]) - np.array([y, x])).T)
    covered = polyline.sample(maps.shoot_HW, primary_N2) >= ROOT_LOW * 255
    return {
        "base_to_shoot_mm": float(gaps.min(initial=half)) / maps.px_per_mm,
        "primary_under_shoot_mm": math.log1p(float(np.count_nonzero(covered)) / maps.px_per_mm),
    }
