import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.leftover_segments import assign_leftover_segments
from thale.phenotyping.plants.path_search import TurnCosts, shortest_path_tree
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot

NEIGHBOURS = """
A.....P
.......
.......
......X
.......
..C....
.......
D......
..B...Q
"""
"""Roots AB and PQ of two plants. XC leaves PQ and continues straight into CD, behind AB at C."""


def assign(example: DrawnGraph, primary: str, tips: str = "") -> list[TracedRoot]:
    """Return all roots of a plant whose primary root is the only one that is assigned."""
    turn_costs = TurnCosts(example.graph)
    trees = [shortest_path_tree(example.graph, turn_costs, example.nodes["A"])]
    landmarks = {example.nodes[letter]: example.landmark_at(letter, "lateral_tip") for letter in tips}
    assignment = RootAssignment(example.graph, turn_costs, trees, landmarks)
    assignment.add_root(TracedRoot(0, example.edges(primary)))
    assign_leftover_segments(assignment)
    return assignment.roots


def root_with_loop(row: str) -> DrawnGraph:
    """Return a root from A to B, and a segment from X by the bend z of the given row back to Y, 4 mm below X."""
    rows = ["A", "..", "..", "X", "..", row, "..", "Y", "..", "..", "B"]
    return draw_graph("\n".join(rows), "AX", "XM", "MY", "YB", "XzY")


@pytest.mark.parametrize(("row", "roots"), [("M.....z", 2), ("Mz", 1)])
def test_segment_without_tip_is_lateral_from_8_mm(row: str, roots: int) -> None:
    # 2 * sqrt(2² + 6²) = 12.6 mm, and 2 * sqrt(2² + 1²) = 4.5 mm
    found = assign(root_with_loop(row), "AXMYB")
    assert [(root.parent, root.order) for root in found] == [(None, 1), (0, 2)][:roots]


def test_short_segment_is_lateral_when_it_ends_at_a_tip() -> None:
    example = draw_graph("A\n..\n..\nX...C\n..\n..\nB", "AX", "XB", "XC")
    found = assign(example, "AXB", tips="C")
    assert [example.path(root.edges) for root in found] == ["AXB", "XC"]
    assert (found[1].parent, found[1].order) == (0, 2)


def test_segment_below_0_7_mm_remains_unassigned() -> None:
    example = draw_graph("A\n..\n..\nX...C\n..\n..\nB", "AX", "XB", "XC", mm=0.1)  # XC is 0.4 mm long
    assert [example.path(root.edges) for root in assign(example, "AXB", tips="C")] == ["AXB"]


def test_segment_without_connection_remains_unassigned() -> None:
    example = draw_graph("A....C\n......\nB....D", "AB", "CD", mm=10)
    assert [example.path(root.edges) for root in assign(example, "AB", tips="D")] == ["AB"]


def test_segment_before_a_lateral_becomes_its_start() -> None:
    # The lateral CD was attached to the root at Y. The segment XC is its missing start.
    example = draw_graph(
        """
        A.......
        ........
        X.......
        ........
        ...C....
        ........
        ......D.
        B.......
        """,
        *("AX", "XB", "XC", "CD"),
    )
    turn_costs = TurnCosts(example.graph)
    trees = [shortest_path_tree(example.graph, turn_costs, example.nodes["A"])]
    tips = {example.nodes["D"]: example.landmark_at("D", "lateral_tip")}
    assignment = RootAssignment(example.graph, turn_costs, trees, tips)
    assignment.add_root(TracedRoot(0, example.edges("AXB")))
    assignment.add_root(TracedRoot(0, example.edges("CD"), parent=0, order=2))
    assign_leftover_segments(assignment)
    assert [example.path(root.edges) for root in assignment.roots] == ["AXB", "XCD"]


def assign_neighbours(mm: float, lateral: TracedRoot) -> tuple[DrawnGraph, list[TracedRoot]]:
    """Return the roots of `NEIGHBOURS` after the lateral CD was assigned to the plant of A, and XC to no plant."""
    example = draw_graph(NEIGHBOURS, "AC", "CB", "PX", "XQ", "XC", "CD", mm=mm)
    turn_costs = TurnCosts(example.graph)
    trees = [shortest_path_tree(example.graph, turn_costs, example.nodes[base]) for base in "AP"]
    tips = {example.nodes["D"]: example.landmark_at("D", "lateral_tip")}
    assignment = RootAssignment(example.graph, turn_costs, trees, tips)
    assignment.add_root(TracedRoot(0, example.edges("ACB")))
    assignment.add_root(TracedRoot(1, example.edges("PXQ")))
    lateral.edges = example.edges("CD")
    assignment.add_root(lateral)
    assign_leftover_segments(assignment)
    return example, assignment.roots


def test_segment_takes_over_the_lateral_of_a_neighbour() -> None:
    example, roots = assign_neighbours(1.0, TracedRoot(0, [], parent=0, order=2, rival=1, margin=2.5))
    lateral = roots[2]
    assert [example.path(root.edges) for root in roots] == ["ACB", "PXQ", "XCD"]
    assert (lateral.plant, lateral.parent, lateral.rival, lateral.margin) == (1, 1, 0, 0.0)


@pytest.mark.parametrize(("mm", "by_lane"), [(1.0, True), (0.18, False)])
def test_segment_leaves_lateral_of_lane_or_when_too_short(mm: float, by_lane: bool) -> None:
    # At 0.18 mm per cell, XC is 0.8 mm long.
    lateral = TracedRoot(0, [], parent=0, order=2, resolved_by_lane=by_lane)
    example, roots = assign_neighbours(mm, lateral)
    assert [example.path(root.edges) for root in roots if root.plant == 0] == ["ACB", "CD"]
