"""Assignment of segments that are on no path from a base to a tip.

A lateral that ends at another root has no end in the skeleton, so its segments remain unassigned at first. They are
extended to a tip, joined to a lateral, or, if they are long, become a lateral of their own. The lateral of a neighbour
that continues such a segment is the wrong plant's, because its path would leave visible root without an end (ADR 0167).
"""

import heapq
import math
from collections.abc import Iterator

from thale.phenotyping.plants.path_search import (
    AMBIGUOUS_MARGIN,
    DirectedEdge,
    TipAssignment,
    edge_target,
    outgoing_edges,
    path_to,
)
from thale.phenotyping.plants.root_assignment import (
    RootAssignment,
    RootExtension,
    TracedRoot,
    find_extension,
    is_hypocotyl,
)

_MIN_UNENDED_LATERAL_MM = 8.0
"""Shorter segments without a tip landmark and without an end are mostly parts of a root that ends elsewhere."""
_MIN_LEFTOVER_MM = 0.7
_MIN_TAKEOVER_MM = 1.0
"""Minimum length of a segment that takes over the lateral of another plant. At 0.7 mm, the gain is smaller."""
_SHARED_COST_PER_MM = 0.15
_MAX_EXTENSION_COST = 1.0


def assign_leftover_segments(assignment: RootAssignment) -> None:
    """Assign segments of `_MIN_LEFTOVER_MM` and more that are connected to roots but are on no path to a tip."""
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
    """Assign one segment as the missing part of a root or, if it is long, as a lateral of its own.

    A lateral has the cheaper of both directions. It is ambiguous if another plant is equally likely.
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
    margin, rival = min(
        ((cost - cheapest, other) for cost, other, _ in reaching if other != plant), default=(math.inf, None)
    )
    x, y = graph.nodes[edge_target(graph, edge)]
    ambiguous_at_xy = (float(x), float(y)) if margin < AMBIGUOUS_MARGIN else None

    def assign_to(owner: int, owner_edge: DirectedEdge) -> TipAssignment:
        path = path_to(assignment.trees, owner, owner_edge)
        return TipAssignment(owner, path, ambiguous_at_xy, rival=rival if owner == plant else plant, margin=margin)

    if any(_extend_to_tip(assignment, assign_to(owner, owner_edge)) for _, owner, owner_edge in reaching):
        return True
    tip_assignment = assign_to(plant, edge)
    extension = find_extension(assignment, tip_assignment)
    is_short = assignment.unassigned_length(extension.edges) < graph.maps.mm_to_px(_MIN_UNENDED_LATERAL_MM)
    if is_short or is_hypocotyl(assignment, tip_assignment):
        return False
    order = 1 if extension.parent is None else assignment.roots[extension.parent].order + 1
    assignment.add_root(
        TracedRoot(
            extension.plant,
            extension.edges,
            extension.parent,
            order,
            tip_assignment.ambiguous_at_xy,
            rival=rival if extension.plant == plant else plant,
            margin=margin,
        )
    )
    return True


def _extend_to_tip(assignment: RootAssignment, segment_assignment: TipAssignment) -> bool:
    """Extend the last segment of a path along assigned segments to a tip without a root, or to the start of a lateral.

    Such a lateral was attached to the root that it crosses or follows, because the path to the base along that root is
    cheaper. An ambiguity of the segment becomes an ambiguity of the lateral.

    Returns:
        True if the segment is now part of a root.
    """
    plant, edge = segment_assignment.plant, segment_assignment.edges[-1]
    extension = find_extension(assignment, segment_assignment)
    if extension.plant != plant or not extension.edges or extension.edges[-1] != edge:
        return False
    end_nodes = {edge_target(assignment.graph, root.edges[-1]) for root in assignment.roots}
    can_take_over = assignment.graph.segments[edge[0]].length >= assignment.graph.maps.mm_to_px(_MIN_TAKEOVER_MM)
    lateral_by_first_edge = {
        root.edges[0]: index
        for index, root in enumerate(assignment.roots)
        if root.parent is not None and (root.plant == plant or (can_take_over and not root.resolved_by_lane))
    }
    for onward_path in _onward_paths(assignment, edge, lateral_by_first_edge):
        if onward_path and onward_path[-1] in lateral_by_first_edge:
            index = lateral_by_first_edge[onward_path[-1]]
            if extension.parent is None or _is_descendant(assignment, extension.parent, index):
                continue
            _prepend(assignment, index, extension, onward_path[:-1])
            root = assignment.roots[index]
            root.ambiguous_at_xy = root.ambiguous_at_xy or segment_assignment.ambiguous_at_xy
            return True
        node = edge_target(assignment.graph, onward_path[-1] if onward_path else edge)
        if node in assignment.tips and node not in end_nodes:
            order = 1 if extension.parent is None else assignment.roots[extension.parent].order + 1
            assignment.add_root(
                TracedRoot(
                    plant,
                    [*extension.edges, *onward_path],
                    extension.parent,
                    order,
                    segment_assignment.ambiguous_at_xy,
                    rival=segment_assignment.rival,
                    margin=segment_assignment.margin,
                )
            )
            return True
    return False


def _prepend(
    assignment: RootAssignment, index: int, extension: RootExtension, onward_path: tuple[DirectedEdge, ...]
) -> None:
    """Add edges at the start of a lateral. It becomes a lateral of the plant and the root of these edges."""
    root = assignment.roots[index]
    root.edges = [*extension.edges, *onward_path, *root.edges]
    root.parent = extension.parent
    for number, _ in extension.edges:
        assignment.owner_of_segment.setdefault(number, index)
    if root.plant != extension.plant:
        assignment.move_root(index, extension.plant)


def _onward_paths(
    assignment: RootAssignment, edge: DirectedEdge, lateral_by_first_edge: dict[DirectedEdge, int]
) -> Iterator[tuple[DirectedEdge, ...]]:
    """Yield paths that continue an edge, the cheapest first. Turns and segments shared with other roots have costs.

    First edges of laterals have no length cost, because they would become part of the extended root.
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
            total = path_cost + turn_costs.cost([last], next_edge)
            if next_edge not in lateral_by_first_edge:
                total += graph.segments[next_edge[0]].length / graph.maps.px_per_mm * _SHARED_COST_PER_MM
            if next_edge[0] != last[0] and next_edge not in visited and total <= _MAX_EXTENSION_COST:
                heapq.heappush(queue, (total, next_edge, (*path, next_edge)))


def _is_descendant(assignment: RootAssignment, root: int, ancestor: int) -> bool:
    """Return True if `root` is `ancestor` or descends from it."""
    current: int | None = root
    while current is not None and current != ancestor:
        current = assignment.roots[current].parent
    return current == ancestor
