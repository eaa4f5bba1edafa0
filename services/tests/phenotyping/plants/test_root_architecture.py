from collections.abc import Sequence

import pytest

from tests.support.skeleton_drawings import Network, network
from thale.phenotyping.plants.path_search import ShortestPathTree, TurnCosts, shortest_path_tree
from thale.phenotyping.plants.root_architecture import assign_roots
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot
from thale.schemas import Landmark


def roots_of(
    drawn: Network, bases: str, tips: dict[str, Landmark] | None = None, lanes: Sequence[float] = ()
) -> list[TracedRoot]:
    """Return the roots of the plants with the given bases; "-" stands for a plant without a root."""
    turn_costs, ends = TurnCosts(drawn.graph), drawn.graph.ends()
    trees: list[ShortestPathTree | None] = [
        None if base == "-" else shortest_path_tree(drawn.graph, turn_costs, drawn.nodes[base]) for base in bases
    ]
    tip_landmarks = {drawn.nodes[letter]: landmark for letter, landmark in (tips or {}).items()}
    return assign_roots(drawn.graph, turn_costs, trees, ends, tip_landmarks, lanes)


def paths(drawn: Network, roots: list[TracedRoot]) -> list[str]:
    return [drawn.path(root.edges) for root in roots]


def y_shape() -> Network:
    """A root that forks at X: 8 mm deep to the left at B, 7 mm deep to the right at C."""
    return network(
        """
        ....A....
        .........
        ....X....
        .........
        .........
        .........
        .........
        .......C.
        B........
        """,
        *("AX", "XB", "XC"),
    )


def primary_with_lateral(lateral: str) -> Network:
    """A primary root from A to B, 12 mm, and to the right of X a lateral that the given row draws."""
    rows = ["A", *5 * ["."], lateral, *5 * ["."], "B"]
    return network("\n".join(rows), "AX", "XB", "XC")


def test_single_path_is_the_primary_root() -> None:
    drawn = network("A\n.\n.\n.\nB", "AB")
    (root,) = roots_of(drawn, "A")
    assert drawn.path(root.edges) == "AB"
    assert (root.plant, root.parent, root.order, root.hidden) == (0, None, 1, False)


def test_primary_is_the_longest_and_deepest_path_of_a_y() -> None:
    drawn = y_shape()
    assert paths(drawn, roots_of(drawn, "A"))[0] == "AXB"


def test_primary_ends_at_the_marked_tip_of_a_y() -> None:
    drawn = y_shape()
    roots = roots_of(drawn, "A", {"C": drawn.landmark_at("C", "primary_tip")})
    assert paths(drawn, roots) == ["AXC", "XB"]
    assert [(root.parent, root.order) for root in roots] == [(None, 1), (0, 2)]


def test_primary_follows_the_surer_of_two_marked_tips() -> None:
    drawn = y_shape()
    marks = {"B": drawn.landmark_at("B", "primary_tip", 0.3), "C": drawn.landmark_at("C", "primary_tip", 0.9)}
    assert paths(drawn, roots_of(drawn, "A", marks))[0] == "AXC"


@pytest.mark.parametrize(("lateral", "count"), [("X....C", 1), ("X......C", 2)])
def test_lateral_without_landmark_needs_6_mm(lateral: str, count: int) -> None:
    assert len(roots_of(primary_with_lateral(lateral), "A")) == count


def test_lateral_with_landmark_may_be_1_mm_short() -> None:
    drawn = primary_with_lateral("XC")
    roots = roots_of(drawn, "A", {"C": drawn.landmark_at("C", "lateral_tip")})
    assert paths(drawn, roots) == ["AXB", "XC"]


def test_lateral_of_a_lateral_has_order_3() -> None:
    drawn = network(
        """
        A.................
        ..................
        X.......Y........C
        ........y.........
        ..............D...
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        ..................
        B.................
        """,
        *("AX", "XB", "XY", "YC", "YyD"),
    )
    roots = roots_of(drawn, "A")
    assert paths(drawn, roots) == ["AXB", "XYC", "YD"]
    assert [(root.parent, root.order) for root in roots] == [(None, 1), (0, 2), (1, 3)]


@pytest.mark.parametrize(("lateral", "expected"), [("X......PC", ["AXB"]), ("X...P...C", ["AXB", "XPC"])])
def test_lateral_needs_to_be_seen_for_40_percent(lateral: str, expected: list[str]) -> None:
    # Of 4 mm between X and C, 0.5 mm or 2 mm are seen; the rest is a bridged gap.
    rows = ["A", ".", ".", lateral, ".", ".", "B"]
    drawn = network("\n".join(rows), "AX", "XB", "X~P", "PC", mm=0.5)
    marks = {"B": drawn.landmark_at("B", "primary_tip"), "C": drawn.landmark_at("C", "lateral_tip")}
    assert paths(drawn, roots_of(drawn, "A", marks)) == expected


@pytest.mark.parametrize(("tip_mark", "count"), [(False, 1), (True, 2)])
def test_hypocotyl_above_the_base_is_no_lateral(tip_mark: bool, count: int) -> None:
    # H to A, 7 mm, leads from the base up to the shoot.
    drawn = network("\n".join("H......A...........B"), "HA", "AB")
    roots = roots_of(drawn, "A", {"H": drawn.landmark_at("H", "lateral_tip")} if tip_mark else None)
    assert len(roots) == count
    assert drawn.path(roots[0].edges) == "AB"


def test_two_crossing_roots_go_straight_on() -> None:
    drawn = network(
        """
        A.....B
        .......
        .......
        ...X...
        .......
        .......
        C.....D
        """,
        *("AX", "BX", "XC", "XD"),
    )
    roots = roots_of(drawn, "AB")
    assert paths(drawn, roots) == ["AXD", "BXC"]
    assert [root.plant for root in roots] == [0, 1]
    assert [root.ambiguous_at_xy for root in roots] == [None, None]


def parallel_neighbours_that_touch() -> Network:
    """Two bases whose roots meet at X, run as one to Y and part again towards C and D."""
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


def test_roots_that_run_as_one_are_in_doubt() -> None:
    drawn = parallel_neighbours_that_touch()
    marks = {tip: drawn.landmark_at(tip, "primary_tip") for tip in "CD"}
    roots = roots_of(drawn, "AB", marks)
    assert [root.plant for root in roots] == [0, 1]
    assert [root.ambiguous_at_xy for root in roots] == [pytest.approx(tuple(drawn.position("X")))] * 2


def test_lanes_settle_roots_that_run_as_one() -> None:
    drawn = parallel_neighbours_that_touch()
    marks = {tip: drawn.landmark_at(tip, "primary_tip") for tip in "CD"}
    roots = roots_of(drawn, "AB", marks, lanes=[float(drawn.position("X")[0])])
    assert paths(drawn, roots) == ["AXYC", "BXYD"]
    assert [root.resolved_by_lane for root in roots] == [True, True]


def test_plant_without_a_base_has_no_roots() -> None:
    drawn = network("A\n.\n.\n.\nB", "AB")
    assert [root.plant for root in roots_of(drawn, "-A")] == [1]


def test_base_without_any_tip_has_no_roots() -> None:
    drawn = network("A.C\n...\nB.D", "AB", "CD")
    assert [root.plant for root in roots_of(drawn, "A")] == [0]


@pytest.mark.parametrize(("score", "count"), [(0.3, 1), (0.5, 2)])
def test_lateral_on_another_root_shows_its_end_alone(score: float, count: int) -> None:
    # The tip of a lateral is seen at X, in the middle of the primary root.
    drawn = network("\n".join("A.....X.....B"), "AX", "XB")
    roots = roots_of(drawn, "A", {"X": drawn.landmark_at("X", "lateral_tip", score)})
    assert len(roots) == count
    assert drawn.path(roots[0].edges) == "AXB"
    assert [root.hidden for root in roots[1:]] == [True] * (count - 1)
    for root in roots[1:]:
        (edge,) = root.edges
        assert (root.parent, root.order) == (0, 2)
        assert drawn.graph.segments[edge[0]].length == pytest.approx(4, abs=1.1)


@pytest.mark.parametrize(("bends", "count"), [("XabY", 2), ("XcY", 1)])
def test_root_without_an_end_is_a_lateral_from_8_mm(bends: str, count: int) -> None:
    # A bow from X back to Y has no end in the skeleton: 10 mm by a and b, about 5.7 mm by c.
    drawn = network(
        """
        A....
        .....
        X..a.
        .....
        ..c..
        .....
        Y..b.
        .....
        B....
        """,
        *("AX", "XY", "YB", bends),
    )
    assert len(roots_of(drawn, "A")) == count


def test_lateral_that_crosses_its_parent_keeps_its_start() -> None:
    # The lateral leaves at X to the right, comes back at q, crosses the primary root at Y and ends at C. The way from C
    # to the base along the primary root turns less, so that Y to C is first taken for a lateral from Y.
    drawn = network(
        """
        ........A.......
        ................
        ........X.......
        ................
        ..............q.
        ................
        ................
        ................
        ................
        ................
        ........Y.......
        ................
        ................
        ................
        ................
        ................
        ..C.............
        ................
        ................
        ........B.......
        """,
        *("AX", "XY", "XqY", "YC", "YB"),
    )
    primary_xy, lateral_xqy = drawn.graph.segments[1], drawn.graph.segments[2]
    assert primary_xy.length < lateral_xqy.length
    marks = {"B": drawn.landmark_at("B", "primary_tip"), "C": drawn.landmark_at("C", "lateral_tip")}
    primary, lateral = roots_of(drawn, "A", marks)
    assert [number for number, _ in primary.edges] == [0, 1, 4]
    assert [number for number, _ in lateral.edges] == [2, 3]
    assert (lateral.parent, lateral.order) == (0, 2)


NEIGHBOURS_SHARE_2_MM = """
    ......A..
    .........
    ....D....
    .........
    .........
    .........
    .........
    .........
    ......X..
    .........
    ......Y..
    .........
    .........
    .........
    G........
    .........
    ........E
    .........
    .........
    .........
    ......B..
"""
NEIGHBOURS_SHARE_3_MM = NEIGHBOURS_SHARE_2_MM.replace("......Y..", ".........\n    ......Y..")


@pytest.mark.parametrize(
    ("drawing", "lateral", "plant"), [(NEIGHBOURS_SHARE_2_MM, "DXYE", 1), (NEIGHBOURS_SHARE_3_MM, "YE", 0)]
)
def test_lateral_shares_up_to_2_5_mm_with_a_neighbour(drawing: str, lateral: str, plant: int) -> None:
    # A lateral of the plant at D runs along the neighbour's primary root from X to Y. From 2.5 mm on, what follows is
    # taken for a lateral of that root.
    drawn = network(drawing, "AX", "XY", "YB", "DG", "DX", "YE")
    marks = {tip: drawn.landmark_at(tip, "primary_tip") for tip in "BG"}
    roots = roots_of(drawn, "AD", marks)
    assert {(root.plant, drawn.path(root.edges)) for root in roots} == {(0, "AXYB"), (1, "DG"), (plant, lateral)}


def test_roots_stand_after_their_parents() -> None:
    drawn = y_shape()
    roots = roots_of(
        drawn, "A", {"C": drawn.landmark_at("C", "primary_tip"), "B": drawn.landmark_at("B", "lateral_tip")}
    )
    assert all(root.parent is None or root.parent < index for index, root in enumerate(roots))
    assert [root.order for root in roots] == [1, 2]


def assignment_of(drawn: Network) -> RootAssignment:
    turn_costs = TurnCosts(drawn.graph)
    return RootAssignment(drawn.graph, turn_costs, [shortest_path_tree(drawn.graph, turn_costs, drawn.nodes["A"])], {})


def test_architecture_keeps_the_first_owner_of_a_segment() -> None:
    drawn = y_shape()
    assignment = assignment_of(drawn)
    assignment.add_root(TracedRoot(0, drawn.edges("AXB")))
    assignment.add_root(TracedRoot(0, drawn.edges("AXC"), parent=0, order=2))
    owners = {path: assignment.owner_of_segment[drawn.edge(path)[0]] for path in ("AX", "XB", "XC")}
    assert owners == {"AX": 0, "XB": 0, "XC": 1}
    assert assignment.owner_at_node[0, drawn.nodes["X"]] == 0
    assert assignment.owner_at_node[0, drawn.nodes["C"]] == 1
    assert assignment.primary_edges == {0: drawn.edge("AX")}


def test_untold_length_leaves_gaps_and_told_root_out() -> None:
    drawn = network("A....X...P..C", "AX", "X~P", "PC")  # 5 mm, a gap of 4 mm, 3 mm
    assignment = assignment_of(drawn)
    assert assignment.unassigned_length(drawn.edges("AXPC")) == pytest.approx(80)
    assignment.add_root(TracedRoot(0, drawn.edges("AX")))
    assert assignment.unassigned_length(drawn.edges("AXPC")) == pytest.approx(30)
