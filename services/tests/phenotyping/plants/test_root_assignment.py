import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.path_search import TurnCosts, shortest_path_tree
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot


def assignment_of(example: DrawnGraph) -> RootAssignment:
    turn_costs = TurnCosts(example.graph)
    return RootAssignment(
        example.graph, turn_costs, [shortest_path_tree(example.graph, turn_costs, example.nodes["A"])], {}
    )


def test_root_assignment_retains_first_owner_of_segment() -> None:
    example = draw_graph(
        """
        ....A....
        .........
        ....X....
        .........
        B.......C
        """,
        *("AX", "XB", "XC"),
    )
    assignment = assignment_of(example)
    assignment.add_root(TracedRoot(0, example.edges("AXB")))
    assignment.add_root(TracedRoot(0, example.edges("AXC"), parent=0, order=2))
    owners = {path: assignment.owner_of_segment[example.edge(path)[0]] for path in ("AX", "XB", "XC")}
    assert owners == {"AX": 0, "XB": 0, "XC": 1}
    assert assignment.owner_at_node[0, example.nodes["X"]] == 0
    assert assignment.owner_at_node[0, example.nodes["C"]] == 1
    assert assignment.primary_edges == {0: example.edge("AX")}


def test_unassigned_length_excludes_bridges_and_assigned_root() -> None:
    example = draw_graph("A....X...P..C", "AX", "X~P", "PC")  # 5 mm, a gap of 4 mm, 3 mm
    assignment = assignment_of(example)
    assert assignment.unassigned_length(example.edges("AXPC")) == pytest.approx(80)
    assignment.add_root(TracedRoot(0, example.edges("AX")))
    assert assignment.unassigned_length(example.edges("AXPC")) == pytest.approx(30)
