"""Which path is the primary root, which are laterals, and of which parent: every piece of root is told once.

The longest path of a plant that ends at its primary tip is its primary root. Every other tip's path is a lateral from
where it leaves what is already told. What no tip explains (a lateral that ends against another root has no end in
the skeleton) is led on to a tip or lateral that it goes with, or, if it is long, told as a lateral of its own. Of a
lateral that lies on another root to its tip only the end is told: that it is there is known, how it runs is not.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from thale.phenotyping.plants.graph_repair import Tips
from thale.phenotyping.plants.path_search import (
    AMBIGUOUS_MARGIN,
    Claim,
    PathTree,
    Step,
    Turns,
    arrivals,
    claim,
    end_of,
    match_primaries,
    onward,
    path_to,
)
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.skeleton_graph import RootGraph

_LEAST_UNMARKED_LATERAL_MM = 6.0
_LEAST_UNENDED_LATERAL_MM = 8.0
"""Without a tip landmark and without an end it is mostly a piece of a root that ends elsewhere."""
_LEAST_MARKED_LATERAL_MM = 0.2
_LEAST_LEFTOVER_MM = 0.7
_LEVEL_WITH_BASE_MM = 0.3
_SHARED_COST_PER_MM = 0.15
_CARRY_ON_COST = 1.0
_LONGEST_CROSSING_MM = 2.5
_LEAST_SEEN_SHARE = 0.4
_LEAST_HIDDEN_SCORE = 0.4
"""Least score of a tip on a root that goes on; at 0.3 as many would be wrong as right."""
_HIDDEN_END_MM = 0.3


@dataclass
class TracedRoot:
    """One root as steps through the graph, from its parent (an index in the list of roots) to its tip.

    Of a `hidden` one only the end is told.
    """

    plant: int
    steps: list[Step]
    parent: int | None = None
    order: int = 1
    doubt_xy: tuple[float, float] | None = None
    by_lane: bool = False
    hidden: bool = False


class NewPart(NamedTuple):
    """What a path adds to the roots told so far: steps of a plant, and the root from which they leave."""

    plant: int
    steps: list[Step]
    parent: int | None


@dataclass
class Architecture:
    """The roots of all plants, and which root told each segment first and, for each plant, at each node."""

    graph: RootGraph
    turns: Turns
    trees: list[PathTree | None]
    tips: Tips
    roots: list[TracedRoot] = field(default_factory=list)
    told: dict[int, int] = field(default_factory=dict)
    at_node: dict[tuple[int, int], int] = field(default_factory=dict)

    def tell(self, root: TracedRoot) -> None:
        """Add a root; it takes the segments and nodes that none has told before it."""
        index = len(self.roots)
        self.roots.append(root)
        for step in root.steps:
            self.told.setdefault(step[0], index)
            for node in (end_of(self.graph, (step[0], not step[1])), end_of(self.graph, step)):
                self.at_node.setdefault((root.plant, node), index)

    @property
    def first_steps(self) -> dict[int, Step]:
        """Return the step with which each plant's primary root leaves its base."""
        return {root.plant: root.steps[0] for root in self.roots if root.parent is None}

    def untold_length(self, steps: list[Step]) -> float:
        """Return the length of root (no gaps) among the steps that no root has told, frame px."""
        segments = [self.graph.segments[number] for number, _ in steps if number not in self.told]
        return sum(segment.length for segment in segments if not segment.bridge)


def tell_roots(
    graph: RootGraph,
    turns: Turns,
    trees: list[PathTree | None],
    ends: Sequence[int],
    tips: Tips,
    lanes: Sequence[float],
) -> list[TracedRoot]:
    """Return all roots of all plants, each plant's primary before its laterals.

    Args:
        graph: The network, with bases and tips made nodes.
        turns: The price of turning in it.
        trees: The paths of each plant; None for a plant without roots.
        ends: The nodes where the network ended before its gaps were linked.
        tips: The landmark at a node.
        lanes: Where one plant's lane ends and the next begins (x, frame px); empty if lanes are not known.
    """
    architecture = Architecture(graph, turns, trees, tips)
    bases = {tree.base for tree in trees if tree is not None}
    nodes = (set(ends) | set(tips)) - bases

    def lane(node: int) -> int | None:
        return int(np.searchsorted(lanes, graph.nodes[node][0])) if len(lanes) else None

    marked = [node for node in nodes if node in tips and tips[node].kind == "primary_tip"]
    claims = match_primaries(graph, trees, marked, lane)
    for node in nodes - set(claims):
        found = arrivals(graph, trees, node)
        if found:
            claims[node] = claim(graph, trees, found, lane(node))
    for plant, tree in enumerate(trees):
        own = {node: c for node, c in claims.items() if c.plant == plant}
        if tree is not None and own:
            primary = _likeliest_primary(graph, graph.nodes[tree.base], own, tips)
            chosen = own[primary]
            architecture.tell(TracedRoot(plant, chosen.steps, None, 1, chosen.doubt_xy, chosen.by_lane))
            del claims[primary]
    _tell_laterals(architecture, claims)
    _tell_leftovers(architecture)
    _tell_hidden(architecture, claims)
    return _settled(architecture.roots)


def _length(graph: RootGraph, steps: list[Step]) -> float:
    return sum(graph.segments[number].length for number, _ in steps)


def _likeliest_primary(graph: RootGraph, base_xy: Points, own: dict[int, Claim], tips: Tips) -> int:
    """Return the tip that looks most like the primary's: by its landmark, its path's length and its depth."""
    lengths = {node: _length(graph, found.steps) for node, found in own.items()}
    depths = {node: float(graph.nodes[node][1] - base_xy[1]) for node in own}
    longest, deepest = max(lengths.values()), max(1.0, *depths.values())

    def likeness(node: int) -> float:
        mark = tips.get(node)
        score = mark.score if mark is not None and mark.kind == "primary_tip" else 0.0
        return score + lengths[node] / max(longest, 1.0) + 0.5 * depths[node] / deepest

    return max(own, key=likeness)


def _tell_laterals(architecture: Architecture, claims: dict[int, Claim]) -> None:
    """Tell the paths of the remaining tips, the one with most new root first.

    What is new in a path only shrinks as others are told, so a path that is still ahead of the next one's former
    length is ahead of all.
    """
    maps = architecture.graph.maps
    queue = [(-architecture.untold_length(_new_part(architecture, c).steps), node) for node, c in claims.items()]
    heapq.heapify(queue)
    while queue:
        _, node = heapq.heappop(queue)
        plant, steps, parent = _new_part(architecture, claims[node])
        new = architecture.untold_length(steps)
        if queue and -queue[0][0] > new:
            if new > 0:
                heapq.heappush(queue, (-new, node))
            continue
        least = _LEAST_MARKED_LATERAL_MM if node in architecture.tips else _LEAST_UNMARKED_LATERAL_MM
        seen = new >= max(maps.px(least), _LEAST_SEEN_SHARE * _length(architecture.graph, steps))
        if seen and not _is_hypocotyl(architecture, claims[node]):
            found = claims[node]
            order = 1 if parent is None else architecture.roots[parent].order + 1
            doubt_xy = found.doubt_xy if plant == found.plant else None
            architecture.tell(TracedRoot(plant, steps, parent, order, doubt_xy, found.by_lane))


def _new_part(architecture: Architecture, found: Claim) -> NewPart:
    """Return what of a path is new: the steps after it leaves the told roots for the last time.

    A short stretch of told root in between is a crossing and stays; on a long one the path has come upon another
    root, and what follows is a lateral of that one, whoever owns it.
    """
    graph, plant = architecture.graph, found.plant
    told = [architecture.told.get(number) for number, _ in found.steps]
    own = [index is not None and architecture.roots[index].plant == plant for index in told]
    begin = own.index(False) if False in own else len(own)
    end = len(told)
    while end > begin and told[end - 1] is not None:
        end -= 1
    shared = 0.0
    for position in range(begin, end):
        index = told[position]
        shared = 0.0 if index is None else shared + graph.segments[found.steps[position][0]].length
        if index is not None and shared > graph.maps.px(_LONGEST_CROSSING_MM):
            begin, plant = position + 1, architecture.roots[index].plant
    if begin >= end:
        return NewPart(plant, [], None)
    node = end_of(graph, (found.steps[begin][0], not found.steps[begin][1]))
    return NewPart(plant, found.steps[begin:end], architecture.at_node.get((plant, node)))


def _is_hypocotyl(architecture: Architecture, found: Claim) -> bool:
    """Whether a path leads from the base up to the shoot: a piece of hypocotyl that the mask calls root."""
    graph, tree = architecture.graph, architecture.trees[found.plant]
    tip = end_of(graph, found.steps[-1])
    if tree is None or tip in architecture.tips or found.steps[0] == architecture.first_steps.get(found.plant):
        return False
    return bool(graph.nodes[tip][1] <= graph.nodes[tree.base][1] + graph.maps.px(_LEVEL_WITH_BASE_MM))


def _tell_leftovers(architecture: Architecture) -> None:
    """Tell what no tip explains: segments of a millimetre and more that hang on told roots."""
    graph = architecture.graph
    changed = True
    while changed:
        changed = False
        untold = [n for n, s in graph.segments.items() if n not in architecture.told and not s.bridge]
        for number in sorted(untold, key=lambda n: -graph.segments[n].length):
            long = graph.segments[number].length >= graph.maps.px(_LEAST_LEFTOVER_MM)
            if long and number not in architecture.told:
                changed |= _tell_leftover(architecture, number)


def _tell_leftover(architecture: Architecture, number: int) -> bool:
    """Tell one segment as the missing part of a root, or else, if it is long, as a lateral of its own.

    A lateral is walked the cheaper way. It is in doubt if another plant could own it as well.
    """
    graph = architecture.graph
    arrivals = sorted(
        (tree.cost[step], plant, step)
        for plant, tree in enumerate(architecture.trees)
        if tree is not None
        for step in ((number, True), (number, False))
        if step in tree.cost
    )
    if not arrivals:
        return False
    cheapest, plant, step = arrivals[0]
    rivals = [price for price, other, _ in arrivals if other != plant and price - cheapest < AMBIGUOUS_MARGIN]
    x, y = graph.nodes[end_of(graph, step)]
    doubt_xy = (float(x), float(y)) if rivals else None
    if any(_carry_on(architecture, owner, way, doubt_xy) for _, owner, way in arrivals):
        return True
    found = Claim(plant, path_to(architecture.trees, plant, step), doubt_xy)
    part = _new_part(architecture, found)
    short = architecture.untold_length(part.steps) < graph.maps.px(_LEAST_UNENDED_LATERAL_MM)
    if short or _is_hypocotyl(architecture, found):
        return False
    order = 1 if part.parent is None else architecture.roots[part.parent].order + 1
    architecture.tell(TracedRoot(part.plant, part.steps, part.parent, order, found.doubt_xy))
    return True


def _carry_on(architecture: Architecture, plant: int, step: Step, doubt_xy: tuple[float, float] | None) -> bool:
    """Lead a segment on, along what is told already, to a tip that no root has or to where a lateral begins.

    Such a lateral was told from the root that it crosses or runs along there, because its way to the base is shorter
    along that. The doubt about who owns the segment becomes the lateral's.
    """
    part = _new_part(architecture, Claim(plant, path_to(architecture.trees, plant, step)))
    if part.plant != plant or not part.steps or part.steps[-1] != step:
        return False
    ended = {end_of(architecture.graph, root.steps[-1]) for root in architecture.roots}
    begun = {
        root.steps[0]: index
        for index, root in enumerate(architecture.roots)
        if root.parent is not None and root.plant == plant
    }
    for shared in _ways_on(architecture, step, begun):
        if shared and shared[-1] in begun:
            index = begun[shared[-1]]
            if part.parent is None or _descends(architecture, part.parent, index):
                continue
            root = architecture.roots[index]
            root.steps = [*part.steps, *shared[:-1], *root.steps]
            root.parent = part.parent
            root.doubt_xy = root.doubt_xy or doubt_xy
            for number, _ in part.steps:
                architecture.told.setdefault(number, index)
            return True
        node = end_of(architecture.graph, shared[-1] if shared else step)
        if node in architecture.tips and node not in ended:
            order = 1 if part.parent is None else architecture.roots[part.parent].order + 1
            architecture.tell(TracedRoot(plant, [*part.steps, *shared], part.parent, order, doubt_xy))
            return True
    return False


def _ways_on(architecture: Architecture, step: Step, begun: dict[Step, int]) -> Iterator[tuple[Step, ...]]:
    """Yield ways on from a step, the cheapest first: turns cost, and so does what is shared with other roots.

    Steps with which a root has begun cost no length, for they would become the root's own.
    """
    graph, turns = architecture.graph, architecture.turns
    queue: list[tuple[float, Step, tuple[Step, ...]]] = [(0.0, step, ())]
    seen: set[Step] = set()
    while queue:
        price, last, shared = heapq.heappop(queue)
        if last in seen:
            continue
        seen.add(last)
        yield shared
        for following in onward(graph, end_of(graph, last)):
            total = price + turns.cost(last, following)
            if following not in begun:
                total += graph.segments[following[0]].length / graph.maps.px_per_mm * _SHARED_COST_PER_MM
            if following[0] != last[0] and following not in seen and total <= _CARRY_ON_COST:
                heapq.heappush(queue, (total, following, (*shared, following)))


def _tell_hidden(architecture: Architecture, claims: dict[int, Claim]) -> None:
    """Tell laterals that lie on other roots all the way to their marked tip: of such a one only its end is seen."""
    graph = architecture.graph
    ended = {end_of(graph, root.steps[-1]) for root in architecture.roots}
    for node in sorted(set(architecture.tips) & set(claims) - ended):
        steps = claims[node].steps
        parent = architecture.told.get(steps[-1][0])
        if parent is None or architecture.tips[node].score < _LEAST_HIDDEN_SCORE:
            continue
        points = graph.leaving(steps[-1][0], node)
        arc = np.cumsum(np.hypot(*np.diff(points, axis=0).T))
        last = points[: 2 + int(np.searchsorted(arc, graph.maps.px(_HIDDEN_END_MM)))][::-1]
        end = graph.add_segment(graph.add_node(last[0]), node, last, cost=0.0)
        owner = architecture.roots[parent]
        architecture.tell(TracedRoot(owner.plant, [(end, True)], parent, owner.order + 1, hidden=True))


def _descends(architecture: Architecture, root: int, ancestor: int) -> bool:
    """Whether a root is another one or hangs on it."""
    up: int | None = root
    while up is not None and up != ancestor:
        up = architecture.roots[up].parent
    return up == ancestor


def _settled(roots: list[TracedRoot]) -> list[TracedRoot]:
    """Return the roots with parents before children, and orders that follow from their parents."""
    children: dict[int | None, list[int]] = defaultdict(list)
    for index, root in enumerate(roots):
        children[root.parent].append(index)
    settled: list[TracedRoot] = []
    waiting: deque[tuple[int, int | None]] = deque((index, None) for index in children[None])
    while waiting:
        index, parent = waiting.popleft()
        order = 1 if parent is None else settled[parent].order + 1
        settled.append(replace(roots[index], parent=parent, order=order))
        waiting.extend((child, len(settled) - 1) for child in children[index])
    return settled
