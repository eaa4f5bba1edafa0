"""Laterals whose tip lies on another root, so that the skeleton has no end there.

A lateral that grows onto another root is visible up to that root. Its visible part is an unassigned segment that ends
near the tip. Without such a segment, other roots cover the lateral: it is known to exist, but not its path.
"""

import numpy as np

from thale.phenotyping.plants.path_search import DirectedEdge, TipAssignment, edge_target, path_to
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot, find_extension
from thale.phenotyping.plants.skeleton_graph import RootGraph

_MIN_HIDDEN_SCORE = 0.4
"""Minimum score of a tip on a root that continues. At 0.3, half of such tips would be wrong."""
_HIDDEN_END_MM = 0.3
_MAX_END_DISTANCE_MM = 1.0
_MIN_VISIBLE_MM = 0.5


def assign_hidden_laterals(assignment: RootAssignment, tip_assignments: dict[int, TipAssignment]) -> None:
    """Add laterals that end on another root: their visible part, or only their end if other roots cover all of it."""
    graph = assignment.graph
    end_nodes = {edge_target(graph, root.edges[-1]) for root in assignment.roots}
    for node in sorted(set(assignment.tips) & set(tip_assignments) - end_nodes):
        edges = tip_assignments[node].edges
        parent = assignment.owner_of_segment.get(edges[-1][0])
        if parent is None or assignment.tips[node].score < _MIN_HIDDEN_SCORE:
            continue
        if not _add_visible_part(assignment, node):
            _add_end(assignment, node, edges[-1], parent)


def _add_visible_part(assignment: RootAssignment, tip: int) -> bool:
    """Add a lateral along the longest unassigned segment that ends near a tip. Return False without such a segment."""
    graph = assignment.graph
    max_distance, min_length = graph.maps.mm_to_px(_MAX_END_DISTANCE_MM), graph.maps.mm_to_px(_MIN_VISIBLE_MM)
    near = {node for node in _nodes_within(graph, tip, max_distance) if node != tip}
    numbers = {number for node in near for number in graph.segments_at_node[node]} - set(assignment.owner_of_segment)
    candidates = [n for n in numbers if graph.segments[n].length >= min_length and not graph.segments[n].is_bridge]
    for number in sorted(candidates, key=lambda n: (-graph.segments[n].length, n)):
        segment = graph.segments[number]
        reaching = sorted(
            (tree.cost[edge], plant, edge)
            for plant, tree in enumerate(assignment.trees)
            if tree is not None
            for edge in ((number, True), (number, False))
            if edge in tree.cost and edge_target(graph, edge) in near and segment.start != segment.end
        )
        if not reaching:
            continue
        _, plant, edge = reaching[0]
        path = path_to(assignment.trees, plant, edge)
        extension = find_extension(assignment, TipAssignment(plant, path))
        if extension.parent is None or not extension.edges or extension.edges[-1] != edge:
            continue
        end = edge_target(graph, edge)
        link = graph.add_segment(end, tip, np.array([graph.nodes[end], graph.nodes[tip]]), cost=0.0)
        order = assignment.roots[extension.parent].order + 1
        margin, rival = min(
            ((cost - reaching[0][0], other) for cost, other, _ in reaching if other != plant), default=(np.inf, None)
        )
        edges = [*extension.edges, (link, True)]
        assignment.add_root(
            TracedRoot(extension.plant, edges, extension.parent, order, rival=rival, margin=float(margin))
        )
        return True
    return False


def _nodes_within(graph: RootGraph, node: int, max_distance: float) -> list[int]:
    """Return the nodes with segments that are at most `max_distance` px from a node."""
    distances = np.hypot(*(np.array(graph.nodes) - graph.nodes[node]).T)
    return [near for near in np.flatnonzero(distances <= max_distance).tolist() if graph.segments_at_node[near]]


def _add_end(assignment: RootAssignment, tip: int, edge: DirectedEdge, parent: int) -> None:
    """Add a lateral of which only the end is traced, on the root that covers it."""
    graph = assignment.graph
    points = graph.points_from_node(edge[0], tip)
    arc = np.cumsum(np.hypot(*np.diff(points, axis=0).T))
    last = points[: 2 + int(np.searchsorted(arc, graph.maps.mm_to_px(_HIDDEN_END_MM)))][::-1]
    end = graph.add_segment(graph.add_node(last[0]), tip, last, cost=0.0)
    owner = assignment.roots[parent]
    assignment.add_root(TracedRoot(owner.plant, [(end, True)], parent, owner.order + 1, hidden=True))
