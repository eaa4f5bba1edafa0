"""Repair of the skeleton graph before tracing: removes spurs, bridges gaps, and adds nodes for bases and tips.

Bridging gaps improves results more than a larger network: thin laterals break, and leaves hide the start of roots.
Every bridge has a cost, so that roots are traced along visible root wherever possible.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.plant_detection import PlantCandidate
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ROOT_LOW
from thale.phenotyping.plants.skeleton_graph import PointIndex, RootGraph
from thale.schemas import Landmark

_SPUR_MM = 1.0
_TIP_MM = 0.8
_MIN_TIP_SCORE = 0.2
_MIN_BRANCH_SCORE = 0.3
"""Minimum score of a tip away from root ends: next to a root, or at the point where its root meets another."""
_MAX_TIPS = 1000
_MIN_STUB_MM = 0.25
_MAX_STUB_MM = 1.5
_MAX_GAP_MM = 2.5
_MAX_GAP_WITHIN_COMPONENT_MM = 1.5
_MAX_BRIDGES_PER_END = 3
_MIN_FORWARD_COS = 0.3
_MIN_FACING_COS = 0.7
_FREE_GAP_MM = 0.5
_BRIDGE_COST = 0.6
_COST_PER_MM = 0.6
_COST_PAST_TIP = 2.0
_BASE_SNAP_MM = 1.5
_END_PREFERENCE_MM = 0.7
_MAX_BASE_GAP_MM = 3.0

Tips = dict[int, Landmark]
"""Tip landmarks by node."""


def attach_tips(graph: RootGraph, landmarks: Sequence[Landmark]) -> Tips:
    """Return the node of each tip landmark.

    The node is an end of the graph, the end of a new stub next to a root, or a new node inside a segment at which a
    lateral meets another root. A primary root can end at a junction with a neighbour. Landmarks and ends are paired one
    to one, the nearest pairs first. Away from ends, a higher score is required. Landmarks without a root nearby are
    ignored.
    """
    tip_landmarks = [
        landmark
        for landmark in landmarks
        if landmark.kind in ("primary_tip", "lateral_tip") and landmark.score >= _MIN_TIP_SCORE
    ]
    tip_landmarks = sorted(tip_landmarks, key=lambda landmark: -landmark.score)[:_MAX_TIPS]
    if not tip_landmarks:
        return {}
    tips_xy = graph.maps.frame.from_source(np.array([[landmark.x, landmark.y] for landmark in tip_landmarks]))
    max_distance = graph.maps.mm_to_px(_TIP_MM)
    paired = _pair_tips_with_ends(tips_xy, graph.ends(), graph, max_distance)
    tips: Tips = {node: tip_landmarks[number] for number, node in paired.items()}
    index = PointIndex(graph)
    split_points: list[tuple[int, tuple[int, int], bool]] = []
    for number, landmark in enumerate(tip_landmarks):
        gap, point = index.nearest(tips_xy[number])
        if number in paired or landmark.score < _MIN_BRANCH_SCORE or point < 0:
            continue
        if landmark.kind == "primary_tip":
            node = _nearest_junction(graph, tips_xy[number], max_distance)
            if node is not None:
                tips.setdefault(node, landmark)
            continue
        is_stub = _is_stub(graph, index.points[point], tips_xy[number])
        if is_stub or gap <= max_distance:
            split_points.append((number, index.locate(point), is_stub))
    nodes = graph.split_all([location for _, location, _ in split_points])
    for (number, _, is_stub), node in zip(split_points, nodes, strict=True):
        tips.setdefault(_add_stub(graph, node, tips_xy[number]) if is_stub else node, tip_landmarks[number])
    return tips


def _nearest_junction(graph: RootGraph, point_xy: Points, max_distance: float) -> int | None:
    """Return the nearest node at which roots meet, up to `max_distance` px from a point."""
    near = [
        (distance, node)
        for node, node_xy in enumerate(graph.nodes)
        if (distance := float(np.hypot(*(node_xy - point_xy)))) <= max_distance and graph.degree(node) >= 3
    ]
    return min(near)[1] if near else None


def _pair_tips_with_ends(tips_xy: Points, ends: list[int], graph: RootGraph, max_distance: float) -> dict[int, int]:
    """Return the end of each tip (by index), paired one to one, the nearest pairs first."""
    if not ends:
        return {}
    ends_xy = np.array([graph.nodes[node] for node in ends])
    distances = np.hypot(*(tips_xy[:, None] - ends_xy[None]).transpose(2, 0, 1))
    near = np.argwhere(distances <= max_distance)
    paired: dict[int, int] = {}
    for number, end in near[np.argsort(distances[tuple(near.T)])].tolist():
        if number not in paired and ends[end] not in paired.values():
            paired[number] = ends[end]
    return paired


def _is_stub(graph: RootGraph, foot_xy: Points, tip_xy: Points) -> bool:
    """Return True if a tip belongs to a lateral that is too short for the skeleton.

    Such a tip is next to the nearest root, and all pixels between them are likely root.
    """
    if not graph.maps.mm_to_px(_MIN_STUB_MM) <= np.hypot(*(tip_xy - foot_xy)) <= graph.maps.mm_to_px(_MAX_STUB_MM):
        return False
    line = polyline.resample(np.array([foot_xy, tip_xy]), 0.5)
    return bool(polyline.sample(graph.maps.root_HW, line).min() >= ROOT_LOW * 255)


def _add_stub(graph: RootGraph, origin: int, tip_xy: Points) -> int:
    tip = graph.add_node(tip_xy)
    graph.add_segment(origin, tip, polyline.resample(np.array([graph.nodes[origin], tip_xy])))
    return tip


def prune_spurs(graph: RootGraph, tips: Tips) -> None:
    """Remove side branches that are too short for a lateral and have no tip landmark, the shortest first.

    A side branch that faces the end of another root is one side of a gap, and remains.
    """
    facing = _facing_ends(graph)
    max_length = graph.maps.mm_to_px(_SPUR_MM)
    short = [number for number, segment in graph.segments.items() if segment.length < max_length]
    for number in sorted(short, key=lambda n: graph.segments[n].length):
        segment = graph.segments[number]
        ends = [node for node in (segment.start, segment.end) if graph.degree(node) == 1]
        is_loop = segment.start == segment.end
        forks = [node for node in (segment.start, segment.end) if graph.degree(node) >= 3]
        if is_loop or (len(ends) == 1 and forks and ends[0] not in tips and ends[0] not in facing):
            graph.remove_segment(number)


def _facing_ends(graph: RootGraph) -> set[int]:
    """Return the ends of the graph that point at the end of a longer root across a gap of up to 1.5 mm."""
    ends = graph.ends()
    if len(ends) < 2:
        return set()
    ends_xy = np.array([graph.nodes[node] for node in ends])
    facing: set[int] = set()
    for first, second in cKDTree(ends_xy).query_pairs(graph.maps.mm_to_px(_MAX_GAP_WITHIN_COMPONENT_MM)):
        across = ends_xy[second] - ends_xy[first]
        across = across / max(float(np.hypot(*across)), 1e-9)
        cosines = -(across @ _end_direction(graph, ends[first])), across @ _end_direction(graph, ends[second])
        if min(cosines) >= _MIN_FACING_COS:
            facing |= {ends[first], ends[second]}
    return facing


def bridge_gaps(graph: RootGraph, tips: Tips) -> None:
    """Bridge the ends of broken roots to root ahead of them: up to 2.5 mm, or 1.5 mm within one component."""
    index = PointIndex(graph)
    components = graph.components()
    bridges: list[_Bridge] = []
    for node in graph.ends():
        near = index.points_within(graph.nodes[node], graph.maps.mm_to_px(_MAX_GAP_MM))
        own = next(iter(graph.segments_at_node[node]))
        is_other = index.component[near] != components[node]
        max_gap_within = graph.maps.mm_to_px(_MAX_GAP_WITHIN_COMPONENT_MM)
        if node not in tips and graph.segments[own].length > max_gap_within:
            gaps = np.hypot(*(index.points[near] - graph.nodes[node]).T)
            is_other |= (index.segment_of_point[near] != own) & (gaps < max_gap_within)
        bridges += _cheapest_bridges(graph, node, index, near[is_other], node in tips)
    targets = graph.split_all([bridge.location for bridge in bridges])
    for bridge, target in zip(bridges, targets, strict=True):
        if target != bridge.node:
            line = np.array([graph.nodes[bridge.node], graph.nodes[target]])
            graph.add_segment(bridge.node, target, line, bridge.cost)


class _Bridge(NamedTuple):
    """A bridge from an end to a location (segment, index of its point), with its cost."""

    node: int
    location: tuple[int, int]
    cost: float


def _cheapest_bridges(
    graph: RootGraph, node: int, index: PointIndex, candidates: NDArray[np.int64], is_tip: bool
) -> list[_Bridge]:
    """Return the cheapest bridges from an end to candidate points, up to one per segment."""
    if not len(candidates):
        return []
    across = index.points[candidates] - graph.nodes[node]
    gaps = np.hypot(*across.T)
    forward_cos = -(across @ _end_direction(graph, node)) / np.maximum(gaps, 1e-9)
    is_passable = (gaps <= graph.maps.mm_to_px(_FREE_GAP_MM)) | (forward_cos >= _MIN_FORWARD_COS)
    cost = _BRIDGE_COST + gaps / graph.maps.px_per_mm * _COST_PER_MM * (2 - np.clip(forward_cos, 0, 1))
    cost = np.where(is_passable, cost + _COST_PAST_TIP * is_tip, np.inf)
    bridges: dict[int, _Bridge] = {}
    for candidate in np.argsort(cost).tolist():
        if not is_passable[candidate] or len(bridges) == _MAX_BRIDGES_PER_END:
            break
        location = index.locate(int(candidates[candidate]))
        bridges.setdefault(location[0], _Bridge(node, location, float(cost[candidate])))
    return list(bridges.values())


def _end_direction(graph: RootGraph, node: int) -> Points:
    """Return the direction from an end into its only segment."""
    points = graph.points_from_node(next(iter(graph.segments_at_node[node])), node)
    return polyline.direction(points, 1.0, graph.maps.mm_to_px(1.0))


def attach_bases(graph: RootGraph, candidates: Sequence[PlantCandidate], tips: Tips) -> list[int | None]:
    """Return the node of each candidate's base, on the root that starts there; None without a root nearby.

    Separate roots near the base are bridged to it, because a leaf can hide the junction.
    """
    return [
        None if candidate.base_xy is None else _attach_base(graph, candidate.base_xy, tips) for candidate in candidates
    ]


def _attach_base(graph: RootGraph, base_xy: Points, tips: Tips) -> int | None:
    """Return the node of a base: the nearest end if it is about as near as the nearest root point, else a new node."""
    max_distance, snap_distance = graph.maps.mm_to_px(_MAX_BASE_GAP_MM), graph.maps.mm_to_px(_BASE_SNAP_MM)
    index = PointIndex(graph)
    closest, point = index.nearest(base_xy)
    ends = [(float(np.hypot(*(graph.nodes[n] - base_xy))), n) for n in graph.ends() if n not in tips]
    distance, node = min(ends, default=(np.inf, -1))
    if closest > max_distance:
        return None
    if distance > min(snap_distance, closest + graph.maps.mm_to_px(_END_PREFERENCE_MM)):
        (node,) = graph.split_all([index.locate(point)])
        index = PointIndex(graph)
    own_component = graph.components()[node]
    nearest_by_component: dict[int, tuple[float, int]] = {}
    for near in index.points_within(base_xy, max_distance).tolist():
        gap = float(np.hypot(*(index.points[near] - base_xy)))
        component = int(index.component[near])
        if component != own_component and gap < nearest_by_component.get(component, (np.inf, -1))[0]:
            nearest_by_component[component] = (gap, near)
    others = graph.split_all([index.locate(near) for _, near in nearest_by_component.values()])
    for (gap, _), other in zip(nearest_by_component.values(), others, strict=True):
        cost = _BRIDGE_COST + gap / graph.maps.px_per_mm * _COST_PER_MM
        graph.add_segment(node, other, np.array([graph.nodes[node], graph.nodes[other]]), cost)
    return node
