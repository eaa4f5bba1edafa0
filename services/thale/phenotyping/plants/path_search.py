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

_UNREACHED = 1e6
_FARTHEST_PRIMARY = 3.0
_SKIP_MM, _REACH_MM = 0.3, 1.3

Step = tuple[int, bool]
"""A segment, and whether it is walked from its start to its end."""


@dataclass(frozen=True)
class PathTree:
    """The cheapest way from one base to every end of every segment: its cost and the step before."""

    base: int
    cost: dict[Step, float]
    before: dict[Step, Step | None]

    def path_to(self, step: Step) -> list[Step]:
        """Return the steps from the base up to and with `step`."""
        steps = [step]
        while (earlier := self.before[steps[-1]]) is not None:
            steps.append(earlier)
        return steps[::-1]


class Turns:
    """The price of going from one segment on to another, from the directions in which both leave their node."""

    def __init__(self, graph: RootGraph) -> None:
        skip, reach = graph.maps.px(_SKIP_MM), graph.maps.px(_REACH_MM)
        self._leaving: dict[Step, Points] = {}
        self._degree: dict[Step, int] = {}
        for number, segment in graph.segments.items():
            self._leaving[number, True] = polyline.direction(segment.points, skip, reach)
            self._leaving[number, False] = polyline.direction(segment.points[::-1], skip, reach)
            self._degree[number, True] = graph.degree(segment.start)
            self._degree[number, False] = graph.degree(segment.end)

    def cost(self, arriving: Step, leaving: Step) -> float:
        """Return what a turn costs: nothing up to `FREE_TURN_DEG`, `TURN_COST` for each right angle beyond it.

        Where two segments meet alone there is no choice, and a bend is no turn.
        """
        if self._degree[leaving] == 2:
            return 0.0
        back = self._leaving[arriving[0], not arriving[1]]
        on = self._leaving[leaving]
        angle = math.degrees(math.acos(min(1.0, max(-1.0, -float(back @ on)))))
        return TURN_COST * max(0.0, angle - FREE_TURN_DEG) / 90


def onward(graph: RootGraph, node: int) -> Iterator[Step]:
    """Yield the steps that leave a node."""
    for number in graph.at_node[node]:
        segment = graph.segments[number]
        if segment.start == node:
            yield number, True
        if segment.end == node:
            yield number, False


def end_of(graph: RootGraph, step: Step) -> int:
    """Return the node where a step arrives."""
    segment = graph.segments[step[0]]
    return segment.end if step[1] else segment.start


def grow_tree(graph: RootGraph, turns: Turns, base: int) -> PathTree:
    """Return the cheapest paths from a base (Dijkstra over directed segments, for a turn needs two of them)."""
    cost: dict[Step, float] = {}
    before: dict[Step, Step | None] = {}
    queue: list[tuple[float, Step, Step | None]] = [
        (graph.segments[step[0]].cost, step, None) for step in onward(graph, base)
    ]
    heapq.heapify(queue)
    while queue:
        price, step, earlier = heapq.heappop(queue)
        if step in cost:
            continue
        cost[step], before[step] = price, earlier
        for following in onward(graph, end_of(graph, step)):
            if following not in cost and following[0] != step[0]:
                total = price + turns.cost(step, following) + graph.segments[following[0]].cost
                heapq.heappush(queue, (total, following, step))
    return PathTree(base, cost, before)


@dataclass(frozen=True)
class Claim:
    """Which plant a node belongs to, by which path, and the place of doubt if another plant is nearly as likely.

    `by_lane` says that the doubt was settled by the lane in which the node lies.
    """

    plant: int
    steps: list[Step]
    doubt_xy: tuple[float, float] | None = None
    by_lane: bool = False


def arrivals(graph: RootGraph, trees: list[PathTree | None], node: int) -> list[tuple[float, int, Step]]:
    """Return for each plant that reaches a node the cost of its path and the last step, the cheapest plant first."""
    steps = [(number, not forward) for number, forward in onward(graph, node)]
    found = []
    for plant, tree in enumerate(trees):
        reached = [(tree.cost[step], plant, step) for step in steps if step in tree.cost] if tree is not None else []
        found += [min(reached)] if reached else []
    return sorted(found)


def claim(
    graph: RootGraph, trees: list[PathTree | None], found: list[tuple[float, int, Step]], lane: int | None = None
) -> Claim:
    """Return the claim of the first of the arrivals, or among equals that of the plant whose lane it is."""
    paths = {plant: path_to(trees, plant, step) for _, plant, step in found[:2]}
    cheapest, plant, _ = found[0]
    equals = [other for price, other, _ in found[1:2] if price - cheapest < AMBIGUOUS_MARGIN]
    if not equals:
        return Claim(plant, paths[plant])
    doubt_xy = _parting(graph, paths[plant], paths[equals[0]])
    if lane in (plant, equals[0]):
        return Claim(lane, paths[lane], doubt_xy, by_lane=True)
    return Claim(plant, paths[plant], doubt_xy)


def path_to(trees: list[PathTree | None], plant: int, step: Step) -> list[Step]:
    """Return the steps from a plant's base up to and with `step`."""
    tree = trees[plant]
    return tree.path_to(step) if tree is not None else []


def match_primaries(
    graph: RootGraph, trees: list[PathTree | None], nodes: Sequence[int], lanes: Callable[[int], int | None]
) -> dict[int, Claim]:
    """Return which plant's primary root ends at which of the nodes, one each, so that all paths together cost least.

    A pair is in doubt if two plants could change tips at little cost.
    """
    reached = {node: {plant: (price, step) for price, plant, step in arrivals(graph, trees, node)} for node in nodes}
    nodes = [node for node in nodes if reached[node]]
    if not nodes:
        return {}
    cost = np.full((len(trees), len(nodes)), _UNREACHED)
    for column, node in enumerate(nodes):
        for plant, (price, _) in reached[node].items():
            cost[plant, column] = price
    # One more for every pair changes no choice, and a sparse array has no zeros.
    plants, columns = min_weight_full_bipartite_matching(csr_array(cost + 1.0))
    far = cost[plants, columns] - cost[:, columns].min(axis=0) > _FARTHEST_PRIMARY
    chosen = {int(p): int(c) for p, c, skip in zip(plants, columns, far, strict=True) if not skip}
    claims = {}
    for plant, column in chosen.items():
        order = [(cost[plant, column], plant, reached[nodes[column]][plant][1])]
        for rival, other in chosen.items():
            change = cost[rival, column] + cost[plant, other] - cost[rival, other] - cost[plant, column]
            if rival != plant and cost[rival, column] < _UNREACHED:
                order.append((cost[plant, column] + change, rival, reached[nodes[column]][rival][1]))
        order[1:] = sorted(order[1:])
        claims[nodes[column]] = claim(graph, trees, order, lanes(nodes[column]))
    return claims


def _parting(graph: RootGraph, steps: list[Step], rival_steps: list[Step]) -> tuple[float, float]:
    """Return where two paths to the same place come together, seen from their bases."""
    meeting = end_of(graph, steps[-1])
    for own, other in zip(reversed(steps), reversed(rival_steps), strict=False):
        if own != other:
            break
        meeting = end_of(graph, (own[0], not own[1]))
    x, y = np.asarray(graph.nodes[meeting])
    return float(x), float(y)
