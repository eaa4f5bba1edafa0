"""Root system architecture: primary root, laterals and their parents. Every segment is assigned to one root.

The path from a plant's base to its primary tip is the primary root. The path to every other tip is a lateral, from the
point at which it leaves assigned segments. Segments on no path to a tip are assigned by `leftover_segments`, and tips
on another root by `hidden_laterals`.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thale.phenotyping.plants.graph_repair import Tips
from thale.phenotyping.plants.hidden_laterals import assign_hidden_laterals
from thale.phenotyping.plants.leftover_segments import assign_leftover_segments
from thale.phenotyping.plants.path_search import (
    DirectedEdge,
    ShortestPathTree,
    TipAssignment,
    TurnCosts,
    assign_tip,
    match_primary_tips,
    plants_reaching,
)
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot, find_extension, is_hypocotyl
from thale.phenotyping.plants.skeleton_graph import RootGraph

_MIN_UNMARKED_LATERAL_MM = 6.0
_MIN_MARKED_LATERAL_MM = 0.2
_MIN_NEW_SHARE = 0.4


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
        graph: The repaired skeleton graph, with nodes for bases and tips.
        turn_costs: The costs of turns in the graph.
        trees: The shortest-path tree of each plant; None for a plant without roots.
        end_nodes: The ends of the graph before gaps were bridged.
        tips: Tip landmarks by node.
        lanes: Boundaries between the plants' lanes (x, frame px); empty if lanes are unknown.
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
                    rival=primary_assignment.rival,
                    margin=primary_assignment.margin,
                )
            )
            del tip_assignments[primary]
    _assign_laterals(assignment, tip_assignments)
    assign_leftover_segments(assignment)
    assign_hidden_laterals(assignment, tip_assignments)
    return _resolve_parents(assignment.roots)


def _path_length(graph: RootGraph, edges: list[DirectedEdge]) -> float:
    return sum(graph.segments[number].length for number, _ in edges)


def _select_primary_tip(graph: RootGraph, base_xy: Points, own_tips: dict[int, TipAssignment], tips: Tips) -> int:
    """Return the most likely primary tip, by landmark score, path length and depth."""
    lengths = {node: _path_length(graph, tip_assignment.edges) for node, tip_assignment in own_tips.items()}
    depths = {node: float(graph.nodes[node][1] - base_xy[1]) for node in own_tips}
    max_length, max_depth = max(lengths.values()), max(1.0, *depths.values())

    def primary_score(node: int) -> float:
        landmark = tips.get(node)
        score = landmark.score if landmark is not None and landmark.kind == "primary_tip" else 0.0
        return score + lengths[node] / max(max_length, 1.0) + 0.5 * depths[node] / max_depth

    return max(own_tips, key=primary_score)


def _assign_laterals(assignment: RootAssignment, tip_assignments: dict[int, TipAssignment]) -> None:
    """Add the paths of the remaining tips as laterals, in descending order of unassigned length.

    The unassigned length of a path only decreases. A path that still exceeds the queued length of the next one is
    therefore the longest.
    """
    maps = assignment.graph.maps
    queue = [
        (-assignment.unassigned_length(find_extension(assignment, tip_assignment).edges), node)
        for node, tip_assignment in tip_assignments.items()
    ]
    heapq.heapify(queue)
    while queue:
        _, node = heapq.heappop(queue)
        plant, edges, parent = find_extension(assignment, tip_assignments[node])
        new_length = assignment.unassigned_length(edges)
        if queue and -queue[0][0] > new_length:
            if new_length > 0:
                heapq.heappush(queue, (-new_length, node))
            continue
        min_length_mm = _MIN_MARKED_LATERAL_MM if node in assignment.tips else _MIN_UNMARKED_LATERAL_MM
        is_long_enough = new_length >= max(
            maps.mm_to_px(min_length_mm), _MIN_NEW_SHARE * _path_length(assignment.graph, edges)
        )
        if is_long_enough and not is_hypocotyl(assignment, tip_assignments[node]):
            tip_assignment = tip_assignments[node]
            order = 1 if parent is None else assignment.roots[parent].order + 1
            is_own = plant == tip_assignment.plant
            assignment.add_root(
                TracedRoot(
                    plant,
                    edges,
                    parent,
                    order,
                    tip_assignment.ambiguous_at_xy if is_own else None,
                    tip_assignment.resolved_by_lane,
                    rival=tip_assignment.rival if is_own else tip_assignment.plant,
                    margin=tip_assignment.margin,
                )
            )


def _resolve_parents(roots: list[TracedRoot]) -> list[TracedRoot]:
    """Return the roots with parents before children, and with orders derived from their parents."""
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
