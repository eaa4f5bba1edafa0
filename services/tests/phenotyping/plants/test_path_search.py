import pytest

from tests.support.skeleton_drawings import Network, network
from thale.phenotyping.plants.path_search import (
    FREE_TURN_DEG,
    TURN_COST,
    ShortestPathTree,
    TipAssignment,
    TurnCosts,
    assign_tip,
    edge_target,
    match_primary_tips,
    outgoing_edges,
    plants_reaching,
    shortest_path_tree,
)


def trees_of(drawn: Network, *bases: str) -> list[ShortestPathTree | None]:
    """Return the cheapest paths from each base; "-" stands for a plant without a root."""
    turn_costs = TurnCosts(drawn.graph)
    return [None if base == "-" else shortest_path_tree(drawn.graph, turn_costs, drawn.nodes[base]) for base in bases]


def assignment_of(drawn: Network, tip: str, *bases: str, lane: int | None = None) -> TipAssignment:
    trees = trees_of(drawn, *bases)
    return assign_tip(drawn.graph, trees, plants_reaching(drawn.graph, trees, drawn.nodes[tip]), lane)


def primaries_of(drawn: Network, tips: str, *bases: str) -> dict[str, TipAssignment]:
    nodes = [drawn.nodes[tip] for tip in tips]
    tip_assignments = match_primary_tips(drawn.graph, trees_of(drawn, *bases), nodes, lambda node: None)
    letters = {node: letter for letter, node in drawn.nodes.items()}
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


def crossing() -> Network:
    """Two roots that cross at a right angle: A to D and B to C."""
    return network(CROSSING, "AX", "BX", "XC", "XD")


def merging() -> Network:
    """Two bases, 8 mm apart, whose roots meet at X, run as one to Y and part again."""
    return network(
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


def t_junction() -> Network:
    return network(
        """
        A....X....B
        ...........
        ...........
        .....C.....
        """,
        *("AX", "XB", "XC"),
    )


def test_turn_costs_nothing_straight_through_a_fork() -> None:
    drawn = t_junction()
    assert TurnCosts(drawn.graph).cost(drawn.edge("AX"), drawn.edge("XB")) == 0


def test_turn_costs_angle_beyond_the_free_one() -> None:
    drawn = t_junction()
    right_angle = TURN_COST * (90 - FREE_TURN_DEG) / 90
    assert TurnCosts(drawn.graph).cost(drawn.edge("AX"), drawn.edge("XC")) == pytest.approx(right_angle)
    assert TurnCosts(drawn.graph).cost(drawn.edge("BX"), drawn.edge("XC")) == pytest.approx(right_angle)


def test_turn_costs_nothing_where_two_segments_meet_alone() -> None:
    drawn = network(
        """
        A....X
        ......
        .....B
        """,
        *("AX", "XB"),
    )
    assert TurnCosts(drawn.graph).cost(drawn.edge("AX"), drawn.edge("XB")) == 0


def test_onward_yields_the_steps_away_from_a_node() -> None:
    drawn = t_junction()
    assert {drawn.path([step]) for step in outgoing_edges(drawn.graph, drawn.nodes["X"])} == {"XA", "XB", "XC"}


def test_end_of_follows_the_walking_direction() -> None:
    drawn = t_junction()
    number, forward = drawn.edge("AX")
    assert forward
    assert edge_target(drawn.graph, (number, True)) == drawn.nodes["X"]
    assert edge_target(drawn.graph, (number, False)) == drawn.nodes["A"]


def test_grow_tree_adds_root_and_turns() -> None:
    drawn = t_junction()
    (tree,) = trees_of(drawn, "A")
    assert tree is not None
    assert tree.cost[drawn.edge("XB")] == pytest.approx(0.10)  # 10 mm of certain root
    assert tree.cost[drawn.edge("XC")] == pytest.approx(0.08 + TURN_COST * 70 / 90)
    assert drawn.path(tree.path_to(drawn.edge("XC"))) == "AXC"


def test_grow_tree_takes_seen_root_around_a_gap() -> None:
    drawn = network(
        """
        ........x..
        A....B....C
        """,
        *("AB", "B~C", "BxC"),
    )
    (tree,) = trees_of(drawn, "A")
    assert tree is not None
    (around,) = [n for n, s in drawn.graph.segments.items() if n != drawn.edge("AB")[0] and not s.is_bridge]
    assert tree.cost[around, True] < 1.0  # the price of the bridge
    assert tree.previous[around, True] == drawn.edge("AB")


def test_grow_tree_never_turns_back_on_its_segment() -> None:
    drawn = network("A....B....C", "AB", "BC")
    (tree,) = trees_of(drawn, "A")
    assert tree is not None
    assert set(tree.cost) == {drawn.edge("AB"), drawn.edge("BC")}


def test_grow_tree_leaves_a_separate_neighbour_out() -> None:
    drawn = network(
        """
        A.C
        ...
        B.D
        """,
        *("AB", "CD"),
    )
    assert plants_reaching(drawn.graph, trees_of(drawn, "A"), drawn.nodes["D"]) == []


def test_arrivals_put_the_plant_that_goes_straight_first() -> None:
    drawn = crossing()
    found = plants_reaching(drawn.graph, trees_of(drawn, "-", "A", "B"), drawn.nodes["D"])
    assert [(plant, drawn.path([step])) for _, plant, step in found] == [(1, "XD"), (2, "XD")]
    straight, turned = (price for price, _, _ in found)
    assert turned - straight == pytest.approx(TURN_COST * 70 / 90)


def test_claim_goes_straight_on_at_a_crossing() -> None:
    drawn = crossing()
    found = assignment_of(drawn, "D", "A", "B")
    assert (found.plant, drawn.path(found.edges), found.ambiguous_at_xy) == (0, "AXD", None)
    assert assignment_of(drawn, "C", "A", "B").plant == 1


def test_claim_is_in_doubt_where_two_roots_run_as_one() -> None:
    drawn = merging()
    found = assignment_of(drawn, "C", "A", "B")
    assert found.ambiguous_at_xy == pytest.approx(tuple(drawn.position("X")))
    assert not found.resolved_by_lane


@pytest.mark.parametrize(("lane", "plant", "by_lane"), [(0, 0, True), (1, 1, True), (2, 0, False)])
def test_claim_gives_a_doubtful_tip_to_its_lane(lane: int, plant: int, by_lane: bool) -> None:
    drawn = merging()
    found = assignment_of(drawn, "C", "A", "B", lane=lane)
    assert (found.plant, found.resolved_by_lane) == (plant, by_lane)
    assert drawn.path(found.edges) == ("AXYC", "BXYC")[plant]


def test_claim_ignores_the_lane_when_not_in_doubt() -> None:
    found = assignment_of(crossing(), "D", "A", "B", lane=1)
    assert (found.plant, found.resolved_by_lane, found.ambiguous_at_xy) == (0, False, None)


def test_primaries_keep_their_own_tips_at_a_crossing() -> None:
    drawn = crossing()
    found = primaries_of(drawn, "CD", "A", "B")
    assert {tip: drawn.path(c.edges) for tip, c in found.items()} == {"C": "BXC", "D": "AXD"}
    assert [c.ambiguous_at_xy for c in found.values()] == [None, None]


def test_primaries_are_in_doubt_when_tips_can_be_swapped() -> None:
    drawn = merging()
    found = primaries_of(drawn, "CD", "A", "B")
    assert sorted(c.plant for c in found.values()) == [0, 1]
    assert [c.ambiguous_at_xy for c in found.values()] == [pytest.approx(tuple(drawn.position("X")))] * 2


def test_primaries_are_sure_when_only_one_tip_is_shared() -> None:
    # C can be reached from A and from B alike, but only B has a way to D without a sharp turn.
    drawn = network(
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
    found = primaries_of(drawn, "CD", "A", "B")
    assert {tip: (c.plant, c.ambiguous_at_xy) for tip, c in found.items()} == {"C": (0, None), "D": (1, None)}


def test_primaries_share_tips_so_that_each_plant_has_one() -> None:
    # Both tips are nearer to A, but one of them can also be reached from B.
    drawn = network(
        """
        B....X....C
        ...........
        A....Y....D
        """,
        *("BX", "XC", "AY", "YD", "YX"),
    )
    found = primaries_of(drawn, "CD", "A", "B")
    assert {tip: drawn.path(c.edges) for tip, c in found.items()} == {"C": "BXC", "D": "AYD"}


def test_primaries_leave_a_plant_without_root_out() -> None:
    drawn = t_junction()
    found = primaries_of(drawn, "B", "-", "A")
    assert {tip: c.plant for tip, c in found.items()} == {"B": 1}


@pytest.mark.parametrize(("gaps", "plants"), [(("B~P", "P~Q", "Q~D"), [0, 1]), (("B~P", "P~Q", "Q~R", "R~D"), [0])])
def test_primaries_leave_a_far_dearer_plant_without_tip(gaps: tuple[str, ...], plants: list[int]) -> None:
    # A reaches both tips along root. B reaches D across gaps of 1.0 each: up to three of them count as its root.
    drawn = network(
        """
        A....X.........C
        ...............D
        ................
        B...P...Q...R...
        """,
        *("AX", "XC", "XD", *gaps),
    )
    assert sorted(c.plant for c in primaries_of(drawn, "CD", "A", "B").values()) == plants


def test_primaries_are_empty_when_no_plant_reaches_a_tip() -> None:
    drawn = network(
        """
        A.C
        ...
        B.D
        """,
        *("AB", "CD"),
    )
    assert primaries_of(drawn, "D", "A") == {}
