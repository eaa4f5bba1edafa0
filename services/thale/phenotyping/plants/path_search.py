"""Minimum-cost paths from every plant's base through the network, and which plant each place belongs to.

A path pays for unlikely pixels, for gaps and for turns. Because it pays for turns, a root goes straight on where it
crosses another instead of changing over. Length costs next to nothing: a long root is no less a root.
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
"""Two plants are as likely if their paths differ by less: about what a crossing flatter than 35 degrees costs."""

_UNREACHABLE_COST = 1e6
_MAX_PRIMARY_EXCESS_COST = 3.0
_SKIP_MM, _REACH_MM = 0.3, 1.3

DirectedEdge = tuple[int, bool]
"""A segment, and whether it is walked from its start to its end."""


@dataclass(frozen=True)
class ShortestPathTree:
    """The cheapest way from one base to every end of every segment: its cost and the step before."""

    base: int
    cost: dict[DirectedEdge, float]
    previous: dict[DirectedEdge, DirectedEdge | None]

    def path_to(self, edge: DirectedEdge) -> list[DirectedEdge]:
        """Return the steps from the base up to and with `step`."""
        edges = [edge]
        while (earlier := self.previous[edges[-1]]) is not None:
            edges.append(earlier)
        return edges[::-1]


class TurnCosts:
    """The price of going from one segment on to another, from the directions in which both leave their node."""

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
        """Return what a turn costs: nothing up to `FREE_TURN_DEG`, `TURN_COST` for each right angle beyond it.

        Where two segments meet alone there is no choice, and a bend is no turn.
        """
        if self._degree[outgoing] == 2:
            return 0.0
        incoming_direction = self._start_direction[incoming[0], not incoming[1]]
        outgoing_direction = self._start_direction[outgoing]
        angle = math.degrees(math.acos(min(1.0, max(-1.0, -float(incoming_direction @ outgoing_direction)))))
        return TURN_COST * max(0.0, angle - FREE_TURN_DEG) / 90


def outgoing_edges(graph: RootGraph, node: int) -> Iterator[DirectedEdge]:
    """Yield the steps that leave a node."""
    for number in graph.segments_at_node[node]:
        segment = graph.segments[number]
        if segment.start == node:
            yield number, True
        if segment.end == node:
            yield number, False


def edge_target(graph: RootGraph, edge: DirectedEdge) -> int:
    """Return the node where a step arrives."""
    segment = graph.segments[edge[0]]
    return segment.end if edge[1] else segment.start


def shortest_path_tree(graph: RootGraph, turn_costs: TurnCosts, base: int) -> ShortestPathTree:
    """Return the cheapest paths from a base (Dijkstra over directed segments, for a turn needs two of them)."""
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
    """Which plant a node belongs to, by which path, and the place of doubt if another plant is nearly as likely.

    `by_lane` says that the doubt was settled by the lane in which the node lies.
    """

    plant: int
    edges: list[DirectedEdge]
    ambiguous_at_xy: tuple[float, float] | None = None
    resolved_by_lane: bool = False


def plants_reaching(
    graph: RootGraph, trees: list[ShortestPathTree | None], node: int
) -> list[tuple[float, int, DirectedEdge]]:
    """Return for each plant that reaches a node the cost of its path and the last step, the cheapest plant first."""
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
    """Return the claim of the first of the arrivals, or among equals that of the plant whose lane it is."""
    paths = {plant: path_to(trees, plant, edge) for _, plant, edge in reaching[:2]}
    cheapest, plant, _ = reaching[0]
    rivals = [other for cost, other, _ in reaching[1:2] if cost - cheapest < AMBIGUOUS_MARGIN]
    if not rivals:
        return TipAssignment(plant, paths[plant])
    ambiguous_at_xy = _divergence_point(graph, paths[plant], paths[rivals[0]])
    if lane in (plant, rivals[0]):
        return TipAssignment(lane, paths[lane], ambiguous_at_xy, resolved_by_lane=True)
    return TipAssignment(plant, paths[plant], ambiguous_at_xy)


def path_to(trees: list[ShortestPathTree | None], plant: int, edge: DirectedEdge) -> list[DirectedEdge]:
    """Return the steps from a plant's base up to and with `step`."""
    tree = trees[plant]
    return tree.path_to(edge) if tree is not None else []


def match_primary_tips(
    graph: RootGraph,
    trees: list[ShortestPathTree | None],
    nodes: Sequence[int],
    lane_of_node: Callable[[int], int | None],
) -> dict[int, TipAssignment]:
    """Return which plant's primary root ends at which of the nodes, one each, so that all paths together cost least.

    A pair is in doubt if two plants could change tips at little cost.
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
    # One more for every pair changes no choice, and a sparse array has no zeros.
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


def _divergence_point(
    graph: RootGraph, edges: list[DirectedEdge], rival_edges: list[DirectedEdge]
) -> tuple[float, float]:
    """Return where two paths to the same place come together, seen from their bases."""
    meeting = edge_target(graph, edges[-1])
    for own, other in zip(reversed(edges), reversed(rival_edges), strict=False):
        if own != other:
            break
        meeting = edge_target(graph, (own[0], not own[1]))
    x, y = np.asarray(graph.nodes[meeting])
    return float(x), float(y)
