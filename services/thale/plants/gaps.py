"""Mend the network before roots are traced: spurs go, broken roots are linked, bases and tips become nodes.

The linking of gaps matters more than a larger net: thin laterals break, and a leaf hides where a root begins. A link
has its price, so that a root is followed along what is seen wherever that is possible.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from thale.contract import Landmark
from thale.plants import polyline
from thale.plants.founding import Founder
from thale.plants.graph import RootGraph
from thale.plants.maps import ROOT_LOW
from thale.plants.polyline import Points

_SPUR_MM = 1.0
_TIP_MM = 0.8
_LEAST_TIP_SCORE = 0.3
_SHORTEST_STUB_MM = 0.35
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
    """Return which node each tip landmark marks, cutting a segment where a lateral ends against another root.

    A landmark without a root under it marks nothing; of two at one node the surer stays.
    """
    tips: Tips = {}
    reach = graph.maps.px(_TIP_MM)
    marks = [m for m in landmarks if m.kind in ("primary_tip", "lateral_tip") and m.score >= _LEAST_TIP_SCORE]
    for mark in sorted(marks, key=lambda mark: -mark.score):
        place_xy = graph.maps.frame.from_source(np.array([[mark.x, mark.y]]))[0]
        ends = [(float(np.hypot(*(graph.nodes[node] - place_xy))), node) for node in graph.ends()]
        distance, node = min(ends, default=(np.inf, -1))
        if distance > reach:
            if mark.kind == "primary_tip":
                continue
            node = _grow_stub(graph, place_xy)
            node = _split_at(graph, place_xy, reach) if node < 0 else node
        if node >= 0:
            tips.setdefault(node, mark)
    return tips


def _grow_stub(graph: RootGraph, place_xy: Points) -> int:
    """Return a new end at the tip of a lateral so short that the skeleton does not show it; -1 if none is there.

    Such a tip lies beside the nearest root, on root all the way.
    """
    gap, number, index = _nearest_segment(graph, place_xy)
    if not graph.maps.px(_SHORTEST_STUB_MM) <= gap <= graph.maps.px(_LONGEST_STUB_MM):
        return -1
    foot = graph.segments[number].points[index]
    line = polyline.resample(np.array([foot, place_xy]), 0.5)
    cols, rows = np.round(line).astype(int).T
    if graph.maps.root_HW[rows, cols].min() < ROOT_LOW * 255:
        return -1
    origin, tip = graph.split(number, index), graph.add_node(place_xy)
    graph.add_segment(origin, tip, np.vstack([graph.nodes[origin], line[1:]]))
    return tip


def _nearest_segment(graph: RootGraph, place_xy: Points) -> tuple[float, int, int]:
    """Return the distance of the nearest segment, its number and the index of its nearest point."""
    best = (np.inf, -1, 0)
    for number, segment in graph.segments.items():
        index, distance = polyline.nearest(segment.points, place_xy)
        best = min(best, (distance, number, index))
    return best


def _split_at(graph: RootGraph, place_xy: Points, reach: float) -> int:
    """Return the node on the segment nearest to a place, made by cutting the segment; -1 if none is within reach."""
    gap, number, index = _nearest_segment(graph, place_xy)
    return graph.split(number, index) if gap <= reach else -1


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
    pieces = graph.components()
    numbers = np.array(list(graph.segments), int)
    if len(numbers) < 2:
        return
    lines = [graph.segments[n].points for n in numbers.tolist()]
    owner = np.repeat(numbers, [len(line) for line in lines])
    points = np.vstack(lines)
    piece_of = np.repeat([pieces[graph.segments[n].start] for n in numbers.tolist()], [len(line) for line in lines])
    tree = cKDTree(points)
    found: list[tuple[int, Points, float]] = []
    for node in graph.ends():
        near = np.array(tree.query_ball_point(graph.nodes[node], graph.maps.px(_GAP_MM)), int)
        own_number = next(iter(graph.at_node[node]))
        foreign = piece_of[near] != pieces[node]
        if node not in tips and graph.segments[own_number].length > graph.maps.px(_GAP_WITHIN_MM):
            gaps = np.hypot(*(points[near] - graph.nodes[node]).T)
            foreign |= (owner[near] != own_number) & (gaps < graph.maps.px(_GAP_WITHIN_MM))
        found += _links_from(graph, node, points[near], owner[near], foreign, tips)
    for node, place_xy, cost in found:
        target = _split_at(graph, place_xy, 1.5)
        if target >= 0 and target != node:
            graph.add_segment(node, target, np.array([graph.nodes[node], graph.nodes[target]]), cost)


def _links_from(
    graph: RootGraph, node: int, points: Points, owner: np.ndarray, foreign: np.ndarray, tips: Tips
) -> list[tuple[int, Points, float]]:
    """Return the cheapest links (node, place, cost) from an end to points of other pieces, at most one a segment."""
    if not foreign.any():
        return []
    points, owner = points[foreign], owner[foreign]
    onward = -_outgoing(graph, node)
    across = points - graph.nodes[node]
    gaps = np.hypot(*across.T)
    ahead = (across @ onward) / np.maximum(gaps, 1e-9)
    free = gaps <= graph.maps.px(_FREE_GAP_MM)
    passable = free | (ahead >= _WIDEST_TURN_COS)
    cost = _LINK_COST + gaps / graph.maps.px_per_mm * _COST_PER_MM * (2 - np.clip(ahead, 0, 1))
    cost += _COST_PAST_TIP * (node in tips)
    chosen: list[tuple[int, Points, float]] = []
    taken: set[int] = set()
    for index in np.argsort(np.where(passable, cost, np.inf)).tolist():
        if not passable[index] or len(chosen) == _LINKS_PER_END:
            break
        if int(owner[index]) not in taken:
            taken.add(int(owner[index]))
            chosen.append((node, points[index], float(cost[index])))
    return chosen


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
    closest = min((polyline.nearest(s.points, base_xy)[1] for s in graph.segments.values()), default=np.inf)
    ends = [(float(np.hypot(*(graph.nodes[n] - base_xy))), n) for n in graph.ends() if n not in tips]
    distance, node = min(ends, default=(np.inf, -1))
    if distance > min(snap, closest + graph.maps.px(_END_PREFERENCE_MM)):
        node = _split_at(graph, base_xy, reach)
    if node < 0:
        return None
    pieces = graph.components()
    own = pieces[node]
    nearest_of: dict[int, tuple[float, int, int]] = {}
    for number, segment in graph.segments.items():
        piece = int(pieces[segment.start])
        index, gap = polyline.nearest(segment.points, base_xy)
        if piece != own and gap <= min(reach, nearest_of.get(piece, (np.inf,))[0]):
            nearest_of[piece] = (gap, number, index)
    for gap, number, index in nearest_of.values():
        other = graph.split(number, index)
        cost = _LINK_COST + gap / graph.maps.px_per_mm * _COST_PER_MM
        graph.add_segment(node, other, np.array([graph.nodes[node], graph.nodes[other]]), cost)
    return node
