import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph, t_junction
from thale.phenotyping.plants.path_search import (
    AMBIGUOUS_MARGIN,
    FREE_TURN_DEG,
    RIVAL_COST,
    TURN_COST,
    ShortestPathTree,
    TipAssignment,
    TurnCosts,
    assign_tip,
    edge_cost,
    edge_target,
    lane_costs,
    match_primary_tips,
    outgoing_edges,
    plants_reaching,
    shortest_path_tree,
)


def trees_of(example: DrawnGraph, *bases: str) -> list[ShortestPathTree | None]:
    """Return the shortest-path tree of each base; "-" is a plant without a root."""
    turn_costs = TurnCosts(example.graph)
    return [
        None if base == "-" else shortest_path_tree(example.graph, turn_costs, example.nodes[base]) for base in bases
    ]


def assignment_of(example: DrawnGraph, tip: str, *bases: str, lane: int | None = None) -> TipAssignment:
    trees = trees_of(example, *bases)
    return assign_tip(example.graph, trees, plants_reaching(example.graph, trees, example.nodes[tip]), lane)


def primaries_of(example: DrawnGraph, tips: str, *bases: str) -> dict[str, TipAssignment]:
    nodes = [example.nodes[tip] for tip in tips]
    tip_assignments = match_primary_tips(example.graph, trees_of(example, *bases), nodes, lambda node: None)
    letters = {node: letter for letter, node in example.nodes.items()}
    return {letters[node]: tip_assignments[node] for node in tip_assignments}


CROSSING = """
    A.....B
    .......
    .......
    ...X...
    .......
    .......
    C.....D
"""


def crossing() -> DrawnGraph:
    """Return two roots that cross at a right angle: A to D and B to C."""
    return draw_graph(CROSSING, "AX", "BX", "XC", "XD")


def merging() -> DrawnGraph:
    """Return two roots that merge at X at a flat angle, share 7 mm, and separate at Y."""
    return draw_graph(
        """
        A...B
        .....
        .....
        .....
        .....
        .....
        .....
        .....
        ..X..
        .....
        .....
        .....
        .....
        .....
        .....
        ..Y..
        .....
        .....
        .....
        .....
        .....
        .....
        .....
        C...D
        """,
        *("AX", "BX", "XY", "YC", "YD"),
    )


def test_outgoing_edges_start_at_node() -> None:
    example = t_junction()
    assert {example.path([edge]) for edge in outgoing_edges(example.graph, example.nodes["X"])} == {"XA", "XB", "XC"}


def test_edge_target_follows_direction() -> None:
    example = t_junction()
    number, forward = example.edge("AX")
    assert forward
    assert edge_target(example.graph, (number, True)) == example.nodes["X"]
    assert edge_target(example.graph, (number, False)) == example.nodes["A"]


def test_shortest_path_tree_adds_length_and_turns() -> None:
    example = t_junction()
    (tree,) = trees_of(example, "A")
    assert tree is not None
    assert tree.cost[example.edge("XB")] == pytest.approx(0.10)  # 10 mm of certain root
    assert tree.cost[example.edge("XC")] == pytest.approx(0.08 + TURN_COST * (90 - FREE_TURN_DEG) / 90)
    assert example.path(tree.path_to(example.edge("XC"))) == "AXC"


def test_shortest_path_tree_prefers_visible_root_to_bridge() -> None:
    example = draw_graph(
        """
        ........x..
        A....B....C
        """,
        *("AB", "B~C", "BxC"),
    )
    (tree,) = trees_of(example, "A")
    assert tree is not None
    (around,) = [n for n, s in example.graph.segments.items() if n != example.edge("AB")[0] and not s.is_bridge]
    assert tree.cost[around, True] < 1.0  # the cost of the bridge
    assert tree.previous[around, True] == example.edge("AB")


def test_shortest_path_tree_never_reverses_on_its_segment() -> None:
    example = draw_graph("A....B....C", "AB", "BC")
    (tree,) = trees_of(example, "A")
    assert tree is not None
    assert set(tree.cost) == {example.edge("AB"), example.edge("BC")}


def test_lane_costs_grow_beyond_the_midpoint() -> None:
    # The bases are 6 mm apart. D is 1 mm beyond the midpoint as seen from A, and C is on it.
    example = draw_graph(
        """
        A.....B
        .......
        ...CD..
        """,
        *("AC", "BD"),
    )
    trees = trees_of(example, "A", "-", "B")
    assert lane_costs(example.graph, trees, example.nodes["C"]) == pytest.approx([0, 0, 0])
    towards_b = lane_costs(example.graph, trees, example.nodes["D"])
    assert towards_b[0] > 0
    assert towards_b[1:] == pytest.approx([0, 0])
    assert towards_b[0] < AMBIGUOUS_MARGIN


def test_edge_cost_is_higher_upwards() -> None:
    example = draw_graph("A\n.\n.\n.\nB", "AB")
    down, up = (edge_cost(example.graph, example.edge(path)) for path in ("AB", "BA"))
    assert up > down


def test_plants_reaching_excludes_separate_component() -> None:
    example = draw_graph(
        """
        A.C
        ...
        B.D
        """,
        *("AB", "CD"),
    )
    assert plants_reaching(example.graph, trees_of(example, "A"), example.nodes["D"]) == []


def test_plants_reaching_orders_straight_path_first() -> None:
    example = crossing()
    reaching = plants_reaching(example.graph, trees_of(example, "-", "A", "B"), example.nodes["D"])
    assert [(plant, example.path([edge])) for _, plant, edge in reaching] == [(1, "XD"), (2, "XD")]
    straight_cost, turned_cost = (cost for cost, _, _ in reaching)
    turn = (90 - FREE_TURN_DEG) / 90
    lane_of_first_plant = 0.1  # the tip is below the base of the other plant, half a spacing beyond the midpoint
    assert turned_cost == pytest.approx(straight_cost + (TURN_COST + RIVAL_COST) * turn - lane_of_first_plant)


def test_assign_tip_goes_straight_at_crossing() -> None:
    example = crossing()
    assignment = assignment_of(example, "D", "A", "B")
    assert (assignment.plant, example.path(assignment.edges), assignment.ambiguous_at_xy) == (0, "AXD", None)
    assert assignment_of(example, "C", "A", "B").plant == 1


def test_assign_tip_is_ambiguous_when_two_roots_merge() -> None:
    example = merging()
    assignment = assignment_of(example, "C", "A", "B")
    assert assignment.ambiguous_at_xy == pytest.approx(tuple(example.position("X")))
    assert not assignment.resolved_by_lane


@pytest.mark.parametrize(("lane", "plant", "resolved_by_lane"), [(0, 0, True), (1, 1, True), (2, 0, False)])
def test_assign_tip_resolves_ambiguity_by_lane(lane: int, plant: int, resolved_by_lane: bool) -> None:
    example = merging()
    assignment = assignment_of(example, "C", "A", "B", lane=lane)
    assert (assignment.plant, assignment.resolved_by_lane) == (plant, resolved_by_lane)
    assert example.path(assignment.edges) == ("AXYC", "BXYC")[plant]


def test_assign_tip_ignores_lane_when_not_ambiguous() -> None:
    assignment = assignment_of(crossing(), "D", "A", "B", lane=1)
    assert (assignment.plant, assignment.resolved_by_lane, assignment.ambiguous_at_xy) == (0, False, None)


def test_match_primary_tips_goes_straight_at_crossing() -> None:
    example = crossing()
    assignments = primaries_of(example, "CD", "A", "B")
    assert {tip: example.path(assignment.edges) for tip, assignment in assignments.items()} == {"C": "BXC", "D": "AXD"}
    assert [assignment.ambiguous_at_xy for assignment in assignments.values()] == [None, None]


def test_match_primary_tips_goes_straight_through_shared_part() -> None:
    # Both roots grow diagonally, share 2 mm from X to Y, and grow on diagonally: they cross.
    example = draw_graph(
        """
        A.......B
        .........
        .........
        ....X....
        .........
        ....Y....
        .........
        .........
        C.......D
        """,
        *("AX", "BX", "XY", "YC", "YD"),
    )
    assignments = primaries_of(example, "CD", "A", "B")
    assert {tip: example.path(assignment.edges) for tip, assignment in assignments.items()} == {
        "C": "BXYC",
        "D": "AXYD",
    }
    assert [assignment.ambiguous_at_xy for assignment in assignments.values()] == [None, None]


def test_match_primary_tips_is_ambiguous_when_tips_can_swap() -> None:
    example = merging()
    assignments = primaries_of(example, "CD", "A", "B")
    assert sorted(assignment.plant for assignment in assignments.values()) == [0, 1]
    assert [assignment.ambiguous_at_xy for assignment in assignments.values()] == [
        pytest.approx(tuple(example.position("X")))
    ] * 2


def test_match_primary_tips_is_clear_when_one_tip_is_shared() -> None:
    # Both A and B reach C, but only B reaches D without a sharp turn.
    example = draw_graph(
        """
        A.......B....D
        ..............
        ..............
        ..............
        ....X.........
        ..............
        ..............
        ....C.........
        """,
        *("AX", "BX", "XC", "BD"),
    )
    assignments = primaries_of(example, "CD", "A", "B")
    assert {tip: (assignment.plant, assignment.ambiguous_at_xy) for tip, assignment in assignments.items()} == {
        "C": (0, None),
        "D": (1, None),
    }


def test_match_primary_tips_gives_each_plant_a_tip() -> None:
    # Both tips are nearer to A, but B also reaches one of them.
    example = draw_graph(
        """
        B....X....C
        ...........
        A....Y....D
        """,
        *("BX", "XC", "AY", "YD", "YX"),
    )
    assignments = primaries_of(example, "CD", "A", "B")
    assert {tip: example.path(assignment.edges) for tip, assignment in assignments.items()} == {"C": "BXC", "D": "AYD"}


def test_match_primary_tips_excludes_plant_without_root() -> None:
    example = t_junction()
    assignments = primaries_of(example, "B", "-", "A")
    assert {tip: assignment.plant for tip, assignment in assignments.items()} == {"B": 1}


@pytest.mark.parametrize(
    ("gaps", "plants"), [("B~P P~D", [0, 1]), ("B~P P~Q Q~R R~S S~T T~U U~V V~W W~Y Y~Z Z~D", [0])]
)
def test_match_primary_tips_excludes_plant_with_much_higher_cost(gaps: str, plants: list[int]) -> None:
    # A reaches both tips along root. B reaches D across bridges with a cost of 1.0 each; up to ten are allowed.
    example = draw_graph(
        """
        A....X.................C
        .......................D
        ........................
        B.P.Q.R.S.T.U.V.W.Y.Z...
        """,
        *("AX", "XC", "XD", *gaps.split()),
    )
    assert sorted(assignment.plant for assignment in primaries_of(example, "CD", "A", "B").values()) == plants


def test_match_primary_tips_is_empty_when_no_plant_reaches_tip() -> None:
    example = draw_graph(
        """
        A.C
        ...
        B.D
        """,
        *("AB", "CD"),
    )
    assert primaries_of(example, "D", "A") == {}


@pytest.mark.parametrize(("gap_cost", "plants"), [(8.0, {0, 1}), (20.0, {0})])
def test_match_primary_tips_omits_paths_that_cost_10_more(gap_cost: float, plants: set[int]) -> None:
    example = draw_graph(
        """
        ...A...C
        ........
        ........
        ...X....
        ........
        ........
        ...P..Q.
        """,
        *("AX", "C~X", "XP", "XQ"),
    )
    example.graph.segments[example.edge("CX")[0]].cost = gap_cost
    primaries = primaries_of(example, "PQ", "A", "C")
    assert {assignment.plant for assignment in primaries.values()} == plants
    if plants == {0}:
        # The tip that C cannot reach does not push the primary root of A off its straight path.
        assert example.path(primaries["P"].edges) == "AXP"
