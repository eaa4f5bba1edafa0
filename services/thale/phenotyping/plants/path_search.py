"""Path search: minimum-cost paths from each root base through the skeleton graph, and the assignment of tips to plants.

The cost of a path is the sum of the costs of its pixels, bridges and turns (ADR 0113). The cost of turns makes a path
go straight at a crossing. Length costs almost nothing, because a long root is as likely as a short one. If two plants
are about equally likely, the distance of a tip from both bases and the direction of growth decide.
"""

import heapq
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.skeleton_graph import RootGraph

TURN_COST, RIVAL_COST, FREE_TURN_DEG = 0.5, 4.0, 15.0
"""Costs of a right angle: of the turn, and of its difference to a rival. Angles up to `FREE_TURN_DEG` cost nothing."""
AMBIGUOUS_MARGIN = 0.4
"""Two plants are equally likely if their path costs differ by less: about the cost of a crossing below 25 degrees."""

_MAX_SHARED_SEGMENTS = 4
_UNREACHABLE_COST = 1e6
_MAX_PRIMARY_EXCESS_COST = 10.0
_UPWARD_COST_PER_MM = 0.01
_LANE_COST = 0.2
_MIN_SPACING_MM = 4.0
_SKIP_MM, _REACH_MM = 0.3, 1.3
_MAX_SHARED_MM, _SHARED_REACH_MM = 6.0, 3.0

DirectedEdge = tuple[int, bool]
"""A segment number, and True for the direction from its start to its end."""


@dataclass(frozen=True)
class ShortestPathTree:
    """Cheapest paths from one base to both ends of every segment: cost and previous edge."""

    base: int
    cost: dict[DirectedEdge, float]
    previous: dict[DirectedEdge, DirectedEdge | None]

    def path_to(self, edge: DirectedEdge) -> list[DirectedEdge]:
        """Return the edges from the base up to and including `edge`."""
        edges = [edge]
        while (earlier := self.previous[edges[-1]]) is not None:
            edges.append(earlier)
        return edges[::-1]


class TurnCosts:
    """Costs of turns from one segment to the next, from the directions of the segments at their common node.

    A lateral leaves its parent at an angle, so a turn alone is little evidence against a path. A turn into a segment
    that straightly continues a third segment, a rival, is more: the segment is then part of the rival's root. Two
    crossing roots can share a stretch. A rival is therefore also a segment that joined the path up to
    `_MAX_SHARED_MM` before. Its weight decreases with the length of the shared stretch.

    Args:
        graph: The repaired graph.
        bases: Nodes at which plants start. A segment with a free end that is no base is not a rival, because no root
            comes from there. None if every end can be a base.
    """

    def __init__(self, graph: RootGraph, bases: Collection[int] | None = None) -> None:
        skip, reach = graph.maps.mm_to_px(_SKIP_MM), graph.maps.mm_to_px(_REACH_MM)
        far_reach = graph.maps.mm_to_px(_SHARED_REACH_MM)
        self._graph, self._max_shared = graph, graph.maps.mm_to_px(_MAX_SHARED_MM)
        self._near, self._far = _Bends(), _Bends()
        self._degree: dict[DirectedEdge, int] = {}
        self._incoming: dict[int, list[tuple[DirectedEdge, float]]] = {}
        for number, segment in graph.segments.items():
            for edge, points in (((number, True), segment.points), ((number, False), segment.points[::-1])):
                self._near.add_direction(edge, polyline.direction(points, skip, reach))
                self._far.add_direction(edge, polyline.direction(points, skip, far_reach))
                start, far = (segment.start, segment.end) if edge[1] else (segment.end, segment.start)
                self._degree[edge] = graph.degree(start)
                if bases is None or far in bases or graph.degree(far) > 1:
                    gap_cost = segment.cost if segment.is_bridge else 0.0
                    self._incoming.setdefault(start, []).append(((number, not edge[1]), gap_cost))

    def cost(self, path: Sequence[DirectedEdge], outgoing: DirectedEdge) -> float:
        """Return the cost of a turn from the last edge of a path into an outgoing edge.

        At a node of only two segments, a bend costs nothing, because there is no alternative.
        """
        if self._degree[outgoing] == 2:
            return 0.0
        incoming = path[-1]
        turn = self._near.bend(incoming, outgoing)
        excess = turn - self._straightest_rival(self._near, incoming, incoming, outgoing)
        shared = 0.0
        for earlier, later in zip(path[-2::-1], path[:0:-1], strict=False):
            shared += self._graph.segments[later[0]].length
            if shared > self._max_shared:
                break
            rival = self._straightest_rival(self._far, earlier, later, outgoing)
            shared_excess = self._far.bend(earlier, outgoing) - rival
            excess = max(excess, shared_excess * (1 - shared / self._max_shared))
        return TURN_COST * turn + RIVAL_COST * max(0.0, excess)

    def _straightest_rival(
        self, bends: "_Bends", earlier: DirectedEdge, later: DirectedEdge, outgoing: DirectedEdge
    ) -> float:
        """Return the smallest bend into an outgoing edge from a rival of `earlier`; infinity without a rival."""
        used = (earlier[0], later[0], outgoing[0])
        rivals = self._incoming.get(edge_target(self._graph, earlier), ())
        return min(
            (bends.bend(rival, outgoing) + gap for rival, gap in rivals if rival[0] not in used),
            default=math.inf,
        )


class _Bends:
    """Bends of turns between directed edges. Each is computed once, because the paths of all plants use the same."""

    def __init__(self) -> None:
        self._directions: dict[DirectedEdge, tuple[float, float]] = {}
        self._bends: dict[tuple[DirectedEdge, DirectedEdge], float] = {}

    def add_direction(self, edge: DirectedEdge, direction_xy: Points) -> None:
        """Set the direction in which an edge leaves its first node."""
        self._directions[edge] = (float(direction_xy[0]), float(direction_xy[1]))

    def bend(self, incoming: DirectedEdge, outgoing: DirectedEdge) -> float:
        """Return the angle of a turn beyond `FREE_TURN_DEG`, as a share of a right angle."""
        key = incoming, outgoing
        if key not in self._bends:
            before, after = self._directions[incoming[0], not incoming[1]], self._directions[outgoing]
            cosine = -(before[0] * after[0] + before[1] * after[1])
            angle_deg = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
            self._bends[key] = max(0.0, angle_deg - FREE_TURN_DEG) / 90
        return self._bends[key]


def outgoing_edges(graph: RootGraph, node: int) -> Iterator[DirectedEdge]:
    """Yield the edges that start at a node."""
    for number in graph.segments_at_node[node]:
        segment = graph.segments[number]
        if segment.start == node:
            yield number, True
        if segment.end == node:
            yield number, False


def edge_target(graph: RootGraph, edge: DirectedEdge) -> int:
    """Return the node at the end of an edge."""
    segment = graph.segments[edge[0]]
    return segment.end if edge[1] else segment.start


def edge_cost(graph: RootGraph, edge: DirectedEdge) -> float:
    """Return the cost of an edge: that of its segment, and a little for each mm upwards, because roots grow down."""
    segment = graph.segments[edge[0]]
    first, last = (segment.start, segment.end) if edge[1] else (segment.end, segment.start)
    rise = max(0.0, float(graph.nodes[first][1] - graph.nodes[last][1]))
    return segment.cost + _UPWARD_COST_PER_MM * rise / graph.maps.px_per_mm


def lane_costs(graph: RootGraph, trees: Sequence["ShortestPathTree | None"], node: int) -> list[float]:
    """Return the cost of each plant for a tip beyond the midpoint to a neighbour, from the distance between bases.

    A root may grow into a neighbour's lane. The cost decides between paths that are otherwise about equally likely.
    """
    bases = [None if tree is None else float(graph.nodes[tree.base][0]) for tree in trees]
    known = np.sort([x for x in bases if x is not None])
    if len(known) < 2:
        return [0.0] * len(trees)
    spacing = max(float(np.median(np.diff(known))), graph.maps.mm_to_px(_MIN_SPACING_MM))
    x = float(graph.nodes[node][0])
    return [0.0 if base is None else _LANE_COST * min(1.0, max(0.0, abs(x - base) / spacing - 0.5)) for base in bases]


def shortest_path_tree(graph: RootGraph, turn_costs: TurnCosts, base: int) -> ShortestPathTree:
    """Return the cheapest paths from a base, by Dijkstra's algorithm on directed edges, because turns have costs."""
    cost: dict[DirectedEdge, float] = {}
    previous: dict[DirectedEdge, DirectedEdge | None] = {}
    queue: list[tuple[float, DirectedEdge, DirectedEdge | None]] = [
        (edge_cost(graph, edge), edge, None) for edge in outgoing_edges(graph, base)
    ]
    heapq.heapify(queue)
    while queue:
        path_cost, edge, earlier = heapq.heappop(queue)
        if edge in cost:
            continue
        cost[edge], previous[edge] = path_cost, earlier
        recent = _recent_edges(previous, edge)
        for next_edge in outgoing_edges(graph, edge_target(graph, edge)):
            if next_edge not in cost and next_edge[0] != edge[0]:
                total = path_cost + turn_costs.cost(recent, next_edge) + edge_cost(graph, next_edge)
                heapq.heappush(queue, (total, next_edge, edge))
    return ShortestPathTree(base, cost, previous)


def _recent_edges(previous: dict[DirectedEdge, DirectedEdge | None], edge: DirectedEdge) -> list[DirectedEdge]:
    """Return the last edges of the path to `edge`, including it."""
    edges = [edge]
    while len(edges) < _MAX_SHARED_SEGMENTS + 1 and (earlier := previous[edges[-1]]) is not None:
        edges.append(earlier)
    return edges[::-1]


@dataclass(frozen=True)
class TipAssignment:
    """Assignment of a tip to a plant.

    `edges` is the path from the base to the tip. `ambiguous_at_xy` is the position of the ambiguity if another plant is
    about equally likely. `resolved_by_lane` is True if the lane of the tip resolved it. `rival` is the other plant to
    which the tip belongs most likely, and `margin` is the additional cost of that assignment: infinite without a rival.
    """

    plant: int
    edges: list[DirectedEdge]
    ambiguous_at_xy: tuple[float, float] | None = None
    resolved_by_lane: bool = False
    rival: int | None = None
    margin: float = math.inf


def plants_reaching(
    graph: RootGraph, trees: list[ShortestPathTree | None], node: int
) -> list[tuple[float, int, DirectedEdge]]:
    """Return cost, plant and last edge of each plant's cheapest path to a node, the cheapest plant first."""
    edges = [(number, not forward) for number, forward in outgoing_edges(graph, node)]
    lanes = lane_costs(graph, trees, node)
    reaching = []
    for plant, tree in enumerate(trees):
        reached = (
            [(tree.cost[edge] + lanes[plant], plant, edge) for edge in edges if edge in tree.cost]
            if tree is not None
            else []
        )
        reaching += [min(reached)] if reached else []
    return sorted(reaching)


def assign_tip(
    graph: RootGraph,
    trees: list[ShortestPathTree | None],
    reaching: list[tuple[float, int, DirectedEdge]],
    lane: int | None = None,
) -> TipAssignment:
    """Assign a tip to the first of the reaching plants, or to the plant of the lane if two are equally likely."""
    paths = {plant: path_to(trees, plant, edge) for _, plant, edge in reaching[:2]}
    cheapest, plant, _ = reaching[0]
    if len(reaching) == 1:
        return TipAssignment(plant, paths[plant])
    margin, rival = reaching[1][0] - cheapest, reaching[1][1]
    if margin >= AMBIGUOUS_MARGIN:
        return TipAssignment(plant, paths[plant], rival=rival, margin=margin)
    ambiguous_at_xy = _merge_point(graph, paths[plant], paths[rival])
    if lane in (plant, rival):
        other = rival if lane == plant else plant
        return TipAssignment(lane, paths[lane], ambiguous_at_xy, resolved_by_lane=True, rival=other, margin=margin)
    return TipAssignment(plant, paths[plant], ambiguous_at_xy, rival=rival, margin=margin)


def path_to(trees: list[ShortestPathTree | None], plant: int, edge: DirectedEdge) -> list[DirectedEdge]:
    """Return the edges from a plant's base up to and including `edge`."""
    tree = trees[plant]
    return tree.path_to(edge) if tree is not None else []


def match_primary_tips(
    graph: RootGraph,
    trees: list[ShortestPathTree | None],
    nodes: Sequence[int],
    lane_of_node: Callable[[int], int | None],
) -> dict[int, TipAssignment]:
    """Assign primary tips to plants one to one, at minimum total path cost.

    An assignment is ambiguous if two plants can swap their tips at little additional cost. A tip whose path costs much
    more than the cheapest path to it is omitted.
    """
    reached = {
        node: {plant: (cost_to_node, edge) for cost_to_node, plant, edge in plants_reaching(graph, trees, node)}
        for node in nodes
    }
    nodes = [node for node in nodes if reached[node]]
    if not nodes:
        return {}
    cost = np.full((len(trees), len(nodes)), _UNREACHABLE_COST)
    for column, node in enumerate(nodes):
        for plant, (cost_to_node, _) in reached[node].items():
            cost[plant, column] = cost_to_node
    cost[cost - cost.min(axis=0) > _MAX_PRIMARY_EXCESS_COST] = _UNREACHABLE_COST
    # The constant 1 avoids zeros, which a sparse array does not store. It does not change the optimum.
    plants, columns = min_weight_full_bipartite_matching(csr_array(cost + 1.0))
    is_too_far = cost[plants, columns] == _UNREACHABLE_COST
    chosen = {int(p): int(c) for p, c, skip in zip(plants, columns, is_too_far, strict=True) if not skip}
    tip_assignments = {}
    for plant, column in chosen.items():
        ranking = [(cost[plant, column], plant, reached[nodes[column]][plant][1])]
        for rival, other in chosen.items():
            swap_cost = cost[rival, column] + cost[plant, other] - cost[rival, other] - cost[plant, column]
            if rival != plant and cost[rival, column] < _UNREACHABLE_COST:
                ranking.append((cost[plant, column] + swap_cost, rival, reached[nodes[column]][rival][1]))
        ranking[1:] = sorted(ranking[1:])
        tip_assignments[nodes[column]] = assign_tip(graph, trees, ranking, lane_of_node(nodes[column]))
    return tip_assignments


def _merge_point(graph: RootGraph, edges: list[DirectedEdge], rival_edges: list[DirectedEdge]) -> tuple[float, float]:
    """Return the position at which two paths to the same tip merge, as seen from their bases."""
    meeting = edge_target(graph, edges[-1])
    for own, other in zip(reversed(edges), reversed(rival_edges), strict=False):
        if own != other:
            break
        meeting = edge_target(graph, (own[0], not own[1]))
    x, y = np.asarray(graph.nodes[meeting])
    return float(x), float(y)
