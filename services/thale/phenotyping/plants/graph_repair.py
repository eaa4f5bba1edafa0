"""Mend the network before roots are traced: spurs go, broken roots are linked, bases and tips become nodes.

The linking of gaps matters more than a larger net: thin laterals break, and a leaf hides where a root begins. A link
has its price, so that a root is followed along what is seen wherever that is possible.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.plant_detection import Founder
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ROOT_LOW
from thale.phenotyping.plants.skeleton_graph import PointIndex, RootGraph
from thale.schemas import Landmark

_SPUR_MM = 1.0
_TIP_MM = 0.8
_LEAST_TIP_SCORE = 0.2
_LEAST_BRANCH_SCORE = 0.3
"""Least score of a tip where no root is seen to end: beside a root, or where it meets another."""
_MOST_TIPS = 1000
_SHORTEST_STUB_MM = 0.25
_LONGEST_STUB_MM = 1.5
_GAP_MM = 2.5
_GAP_WITHIN_MM = 1.5
_LINKS_PER_END = 3
_WIDEST_TURN_COS = 0.3
_FREE_GAP_MM = 0.5
_LINK_COST = 0.6
_COST_PER_MM = 0.6
_COST_PAST_TIP = 2.0
_BASE_SNAP_MM = 1.5
_END_PREFERENCE_MM = 0.7
_BASE_GAP_MM = 3.0

Tips = dict[int, Landmark]
"""The landmark that stands at a node."""


def mark_tips(graph: RootGraph, landmarks: Sequence[Landmark]) -> Tips:
    """Return which node each tip landmark marks: an end, a stub beside a root, or a cut where a lateral meets another.

    Landmarks and ends are paired one to one, the nearest first. Where no root ends, a landmark has to be surer of
    itself. A landmark without a root under it marks nothing.
    """
    marks = [m for m in landmarks if m.kind in ("primary_tip", "lateral_tip") and m.score >= _LEAST_TIP_SCORE]
    marks = sorted(marks, key=lambda mark: -mark.score)[:_MOST_TIPS]
    if not marks:
        return {}
    places = graph.maps.frame.from_source(np.array([[mark.x, mark.y] for mark in marks]))
    reach = graph.maps.px(_TIP_MM)
    paired = _pair(places, graph.ends(), graph, reach)
    tips: Tips = {node: marks[number] for number, node in paired.items()}
    index = PointIndex(graph)
    inside: list[tuple[int, tuple[int, int], bool]] = []
    for number, mark in enumerate(marks):
        gap, point = index.nearest(places[number])
        believed = mark.kind == "lateral_tip" and mark.score >= _LEAST_BRANCH_SCORE
        if number in paired or not believed or point < 0:
            continue
        stub = _is_stub(graph, index.points[point], places[number])
        if stub or gap <= reach:
            inside.append((number, index.place(point), stub))
    nodes = graph.split_all([place for _, place, _ in inside])
    for (number, _, stub), node in zip(inside, nodes, strict=True):
        tips.setdefault(_grow_stub(graph, node, places[number]) if stub else node, marks[number])
    return tips


def _pair(places: Points, ends: list[int], graph: RootGraph, reach: float) -> dict[int, int]:
    """Return which end belongs to which place (by its number), one to one, the nearest pairs first."""
    if not ends:
        return {}
    ends_xy = np.array([graph.nodes[node] for node in ends])
    distances = np.hypot(*(places[:, None] - ends_xy[None]).transpose(2, 0, 1))
    near = np.argwhere(distances <= reach)
    paired: dict[int, int] = {}
    for number, end in near[np.argsort(distances[tuple(near.T)])].tolist():
        if number not in paired and ends[end] not in paired.values():
            paired[number] = ends[end]
    return paired


def _is_stub(graph: RootGraph, foot_xy: Points, tip_xy: Points) -> bool:
    """Whether a tip is that of a lateral too short for the skeleton: beside the nearest root, on root all the way."""
    if not graph.maps.px(_SHORTEST_STUB_MM) <= np.hypot(*(tip_xy - foot_xy)) <= graph.maps.px(_LONGEST_STUB_MM):
        return False
    line = polyline.resample(np.array([foot_xy, tip_xy]), 0.5)
    return bool(polyline.sample(graph.maps.root_HW, line).min() >= ROOT_LOW * 255)


def _grow_stub(graph: RootGraph, origin: int, tip_xy: Points) -> int:
    tip = graph.add_node(tip_xy)
    graph.add_segment(origin, tip, polyline.resample(np.array([graph.nodes[origin], tip_xy])))
    return tip


def prune_spurs(graph: RootGraph, tips: Tips) -> None:
    """Take out side branches that are too short to be a lateral and bear no tip landmark, the shortest first."""
    longest = graph.maps.px(_SPUR_MM)
    short = [number for number, segment in graph.segments.items() if segment.length < longest]
    for number in sorted(short, key=lambda n: graph.segments[n].length):
        segment = graph.segments[number]
        ends = [node for node in (segment.start, segment.end) if graph.degree(node) == 1]
        loop = segment.start == segment.end
        forks = [node for node in (segment.start, segment.end) if graph.degree(node) >= 3]
        if loop or (len(ends) == 1 and forks and ends[0] not in tips):
            graph.remove(number)


def link_gaps(graph: RootGraph, tips: Tips) -> None:
    """Link the ends of broken roots to what lies ahead of them within 2.5 mm; within one piece, 1.5 mm."""
    index = PointIndex(graph)
    pieces = graph.components()
    found: list[_Link] = []
    for node in graph.ends():
        near = index.within(graph.nodes[node], graph.maps.px(_GAP_MM))
        own = next(iter(graph.at_node[node]))
        foreign = index.piece[near] != pieces[node]
        if node not in tips and graph.segments[own].length > graph.maps.px(_GAP_WITHIN_MM):
            gaps = np.hypot(*(index.points[near] - graph.nodes[node]).T)
            foreign |= (index.owner[near] != own) & (gaps < graph.maps.px(_GAP_WITHIN_MM))
        found += _links_from(graph, node, index, near[foreign], node in tips)
    targets = graph.split_all([link.place for link in found])
    for link, target in zip(found, targets, strict=True):
        if target != link.node:
            line = np.array([graph.nodes[link.node], graph.nodes[target]])
            graph.add_segment(link.node, target, line, link.cost)


class _Link(NamedTuple):
    """From an end to a place (segment, index of its point), at a cost."""

    node: int
    place: tuple[int, int]
    cost: float


def _links_from(
    graph: RootGraph, node: int, index: PointIndex, candidates: NDArray[np.int64], past_tip: bool
) -> list[_Link]:
    """Return the cheapest links from an end to candidate points, at most one a segment."""
    if not len(candidates):
        return []
    across = index.points[candidates] - graph.nodes[node]
    gaps = np.hypot(*across.T)
    ahead = -(across @ _outgoing(graph, node)) / np.maximum(gaps, 1e-9)
    passable = (gaps <= graph.maps.px(_FREE_GAP_MM)) | (ahead >= _WIDEST_TURN_COS)
    cost = _LINK_COST + gaps / graph.maps.px_per_mm * _COST_PER_MM * (2 - np.clip(ahead, 0, 1))
    cost = np.where(passable, cost + _COST_PAST_TIP * past_tip, np.inf)
    links: dict[int, _Link] = {}
    for candidate in np.argsort(cost).tolist():
        if not passable[candidate] or len(links) == _LINKS_PER_END:
            break
        place = index.place(int(candidates[candidate]))
        links.setdefault(place[0], _Link(node, place, float(cost[candidate])))
    return list(links.values())


def _outgoing(graph: RootGraph, node: int) -> Points:
    """Return the direction from an end into its only segment."""
    points = graph.leaving(next(iter(graph.at_node[node])), node)
    return polyline.direction(points, 1.0, graph.maps.px(1.0))


def attach_bases(graph: RootGraph, founders: Sequence[Founder], tips: Tips) -> list[int | None]:
    """Give each founder's base a node, on the root that begins there; None where no root is within reach.

    Other roots that begin near the base without touching (a leaf hides the joint) are linked to it.
    """
    return [None if f.base_xy is None else _attach(graph, f.base_xy, tips) for f in founders]


def _attach(graph: RootGraph, base_xy: Points, tips: Tips) -> int | None:
    """Return the node of a base: the root's end there if it is about as near as any root, else a cut in the root."""
    reach, snap = graph.maps.px(_BASE_GAP_MM), graph.maps.px(_BASE_SNAP_MM)
    index = PointIndex(graph)
    closest, point = index.nearest(base_xy)
    ends = [(float(np.hypot(*(graph.nodes[n] - base_xy))), n) for n in graph.ends() if n not in tips]
    distance, node = min(ends, default=(np.inf, -1))
    if closest > reach:
        return None
    if distance > min(snap, closest + graph.maps.px(_END_PREFERENCE_MM)):
        (node,) = graph.split_all([index.place(point)])
        index = PointIndex(graph)
    own = graph.components()[node]
    best: dict[int, tuple[float, int]] = {}
    for near in index.within(base_xy, reach).tolist():
        gap = float(np.hypot(*(index.points[near] - base_xy)))
        piece = int(index.piece[near])
        if piece != own and gap < best.get(piece, (np.inf, -1))[0]:
            best[piece] = (gap, near)
    others = graph.split_all([index.place(near) for _, near in best.values()])
    for (gap, _), other in zip(best.values(), others, strict=True):
        cost = _LINK_COST + gap / graph.maps.px_per_mm * _COST_PER_MM
        graph.add_segment(node, other, np.array([graph.nodes[node], graph.nodes[other]]), cost)
    return node
