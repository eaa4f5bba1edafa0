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
    DirectedEdge,
    ShortestPathTree,
    TipAssignment,
    TurnCosts,
    assign_tip,
    edge_target,
    match_primary_tips,
    outgoing_edges,
    path_to,
    plants_reaching,
)
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.skeleton_graph import RootGraph

_MIN_UNMARKED_LATERAL_MM = 6.0
_MIN_UNENDED_LATERAL_MM = 8.0
"""Without a tip landmark and without an end it is mostly a piece of a root that ends elsewhere."""
_MIN_MARKED_LATERAL_MM = 0.2
_MIN_LEFTOVER_MM = 0.7
_BASE_LEVEL_TOLERANCE_MM = 0.3
_SHARED_COST_PER_MM = 0.15
_MAX_EXTENSION_COST = 1.0
_MAX_CROSSING_MM = 2.5
_MIN_NEW_SHARE = 0.4
_MIN_HIDDEN_SCORE = 0.4
"""Least score of a tip on a root that goes on; at 0.3 as many would be wrong as right."""
_HIDDEN_END_MM = 0.3


@dataclass
class TracedRoot:
    """One root as steps through the graph, from its parent (an index in the list of roots) to its tip.

    Of a `hidden` one only the end is told.
    """

    plant: int
    edges: list[DirectedEdge]
    parent: int | None = None
    order: int = 1
    ambiguous_at_xy: tuple[float, float] | None = None
    resolved_by_lane: bool = False
    hidden: bool = False


class RootExtension(NamedTuple):
    """What a path adds to the roots told so far: steps of a plant, and the root from which they leave."""

    plant: int
    edges: list[DirectedEdge]
    parent: int | None


@dataclass
class RootAssignment:
    """The roots of all plants, and which root told each segment first and, for each plant, at each node."""

    graph: RootGraph
    turn_costs: TurnCosts
    trees: list[ShortestPathTree | None]
    tips: Tips
    roots: list[TracedRoot] = field(default_factory=list)
    owner_of_segment: dict[int, int] = field(default_factory=dict)
    owner_at_node: dict[tuple[int, int], int] = field(default_factory=dict)

    def add_root(self, root: TracedRoot) -> None:
        """Add a root; it takes the segments and nodes that none has told before it."""
        index = len(self.roots)
        self.roots.append(root)
        for edge in root.edges:
            self.owner_of_segment.setdefault(edge[0], index)
            for node in (edge_target(self.graph, (edge[0], not edge[1])), edge_target(self.graph, edge)):
                self.owner_at_node.setdefault((root.plant, node), index)

    @property
    def primary_edges(self) -> dict[int, DirectedEdge]:
        """Return the step with which each plant's primary root leaves its base."""
        return {root.plant: root.edges[0] for root in self.roots if root.parent is None}

    def unassigned_length(self, edges: list[DirectedEdge]) -> float:
        """Return the length of root (no gaps) among the steps that no root has told, frame px."""
        segments = [self.graph.segments[number] for number, _ in edges if number not in self.owner_of_segment]
        return sum(segment.length for segment in segments if not segment.is_bridge)


def assign_roots(
    graph: RootGraph,
    turn_costs: TurnCosts,
    trees: list[ShortestPathTree | None],
    end_nodes: Sequence[int],
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
    assignment = RootAssignment(graph, turn_costs, trees, tips)
    bases = {tree.base for tree in trees if tree is not None}
    nodes = (set(end_nodes) | set(tips)) - bases

    def lane_of_node(node: int) -> int | None:
        return int(np.searchsorted(lanes, graph.nodes[node][0])) if len(lanes) else None

    primary_tips = [node for node in nodes if node in tips and tips[node].kind == "primary_tip"]
    tip_assignments = match_primary_tips(graph, trees, primary_tips, lane_of_node)
    for node in nodes - set(tip_assignments):
        reaching = plants_reaching(graph, trees, node)
        if reaching:
            tip_assignments[node] = assign_tip(graph, trees, reaching, lane_of_node(node))
    for plant, tree in enumerate(trees):
        own_tips = {
            node: tip_assignment for node, tip_assignment in tip_assignments.items() if tip_assignment.plant == plant
        }
        if tree is not None and own_tips:
            primary = _select_primary_tip(graph, graph.nodes[tree.base], own_tips, tips)
            primary_assignment = own_tips[primary]
            assignment.add_root(
                TracedRoot(
                    plant,
                    primary_assignment.edges,
                    None,
                    1,
                    primary_assignment.ambiguous_at_xy,
                    primary_assignment.resolved_by_lane,
                )
            )
            del tip_assignments[primary]
    _assign_laterals(assignment, tip_assignments)
    _assign_leftover_segments(assignment)
    _assign_hidden_laterals(assignment, tip_assignments)
    return _resolve_parents(assignment.roots)


def _path_length(graph: RootGraph, edges: list[DirectedEdge]) -> float:
    return sum(graph.segments[number].length for number, _ in edges)


def _select_primary_tip(graph: RootGraph, base_xy: Points, own_tips: dict[int, TipAssignment], tips: Tips) -> int:
    """Return the tip that looks most like the primary's: by its landmark, its path's length and its depth."""
    lengths = {node: _path_length(graph, tip_assignment.edges) for node, tip_assignment in own_tips.items()}
    depths = {node: float(graph.nodes[node][1] - base_xy[1]) for node in own_tips}
    max_length, max_depth = max(lengths.values()), max(1.0, *depths.values())

    def primary_score(node: int) -> float:
        landmark = tips.get(node)
        score = landmark.score if landmark is not None and landmark.kind == "primary_tip" else 0.0
        return score + lengths[node] / max(max_length, 1.0) + 0.5 * depths[node] / max_depth

    return max(own_tips, key=primary_score)


def _assign_laterals(assignment: RootAssignment, tip_assignments: dict[int, TipAssignment]) -> None:
    """Tell the paths of the remaining tips, the one with most new root first.

    What is new in a path only shrinks as others are told, so a path that is still ahead of the next one's former
    length is ahead of all.
    """
    maps = assignment.graph.maps
    queue = [
        (-assignment.unassigned_length(_find_extension(assignment, tip_assignment).edges), node)
        for node, tip_assignment in tip_assignments.items()
    ]
    heapq.heapify(queue)
    while queue:
        _, node = heapq.heappop(queue)
        plant, edges, parent = _find_extension(assignment, tip_assignments[node])
        new_length = assignment.unassigned_length(edges)
        if queue and -queue[0][0] > new_length:
            if new_length > 0:
                heapq.heappush(queue, (-new_length, node))
            continue
        min_length_mm = _MIN_MARKED_LATERAL_MM if node in assignment.tips else _MIN_UNMARKED_LATERAL_MM
        is_long_enough = new_length >= max(
            maps.mm_to_px(min_length_mm), _MIN_NEW_SHARE * _path_length(assignment.graph, edges)
        )
        if is_long_enough and not _is_hypocotyl(assignment, tip_assignments[node]):
            tip_assignment = tip_assignments[node]
            order = 1 if parent is None else assignment.roots[parent].order + 1
            ambiguous_at_xy = tip_assignment.ambiguous_at_xy if plant == tip_assignment.plant else None
            assignment.add_root(
                TracedRoot(plant, edges, parent, order, ambiguous_at_xy, tip_assignment.resolved_by_lane)
            )


def _find_extension(assignment: RootAssignment, tip_assignment: TipAssignment) -> RootExtension:
    """Return what of a path is new: the steps after it leaves the told roots for the last time.

    A short stretch of told root in between is a crossing and stays; on a long one the path has come upon another
    root, and what follows is a lateral of that one, whoever owns it.
    """
    graph, plant = assignment.graph, tip_assignment.plant
    owners = [assignment.owner_of_segment.get(number) for number, _ in tip_assignment.edges]
    is_own = [index is not None and assignment.roots[index].plant == plant for index in owners]
    begin = is_own.index(False) if False in is_own else len(is_own)
    end = len(owners)
    while end > begin and owners[end - 1] is not None:
        end -= 1
    shared_length = 0.0
    for position in range(begin, end):
        index = owners[position]
        shared_length = (
            0.0 if index is None else shared_length + graph.segments[tip_assignment.edges[position][0]].length
        )
        if index is not None and shared_length > graph.maps.mm_to_px(_MAX_CROSSING_MM):
            begin, plant = position + 1, assignment.roots[index].plant
    if begin >= end:
        return RootExtension(plant, [], None)
    node = edge_target(graph, (tip_assignment.edges[begin][0], not tip_assignment.edges[begin][1]))
    return RootExtension(plant, tip_assignment.edges[begin:end], assignment.owner_at_node.get((plant, node)))


def _is_hypocotyl(assignment: RootAssignment, tip_assignment: TipAssignment) -> bool:
    """Whether a path leads from the base up to the shoot: a piece of hypocotyl that the mask calls root."""
    graph, tree = assignment.graph, assignment.trees[tip_assignment.plant]
    tip = edge_target(graph, tip_assignment.edges[-1])
    if (
        tree is None
        or tip in assignment.tips
        or tip_assignment.edges[0] == assignment.primary_edges.get(tip_assignment.plant)
    ):
        return False
    return bool(graph.nodes[tip][1] <= graph.nodes[tree.base][1] + graph.maps.mm_to_px(_BASE_LEVEL_TOLERANCE_MM))


def _assign_leftover_segments(assignment: RootAssignment) -> None:
    """Tell what no tip explains: segments of a millimetre and more that hang on told roots."""
    graph = assignment.graph
    changed = True
    while changed:
        changed = False
        unassigned = [n for n, s in graph.segments.items() if n not in assignment.owner_of_segment and not s.is_bridge]
        for number in sorted(unassigned, key=lambda n: -graph.segments[n].length):
            is_long_enough = graph.segments[number].length >= graph.maps.mm_to_px(_MIN_LEFTOVER_MM)
            if is_long_enough and number not in assignment.owner_of_segment:
                changed |= _assign_leftover_segment(assignment, number)


def _assign_leftover_segment(assignment: RootAssignment, number: int) -> bool:
    """Tell one segment as the missing part of a root, or else, if it is long, as a lateral of its own.

    A lateral is walked the cheaper way. It is in doubt if another plant could own it as well.
    """
    graph = assignment.graph
    reaching = sorted(
        (tree.cost[edge], plant, edge)
        for plant, tree in enumerate(assignment.trees)
        if tree is not None
        for edge in ((number, True), (number, False))
        if edge in tree.cost
    )
    if not reaching:
        return False
    cheapest, plant, edge = reaching[0]
    rivals = [cost for cost, other, _ in reaching if other != plant and cost - cheapest < AMBIGUOUS_MARGIN]
    x, y = graph.nodes[edge_target(graph, edge)]
    ambiguous_at_xy = (float(x), float(y)) if rivals else None
    if any(_extend_to_tip(assignment, owner, plant_edge, ambiguous_at_xy) for _, owner, plant_edge in reaching):
        return True
    tip_assignment = TipAssignment(plant, path_to(assignment.trees, plant, edge), ambiguous_at_xy)
    extension = _find_extension(assignment, tip_assignment)
    is_short = assignment.unassigned_length(extension.edges) < graph.maps.mm_to_px(_MIN_UNENDED_LATERAL_MM)
    if is_short or _is_hypocotyl(assignment, tip_assignment):
        return False
    order = 1 if extension.parent is None else assignment.roots[extension.parent].order + 1
    assignment.add_root(
        TracedRoot(extension.plant, extension.edges, extension.parent, order, tip_assignment.ambiguous_at_xy)
    )
    return True


def _extend_to_tip(
    assignment: RootAssignment, plant: int, edge: DirectedEdge, ambiguous_at_xy: tuple[float, float] | None
) -> bool:
    """Lead a segment on, along what is told already, to a tip that no root has or to where a lateral begins.

    Such a lateral was told from the root that it crosses or runs along there, because its way to the base is shorter
    along that. The doubt about who owns the segment becomes the lateral's.
    """
    extension = _find_extension(assignment, TipAssignment(plant, path_to(assignment.trees, plant, edge)))
    if extension.plant != plant or not extension.edges or extension.edges[-1] != edge:
        return False
    end_nodes = {edge_target(assignment.graph, root.edges[-1]) for root in assignment.roots}
    lateral_by_first_edge = {
        root.edges[0]: index
        for index, root in enumerate(assignment.roots)
        if root.parent is not None and root.plant == plant
    }
    for onward_path in _onward_paths(assignment, edge, lateral_by_first_edge):
        if onward_path and onward_path[-1] in lateral_by_first_edge:
            index = lateral_by_first_edge[onward_path[-1]]
            if extension.parent is None or _is_descendant(assignment, extension.parent, index):
                continue
            root = assignment.roots[index]
            root.edges = [*extension.edges, *onward_path[:-1], *root.edges]
            root.parent = extension.parent
            root.ambiguous_at_xy = root.ambiguous_at_xy or ambiguous_at_xy
            for number, _ in extension.edges:
                assignment.owner_of_segment.setdefault(number, index)
            return True
        node = edge_target(assignment.graph, onward_path[-1] if onward_path else edge)
        if node in assignment.tips and node not in end_nodes:
            order = 1 if extension.parent is None else assignment.roots[extension.parent].order + 1
            assignment.add_root(
                TracedRoot(plant, [*extension.edges, *onward_path], extension.parent, order, ambiguous_at_xy)
            )
            return True
    return False


def _onward_paths(
    assignment: RootAssignment, edge: DirectedEdge, lateral_by_first_edge: dict[DirectedEdge, int]
) -> Iterator[tuple[DirectedEdge, ...]]:
    """Yield ways on from a step, the cheapest first: turns cost, and so does what is shared with other roots.

    Steps with which a root has begun cost no length, for they would become the root's own.
    """
    graph, turn_costs = assignment.graph, assignment.turn_costs
    queue: list[tuple[float, DirectedEdge, tuple[DirectedEdge, ...]]] = [(0.0, edge, ())]
    visited: set[DirectedEdge] = set()
    while queue:
        path_cost, last, path = heapq.heappop(queue)
        if last in visited:
            continue
        visited.add(last)
        yield path
        for next_edge in outgoing_edges(graph, edge_target(graph, last)):
            total = path_cost + turn_costs.cost(last, next_edge)
            if next_edge not in lateral_by_first_edge:
                total += graph.segments[next_edge[0]].length / graph.maps.px_per_mm * _SHARED_COST_PER_MM
            if next_edge[0] != last[0] and next_edge not in visited and total <= _MAX_EXTENSION_COST:
                heapq.heappush(queue, (total, next_edge, (*path, next_edge)))


def _assign_hidden_laterals(assignment: RootAssignment, tip_assignments: dict[int, TipAssignment]) -> None:
    """Tell laterals that lie on other roots all the way to their marked tip: of such a one only its end is seen."""
    graph = assignment.graph
    end_nodes = {edge_target(graph, root.edges[-1]) for root in assignment.roots}
    for node in sorted(set(assignment.tips) & set(tip_assignments) - end_nodes):
        edges = tip_assignments[node].edges
        parent = assignment.owner_of_segment.get(edges[-1][0])
        if parent is None or assignment.tips[node].score < _MIN_HIDDEN_SCORE:
            continue
        points = graph.points_from_node(edges[-1][0], node)
        arc = np.cumsum(np.hypot(*np.diff(points, axis=0).T))
        last = points[: 2 + int(np.searchsorted(arc, graph.maps.mm_to_px(_HIDDEN_END_MM)))][::-1]
        end = graph.add_segment(graph.add_node(last[0]), node, last, cost=0.0)
        owner = assignment.roots[parent]
        assignment.add_root(TracedRoot(owner.plant, [(end, True)], parent, owner.order + 1, hidden=True))


def _is_descendant(assignment: RootAssignment, root: int, ancestor: int) -> bool:
    """Whether a root is another one or hangs on it."""
    current: int | None = root
    while current is not None and current != ancestor:
        current = assignment.roots[current].parent
    return current == ancestor


def _resolve_parents(roots: list[TracedRoot]) -> list[TracedRoot]:
    """Return the roots with parents before children, and orders that follow from their parents."""
    children: dict[int | None, list[int]] = defaultdict(list)
    for index, root in enumerate(roots):
        children[root.parent].append(index)
    resolved: list[TracedRoot] = []
    queue: deque[tuple[int, int | None]] = deque((index, None) for index in children[None])
    while queue:
        index, parent = queue.popleft()
        order = 1 if parent is None else resolved[parent].order + 1
        resolved.append(replace(roots[index], parent=parent, order=order))
        queue.extend((child, len(resolved) - 1) for child in children[index])
    return resolved
