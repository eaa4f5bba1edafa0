"""Path search: minimum-cost paths from each root base through the skeleton graph, and the assignment of tips to plants.

The cost of a path is the sum of the costs of its pixels, bridges and turns. The cost of turns makes a path go straight
at a crossing. Length costs almost nothing, because a long root is as likely as a short one.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.skeleton_graph import RootGraph

TURN_COST = 2.0
FREE_TURN_DEG = 20.0
AMBIGUOUS_MARGIN = 0.3
"""Two plants are equally likely if their path costs differ by less: about the cost of a crossing below 35 degrees."""

_UNREACHABLE_COST = 1e6
_MAX_PRIMARY_EXCESS_COST = 3.0
_SKIP_MM, _REACH_MM = 0.3, 1.3

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
    """Costs of turns from one segment to the next, from the directions of both segments at their common node."""

    def __init__(self, graph: RootGraph) -> None:
        skip, reach = graph.maps.mm_to_px(_SKIP_MM), graph.maps.mm_to_px(_REACH_MM)
        self._start_direction: dict[DirectedEdge, Points] = {}
        self._degree: dict[DirectedEdge, int] = {}
        for number, segment in graph.segments.items():
            self._start_direction[number, True] = polyline.direction(segment.points, skip, reach)
            self._start_direction[number, False] = polyline.direction(segment.points[::-1], skip, reach)
            self._degree[number, True] = graph.degree(segment.start)
            self._degree[number, False] = graph.degree(segment.end)

    def cost(self, incoming: DirectedEdge, outgoing: DirectedEdge) -> float:
        """Return the cost of a turn: zero up to `FREE_TURN_DEG`, then `TURN_COST` per 90 degrees.

        At a node of only two segments, a bend costs nothing, because there is no alternative.
        """
        if self._degree[outgoing] == 2:
            return 0.0
        incoming_direction = self._start_direction[incoming[0], not incoming[1]]
        outgoing_direction = self._start_direction[outgoing]
        angle = math.degrees(math.acos(min(1.0, max(-1.0, -float(incoming_direction @ outgoing_direction)))))
        return TURN_COST * max(0.0, angle - FREE_TURN_DEG) / 90


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


def shortest_path_tree(graph: RootGraph, turn_costs: TurnCosts, base: int) -> ShortestPathTree:
    """Return the cheapest paths from a base, by Dijkstra's algorithm on directed edges, because turns have costs."""
    cost: dict[DirectedEdge, float] = {}
    previous: dict[DirectedEdge, DirectedEdge | None] = {}
    queue: list[tuple[float, DirectedEdge, DirectedEdge | None]] = [
        (graph.segments[edge[0]].cost, edge, None) for edge in outgoing_edges(graph, base)
    ]
    heapq.heapify(queue)
    while queue:
        path_cost, edge, earlier = heapq.heappop(queue)
        if edge in cost:
            continue
        cost[edge], previous[edge] = path_cost, earlier
        for next_edge in outgoing_edges(graph, edge_target(graph, edge)):
            if next_edge not in cost and next_edge[0] != edge[0]:
                total = path_cost + turn_costs.cost(edge, next_edge) + graph.segments[next_edge[0]].cost
                heapq.heappush(queue, (total, next_edge, edge))
    return ShortestPathTree(base, cost, previous)


@dataclass(frozen=True)
class TipAssignment:
    """Assignment of a tip to a plant.

    `edges` is the path from the base to the tip. `ambiguous_at_xy` is the position of the ambiguity if another plant is
    about equally likely. `resolved_by_lane` is True if the lane of the tip resolved it.
    """

    plant: int
    edges: list[DirectedEdge]
    ambiguous_at_xy: tuple[float, float] | None = None
    resolved_by_lane: bool = False


def plants_reaching(
    graph: RootGraph, trees: list[ShortestPathTree | None], node: int
) -> list[tuple[float, int, DirectedEdge]]:
    """Return cost, plant and last edge of each plant's cheapest path to a node, the cheapest plant first."""
    edges = [(number, not forward) for number, forward in outgoing_edges(graph, node)]
    reaching = []
    for plant, tree in enumerate(trees):
        reached = [(tree.cost[edge], plant, edge) for edge in edges if edge in tree.cost] if tree is not None else []
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
    rivals = [other for cost, other, _ in reaching[1:2] if cost - cheapest < AMBIGUOUS_MARGIN]
    if not rivals:
        return TipAssignment(plant, paths[plant])
    ambiguous_at_xy = _merge_point(graph, paths[plant], paths[rivals[0]])
    if lane in (plant, rivals[0]):
        return TipAssignment(lane, paths[lane], ambiguous_at_xy, resolved_by_lane=True)
    return TipAssignment(plant, paths[plant], ambiguous_at_xy)


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
    # The constant 1 avoids zeros, which a sparse array does not store. It does not change the optimum.
    plants, columns = min_weight_full_bipartite_matching(csr_array(cost + 1.0))
    is_too_far = cost[plants, columns] - cost[:, columns].min(axis=0) > _MAX_PRIMARY_EXCESS_COST
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
