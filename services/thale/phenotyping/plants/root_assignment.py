"""Root assignment: the owners of the segments of a skeleton graph while roots are traced."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from thale.phenotyping.plants.graph_repair import Tips
from thale.phenotyping.plants.path_search import DirectedEdge, ShortestPathTree, TipAssignment, TurnCosts, edge_target
from thale.phenotyping.plants.skeleton_graph import RootGraph

_BASE_LEVEL_TOLERANCE_MM = 0.3
_MAX_CROSSING_MM = 2.5


@dataclass
class TracedRoot:
    """One root as a path of edges from its parent to its tip. `parent` is an index in the list of roots.

    For a `hidden` root, only the end is traced. `rival` and `margin` are those of its `TipAssignment`.
    """

    plant: int
    edges: list[DirectedEdge]
    parent: int | None = None
    order: int = 1
    ambiguous_at_xy: tuple[float, float] | None = None
    resolved_by_lane: bool = False
    hidden: bool = False
    rival: int | None = None
    margin: float = math.inf


class RootExtension(NamedTuple):
    """The unassigned end of a path: its plant, its edges, and the root from which it branches."""

    plant: int
    edges: list[DirectedEdge]
    parent: int | None


@dataclass
class RootAssignment:
    """The roots of all plants, and the first root on each segment and, per plant, at each node."""

    graph: RootGraph
    turn_costs: TurnCosts
    trees: list[ShortestPathTree | None]
    tips: Tips
    roots: list[TracedRoot] = field(default_factory=list)
    owner_of_segment: dict[int, int] = field(default_factory=dict)
    owner_at_node: dict[tuple[int, int], int] = field(default_factory=dict)

    def add_root(self, root: TracedRoot) -> None:
        """Add a root and assign the segments and nodes to it that have no owner."""
        index = len(self.roots)
        self.roots.append(root)
        for number, _ in root.edges:
            self.owner_of_segment.setdefault(number, index)
        self._assign_nodes(index)

    def move_root(self, index: int, plant: int) -> None:
        """Move a root and all its laterals to another plant. Their former plant is the rival, without a margin."""
        moved = {index}
        while more := {child for child, root in enumerate(self.roots) if root.parent in moved} - moved:
            moved |= more
        for number in moved:
            root = self.roots[number]
            root.plant, root.rival, root.margin, root.resolved_by_lane = plant, root.plant, 0.0, False
        self.owner_at_node.clear()
        for number in range(len(self.roots)):
            self._assign_nodes(number)

    def _assign_nodes(self, index: int) -> None:
        root = self.roots[index]
        for edge in root.edges:
            for node in (edge_target(self.graph, (edge[0], not edge[1])), edge_target(self.graph, edge)):
                self.owner_at_node.setdefault((root.plant, node), index)

    @property
    def primary_edges(self) -> dict[int, DirectedEdge]:
        """First edge of each plant's primary root, by plant."""
        return {root.plant: root.edges[0] for root in self.roots if root.parent is None}

    def unassigned_length(self, edges: list[DirectedEdge]) -> float:
        """Return the length of the unassigned segments among `edges` without bridges, frame px."""
        segments = [self.graph.segments[number] for number, _ in edges if number not in self.owner_of_segment]
        return sum(segment.length for segment in segments if not segment.is_bridge)


def find_extension(assignment: RootAssignment, tip_assignment: TipAssignment) -> RootExtension:
    """Return the new part of a path: the edges after it leaves assigned segments for the last time.

    A short assigned part in between is a crossing and remains in the path. A long one means that the path follows
    another root. The rest is then a lateral of that root, and belongs to its plant.
    """
    graph, plant = assignment.graph, tip_assignment.plant
    owners = [assignment.owner_of_segment.get(number) for number, _ in tip_assignment.edges]
    is_own = [index is not None and assignment.roots[index].plant == plant for index in owners]
    start = is_own.index(False) if False in is_own else len(is_own)
    end = len(owners)
    while end > start and owners[end - 1] is not None:
        end -= 1
    shared_length = 0.0
    for position in range(start, end):
        index = owners[position]
        shared_length = (
            0.0 if index is None else shared_length + graph.segments[tip_assignment.edges[position][0]].length
        )
        if index is not None and shared_length > graph.maps.mm_to_px(_MAX_CROSSING_MM):
            start, plant = position + 1, assignment.roots[index].plant
    if start >= end:
        return RootExtension(plant, [], None)
    node = edge_target(graph, (tip_assignment.edges[start][0], not tip_assignment.edges[start][1]))
    return RootExtension(plant, tip_assignment.edges[start:end], assignment.owner_at_node.get((plant, node)))


def is_hypocotyl(assignment: RootAssignment, tip_assignment: TipAssignment) -> bool:
    """Return True if a path leads from the base up to the shoot: a hypocotyl that was segmented as root."""
    graph, tree = assignment.graph, assignment.trees[tip_assignment.plant]
    tip = edge_target(graph, tip_assignment.edges[-1])
    if (
        tree is None
        or tip in assignment.tips
        or tip_assignment.edges[0] == assignment.primary_edges.get(tip_assignment.plant)
    ):
        return False
    return bool(graph.nodes[tip][1] <= graph.nodes[tree.base][1] + graph.maps.mm_to_px(_BASE_LEVEL_TOLERANCE_MM))
