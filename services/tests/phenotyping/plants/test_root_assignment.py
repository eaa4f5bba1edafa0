import math

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


def test_move_root_takes_its_laterals_and_their_nodes_along() -> None:
    example = draw_graph("A..X..B\n.......\n...Y..C\n.......\n...D...", "AX", "XB", "XY", "YC", "YD")
    assignment = assignment_of(example)
    assignment.add_root(TracedRoot(0, example.edges("AXB")))
    assignment.add_root(
        TracedRoot(0, example.edges("XYD"), parent=0, order=2, rival=3, margin=2.0, resolved_by_lane=True)
    )
    assignment.add_root(TracedRoot(0, example.edges("YC"), parent=1, order=3))
    assignment.move_root(1, 1)
    assert [(root.plant, root.rival, root.margin, root.resolved_by_lane) for root in assignment.roots] == [
        (0, None, math.inf, False),
        (1, 0, 0.0, False),
        (1, 0, 0.0, False),
    ]
    owner = {
        (plant, letter): assignment.owner_at_node.get((plant, example.nodes[letter]))
        for plant in (0, 1)
        for letter in "XYC"
    }
    assert owner == {(0, "X"): 0, (1, "X"): 1, (0, "Y"): None, (1, "Y"): 1, (0, "C"): None, (1, "C"): 2}
