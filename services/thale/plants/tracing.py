"""Minimum-cost paths from every plant's base through the network, and which plant each place belongs to.

A path pays for unlikely pixels, for gaps and for turns. Because it pays for turns, a root goes straight on where it
crosses another instead of changing over. Length costs next to nothing: a long root is no less a root.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thale.plants import polyline
from thale.plants.graph import RootGraph
from thale.plants.polyline import Points

TURN_COST = 2.0
AMBIGUOUS_MARGIN = 0.3
"""Two plants are as likely if their paths differ by less: about what a crossing flatter than 45 degrees costs."""

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
        for number, segment in graph.segments.items():
            self._leaving[number, True] = polyline.direction(segment.points, skip, reach)
            self._leaving[number, False] = polyline.direction(segment.points[::-1], skip, reach)

    def cost(self, arriving: Step, leaving: Step) -> float:
        """Return 0 for straight on and `TURN_COST` for straight back."""
        back = self._leaving[arriving[0], not arriving[1]]
        on = self._leaving[leaving]
        return TURN_COST * (1 + float(back @ on)) / 2


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


def claim(graph: RootGraph, trees: list[PathTree | None], node: int, lane: int | None = None) -> Claim | None:
    """Return the cheapest plant's claim on a node, or among equals that of the plant whose lane it is.

    None where no plant reaches the node.
    """
    arrivals: list[tuple[float, int, list[Step]]] = []
    for plant, tree in enumerate(trees):
        if tree is None:
            continue
        steps = [(n, not forward) for n, forward in onward(graph, node)]
        price, step = min(((tree.cost[step], step) for step in steps if step in tree.cost), default=(math.inf, None))
        if step is not None:
            arrivals.append((price, plant, tree.path_to(step)))
    if not arrivals:
        return None
    arrivals.sort(key=lambda arrival: arrival[:2])
    equals = [arrival for arrival in arrivals if arrival[0] - arrivals[0][0] < AMBIGUOUS_MARGIN]
    _, plant, path = arrivals[0]
    if len(equals) == 1:
        return Claim(plant, path)
    doubt_xy = _parting(graph, path, equals[1][2])
    settled = [arrival for arrival in equals if arrival[1] == lane]
    if settled:
        return Claim(settled[0][1], settled[0][2], doubt_xy, by_lane=True)
    return Claim(plant, path, doubt_xy)


def _parting(graph: RootGraph, steps: list[Step], rival_steps: list[Step]) -> tuple[float, float]:
    """Return where two paths to the same place come together, seen from their bases."""
    meeting = end_of(graph, steps[-1])
    for own, other in zip(reversed(steps), reversed(rival_steps), strict=False):
        if own != other:
            break
        meeting = end_of(graph, (own[0], not own[1]))
    x, y = np.asarray(graph.nodes[meeting])
    return float(x), float(y)
