"""Plant detection: combines shoots, root bases and ungerminated seeds into one `PlantCandidate` per plant.

A root alone is not a plant: rims, labels and scratches look like roots, but have no shoot, seed or root base.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from thale.imaging.components import find_components, hysteresis_mask
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.root_endpoints import MIN_BASE_DISTANCE_MM, RootEndpoints
from thale.phenotyping.plants.seed_evidence import seed_doubt
from thale.phenotyping.plants.skeleton_graph import RootGraph
from thale.schemas import Flag, Landmark, Point

_MIN_BASE_SCORE = 0.3
_MIN_LONE_BASE_SCORE = 0.5
_MIN_SHARED_SHOOT_BASE_DISTANCE_MM = 4.0
_BASE_BELOW_SHOOT_MM = 4.0
_MAX_HIDDEN_HYPOCOTYL_MM = 8.0
_LEAF_GAP_MM = 1.0
_MAX_COMPONENTS = 300
_ROOT_BELOW_SHOOT_MM = 3.0
_BASE_TO_ROOT_MM = 1.5
_MIN_LONE_ROOT_MM = 3.0
_MIN_FRAGMENT_MM2 = 0.05
_MIN_SHOOT_MM2 = 0.5
_SMALL_SHOOT_SHARE = 0.4
_MIN_LONE_SHOOT_PROBABILITY = 0.9
"""Minimum mean probability of a shoot without a base landmark (ADR 0039). Thick bright roots and bubbles classified as
shoots have 0.6 to 0.88; shoots of synthetic plates have 0.93 or more."""
_SEED_AREA_RANGE_MM2 = (0.04, 1.5)
_SEED_COAT_MM = 3.0


@dataclass
class PlantCandidate:
    """Evidence of one plant: root base, shoot and seed. `base_xy` is in frame px, None if no root is attached."""

    base_xy: Points | None
    landmark: Landmark | None = None
    shoot_rc: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    seed_rc: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    flags: list[Flag] = field(default_factory=list)

    @property
    def position_xy(self) -> Points:
        """Position of the plant: its base, else the centroid of its shoot or seed."""
        if self.base_xy is not None:
            return self.base_xy
        pixels_rc = self.shoot_rc if len(self.shoot_rc) else self.seed_rc
        return cast(Points, pixels_rc.mean(axis=0)[::-1])


def detect_plants(
    maps: ProbabilityMaps, graph: RootGraph, landmarks: Sequence[Landmark], tips: Collection[int]
) -> tuple[list[PlantCandidate], list[Flag]]:
    """Return the candidates of all plants, left to right, and flags for evidence that was rejected.

    Args:
        maps: Probability maps of the organs.
        graph: Skeleton graph of the roots.
        landmarks: Root bases and tips, source pixels.
        tips: Nodes of the graph that are known tips, where no plant starts.
    """
    flags: list[Flag] = []
    shoots = _organ_components(
        maps.shoot_HW, np.maximum(maps.root_HW, maps.seed_HW), maps.mm2_to_px2(_MIN_FRAGMENT_MM2)
    )
    bases = _select_distinct_bases(landmarks, maps)
    candidates = [PlantCandidate(maps.frame.from_source(np.array([[b.x, b.y]]))[0], b) for b in bases]
    unassigned = _assign_shoots(candidates, shoots, maps)
    candidates = _merge_duplicate_bases(candidates, maps, flags)
    clusters = _join_fragments(candidates, unassigned, maps)
    clusters = _assign_distant_shoots(candidates, clusters, maps)
    endpoints = RootEndpoints(graph, tips)
    candidates = [candidate for candidate in candidates if _has_root(candidate, candidates, endpoints, maps, flags)]
    for candidate in candidates:
        _find_hidden_base(candidate, candidates, endpoints, maps)
    for cluster_rc in clusters:
        _candidate_from_shoot(cluster_rc, candidates, endpoints, maps, flags)
    _candidates_from_seeds(candidates, endpoints, maps, flags)
    return sorted(candidates, key=lambda candidate: float(candidate.position_xy[0])), flags


def _organ_components(
    probability_HW: NDArray[np.uint8], rivals_HW: NDArray[np.uint8], min_px: float
) -> list[NDArray[np.int64]]:
    """Return the pixels (row, column) of the largest connected components of an organ with at least `min_px` pixels."""
    mask_HW = hysteresis_mask(probability_HW, 0.35 * 255, 0.55 * 255) & (probability_HW >= rivals_HW)
    components = find_components(mask_HW, 8)
    largest_first = np.argsort(components.sizes[1:])[::-1][:_MAX_COMPONENTS] + 1
    large = largest_first[components.sizes[largest_first] >= min_px]
    return components.pixels(large)


def _select_distinct_bases(landmarks: Sequence[Landmark], maps: ProbabilityMaps) -> list[Landmark]:
    """Return base landmarks by descending score, without those near a base with a higher score."""
    distinct: list[Landmark] = []
    min_distance = maps.mm_to_px(MIN_BASE_DISTANCE_MM) / maps.frame.factor
    candidates = [
        landmark for landmark in landmarks if landmark.kind == "root_base" and landmark.score >= _MIN_BASE_SCORE
    ]
    for landmark in sorted(candidates, key=lambda landmark: -landmark.score):
        if all(np.hypot(landmark.x - other.x, landmark.y - other.y) > min_distance for other in distinct):
            distinct.append(landmark)
    return distinct


def _assign_shoots(
    candidates: list[PlantCandidate], shoots: list[NDArray[np.int64]], maps: ProbabilityMaps
) -> list[NDArray[np.int64]]:
    """Assign shoots to the bases near them and return the unassigned shoots. Each pixel belongs to its nearest base."""
    unassigned = []
    max_distance = maps.mm_to_px(_BASE_BELOW_SHOOT_MM)
    for component_rc in shoots:
        tree = cKDTree(component_rc[:, ::-1])
        owners = [candidate for candidate in candidates if tree.query(candidate.position_xy)[0] <= max_distance]
        if not owners:
            unassigned.append(component_rc)
            continue
        nearest = cKDTree([owner.position_xy for owner in owners]).query(component_rc[:, ::-1])[1]
        for index, owner in enumerate(owners):
            owner.shoot_rc = np.vstack([owner.shoot_rc, component_rc[nearest == index]])
    return unassigned


def _merge_duplicate_bases(
    candidates: list[PlantCandidate], maps: ProbabilityMaps, flags: list[Flag]
) -> list[PlantCandidate]:
    """Merge bases under one shoot that are too close for two seedlings; the base with the higher score remains."""
    merged: list[PlantCandidate] = []
    min_distance = maps.mm_to_px(_MIN_SHARED_SHOOT_BASE_DISTANCE_MM)
    for candidate in candidates:
        duplicates = [
            other for other in merged if np.hypot(*(other.position_xy - candidate.position_xy)) <= min_distance
        ]
        if not duplicates or not (len(candidate.shoot_rc) or len(duplicates[0].shoot_rc)):
            merged.append(candidate)
            continue
        duplicates[0].shoot_rc = np.vstack([duplicates[0].shoot_rc, candidate.shoot_rc])
        message = "a second root base is too close to one with a higher score: both count as one plant"
        flags.append(_flag("second_base", message, candidate.position_xy, maps))
    return merged


def _join_fragments(
    candidates: list[PlantCandidate], fragments: list[NDArray[np.int64]], maps: ProbabilityMaps
) -> list[NDArray[np.int64]]:
    """Join shoot fragments across small gaps, to candidates or to each other; return clusters without a candidate.

    Fragments are joined on a coarse grid, whose cost does not depend on their number.
    """
    cell = max(1.0, maps.mm_to_px(_LEAF_GAP_MM))
    grid_HW = np.zeros(tuple(int(size / cell) + 1 for size in maps.shoot_HW.shape), bool)
    shoots = [candidate.shoot_rc for candidate in candidates if len(candidate.shoot_rc)]
    for fragment_rc in [*shoots, *fragments]:
        grid_HW[tuple((fragment_rc / cell).astype(int).T)] = True
    labels_HW, _ = ndimage.label(grid_HW, np.ones((3, 3), int))

    def cluster_label(fragment_rc: NDArray[np.int64]) -> int:
        return int(labels_HW[tuple((fragment_rc[0] / cell).astype(int))])

    owners: dict[int, list[PlantCandidate]] = defaultdict(list)
    for candidate in candidates:
        if len(candidate.shoot_rc):
            owners[cluster_label(candidate.shoot_rc)].append(candidate)
    clusters: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
    for fragment_rc in fragments:
        near = owners.get(cluster_label(fragment_rc), [])
        if near:
            centre_xy = fragment_rc.mean(axis=0)[::-1]
            owner = min(near, key=lambda candidate: float(np.hypot(*(candidate.position_xy - centre_xy))))
            owner.shoot_rc = np.vstack([owner.shoot_rc, fragment_rc])
        else:
            clusters[cluster_label(fragment_rc)].append(fragment_rc)
    return [np.vstack(members) for members in clusters.values()]


def _assign_distant_shoots(
    candidates: list[PlantCandidate], clusters: list[NDArray[np.int64]], maps: ProbabilityMaps
) -> list[NDArray[np.int64]]:
    """Assign the nearest certain shoot above to each base without a shoot, and return the unassigned clusters.

    The hypocotyl between them can be too faint for the mask.
    """
    without_shoot = [candidate for candidate in candidates if not len(candidate.shoot_rc)]
    certain = [index for index, cluster_rc in enumerate(clusters) if _is_certain_shoot(cluster_rc, maps)]
    pairs = []
    for index in certain:
        tree, centre_y = cKDTree(clusters[index][:, ::-1]), clusters[index][:, 0].mean()
        for number, candidate in enumerate(without_shoot):
            gap = float(tree.query(candidate.position_xy)[0])
            if gap <= maps.mm_to_px(_MAX_HIDDEN_HYPOCOTYL_MM) and centre_y < candidate.position_xy[1]:
                pairs.append((gap, index, number))
    assigned: dict[int, int] = {}
    for _, index, number in sorted(pairs):
        if index not in assigned and number not in assigned.values():
            assigned[index] = number
            without_shoot[number].shoot_rc = clusters[index]
    return [cluster_rc for index, cluster_rc in enumerate(clusters) if index not in assigned]


def _is_certain_shoot(cluster_rc: NDArray[np.int64], maps: ProbabilityMaps) -> bool:
    """Return True if the mean shoot probability of a cluster is high enough for a plant without a root base."""
    return float(maps.shoot_HW[tuple(cluster_rc.T)].mean()) >= _MIN_LONE_SHOOT_PROBABILITY * 255


def _min_distance(some_rc: NDArray[np.int64], others_rc: NDArray[np.int64]) -> float:
    return float(cKDTree(some_rc).query(others_rc)[0].min())


def _has_root(
    candidate: PlantCandidate,
    candidates: list[PlantCandidate],
    endpoints: RootEndpoints,
    maps: ProbabilityMaps,
    flags: list[Flag],
) -> bool:
    """Return True if a base landmark counts as a plant: it has a shoot, or its own root starts there."""
    if len(candidate.shoot_rc):
        return True
    _, distance, component = endpoints.nearest(candidate.position_xy[None])
    is_shared = any(
        endpoints.nearest(other.position_xy[None])[2] == component for other in candidates if other is not candidate
    )
    is_root_start = distance <= maps.mm_to_px(_BASE_TO_ROOT_MM) and endpoints.length_by_component.get(
        component, 0
    ) >= maps.mm_to_px(_MIN_LONE_ROOT_MM)
    if is_shared:
        is_root_start = is_root_start and endpoints.is_end(candidate.position_xy, maps.mm_to_px(_BASE_TO_ROOT_MM))
    if is_root_start and candidate.landmark is not None and candidate.landmark.score >= _MIN_LONE_BASE_SCORE:
        candidate.flags.append(_flag("no_shoot", "a root base without a visible shoot", candidate.position_xy, maps))
        return True
    message = "a root base without a shoot and without the start of a root: it does not count as a plant"
    flags.append(_flag("base_left_out", message, candidate.position_xy, maps))
    return False


def _base_positions(candidates: list[PlantCandidate]) -> list[Points]:
    return [candidate.base_xy for candidate in candidates if candidate.base_xy is not None]


def _find_hidden_base(
    candidate: PlantCandidate, candidates: list[PlantCandidate], endpoints: RootEndpoints, maps: ProbabilityMaps
) -> None:
    """Move a base that is too far from every root to the root that emerges below the plant's leaves."""
    if not len(candidate.shoot_rc) or endpoints.nearest(candidate.position_xy[None])[1] <= maps.mm_to_px(
        _ROOT_BELOW_SHOOT_MM
    ):
        return
    top_xy = endpoints.find_root_below(candidate.shoot_rc, _base_positions(candidates), maps)
    if top_xy is not None:
        candidate.base_xy = top_xy
        candidate.flags.append(_hidden_base_flag(top_xy, maps))


def _hidden_base_flag(top_xy: Points, maps: ProbabilityMaps) -> Flag:
    message = "the root is hidden between the shoot and this point: the hidden part is not measured"
    return _flag("base_hidden", message, top_xy, maps)


def _candidate_from_shoot(
    cluster_rc: NDArray[np.int64],
    candidates: list[PlantCandidate],
    endpoints: RootEndpoints,
    maps: ProbabilityMaps,
    flags: list[Flag],
) -> None:
    """Add a candidate for a shoot without a base landmark, or a flag with the reason for its rejection."""
    base_xy, distance, component = endpoints.nearest(cluster_rc[:, ::-1].astype(float))
    rooted = [candidate for candidate in candidates if candidate.base_xy is not None]
    position_xy = cast(Points, cluster_rc.mean(axis=0)[::-1])
    sizes = [len(candidate.shoot_rc) for candidate in rooted if candidate.landmark is not None]
    typical_size = float(np.median(sizes or [0]))
    if len(cluster_rc) <= _SMALL_SHOOT_SHARE * typical_size:
        message = "a shoot-like object much smaller than the other shoots of the plate: it does not count as a plant"
        flags.append(_flag("stray_shoot", message, position_xy, maps))
        return
    if not _is_certain_shoot(cluster_rc, maps):
        message = "a shoot-like object with a low probability and no root base: it does not count as a plant"
        flags.append(_flag("stray_shoot", message, position_xy, maps))
        return
    if base_xy is not None and distance <= maps.mm_to_px(_ROOT_BELOW_SHOOT_MM):
        owners = [other for other in rooted if endpoints.nearest(cast(Points, other.base_xy)[None])[2] == component]
        is_root_start = endpoints.is_end(base_xy, maps.mm_to_px(_BASE_TO_ROOT_MM))
        if endpoints.length_by_component[component] >= maps.mm_to_px(_MIN_LONE_ROOT_MM) and (
            is_root_start or not owners
        ):
            flag = _flag(
                "base_inferred", "the root base was inferred from the contact of root and shoot", base_xy, maps
            )
            candidates.append(PlantCandidate(base_xy, shoot_rc=cluster_rc, flags=[flag]))
            return
        if owners:
            message = "a shoot-like object on a root of another plant: it does not count as a plant"
            flags.append(_flag("stray_shoot", message, position_xy, maps))
            return
    top_xy = endpoints.find_root_below(cluster_rc, _base_positions(candidates), maps)
    if top_xy is not None and _is_shoot(cluster_rc, maps):
        candidates.append(PlantCandidate(top_xy, shoot_rc=cluster_rc, flags=[_hidden_base_flag(top_xy, maps)]))
    elif any(candidate.landmark is not None for candidate in candidates):
        message = "a shoot-like object without a root or a root base: it does not count as a plant"
        flags.append(_flag("stray_shoot", message, position_xy, maps))
    elif _is_shoot(cluster_rc, maps):
        flag = _flag("no_root", "a shoot without a visible root: its root traits are unknown", position_xy, maps)
        candidates.append(PlantCandidate(None, shoot_rc=cluster_rc, flags=[flag]))
    else:
        message = "a shoot-like object that is too small or cut by the image border: it does not count as a plant"
        flags.append(_flag("stray_shoot", message, position_xy, maps))


def _is_shoot(cluster_rc: NDArray[np.int64], maps: ProbabilityMaps) -> bool:
    """Return True if a cluster is large enough for a shoot and not cut by the image border."""
    height, width = maps.shoot_HW.shape
    is_inside = bool((cluster_rc.min(axis=0) > 0).all() and (cluster_rc.max(axis=0) < (height - 1, width - 1)).all())
    return is_inside and len(cluster_rc) >= maps.mm2_to_px2(_MIN_SHOOT_MM2)


def _candidates_from_seeds(
    candidates: list[PlantCandidate], endpoints: RootEndpoints, maps: ProbabilityMaps, flags: list[Flag]
) -> None:
    """Add a candidate for each ungerminated seed; assign seed coats on or near a plant to that plant.

    A speck that does not look like a seed of the row (`seed_doubt`) gets a flag.
    """
    min_px, max_px = (maps.mm2_to_px2(area) for area in _SEED_AREA_RANGE_MM2)
    max_distance = maps.mm_to_px(_SEED_COAT_MM)
    existing = list(candidates)
    shoots_xy = [candidate.shoot_rc[:, ::-1] for candidate in existing]
    rows_y = [float(candidate.position_xy[1]) for candidate in existing]
    for seed_rc in _organ_components(maps.seed_HW, np.maximum(maps.root_HW, maps.shoot_HW), min_px):
        seed_xy = seed_rc[:, ::-1].astype(float)
        gaps = [_min_distance(shoot, seed_xy) if len(shoot) else np.inf for shoot in shoots_xy]
        if gaps and min(gaps) <= max_distance:
            owner = existing[int(np.argmin(gaps))]
            owner.seed_rc = np.vstack([owner.seed_rc, seed_rc])
        elif endpoints.nearest(seed_xy)[1] > max_distance and len(seed_rc) <= max_px:
            position_xy = cast(Points, seed_xy.mean(axis=0))
            doubt = seed_doubt(seed_rc, rows_y, maps)
            if doubt is not None:
                message = f"a seed-like object {doubt}: it does not count as a plant"
                flags.append(_flag("stray_seed", message, position_xy, maps))
                continue
            flag = _flag("ungerminated", "a seed without root and shoot: its traits are unknown", position_xy, maps)
            candidates.append(PlantCandidate(None, seed_rc=seed_rc, flags=[flag]))


def _flag(code: str, message: str, position_xy: Points, maps: ProbabilityMaps) -> Flag:
    x, y = maps.frame.to_source(position_xy[None])[0]
    return Flag(code=code, message=message, at=Point(x=float(x), y=float(y)))
