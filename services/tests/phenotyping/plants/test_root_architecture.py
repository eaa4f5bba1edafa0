from collections.abc import Sequence

import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.path_search import ShortestPathTree, TurnCosts, shortest_path_tree
from thale.phenotyping.plants.root_architecture import assign_roots
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.schemas import Landmark


def roots_of(
    example: DrawnGraph, bases: str, tips: dict[str, Landmark] | None = None, lanes: Sequence[float] = ()
) -> list[TracedRoot]:
    """Return the roots of the plants with the given bases; "-" is a plant without a root."""
    turn_costs, ends = TurnCosts(example.graph), example.graph.ends()
    trees: list[ShortestPathTree | None] = [
        None if base == "-" else shortest_path_tree(example.graph, turn_costs, example.nodes[base]) for base in bases
    ]
    tip_landmarks = {example.nodes[letter]: landmark for letter, landmark in (tips or {}).items()}
    return assign_roots(example.graph, turn_costs, trees, ends, tip_landmarks, lanes)


def paths(example: DrawnGraph, roots: list[TracedRoot]) -> list[str]:
    return [example.path(root.edges) for root in roots]


def y_shape() -> DrawnGraph:
    """Return a root that forks at X: the left branch ends 8 mm deep at B, the right branch 7 mm deep at C."""
    return draw_graph(
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


def primary_with_lateral(lateral: str) -> DrawnGraph:
    """Return a primary root of 12 mm from A to B with the lateral of the given row, to the right of X."""
    rows = ["A", *5 * ["."], lateral, *5 * ["."], "B"]
    return draw_graph("\n".join(rows), "AX", "XB", "XC")


def test_assign_roots_makes_single_path_primary() -> None:
    example = draw_graph("A\n.\n.\n.\nB", "AB")
    (root,) = roots_of(example, "A")
    assert example.path(root.edges) == "AB"
    assert (root.plant, root.parent, root.order, root.hidden) == (0, None, 1, False)


def test_primary_is_longest_and_deepest_path() -> None:
    example = y_shape()
    assert paths(example, roots_of(example, "A"))[0] == "AXB"


def test_primary_ends_at_primary_tip_landmark() -> None:
    example = y_shape()
    roots = roots_of(example, "A", {"C": example.landmark_at("C", "primary_tip")})
    assert paths(example, roots) == ["AXC", "XB"]
    assert [(root.parent, root.order) for root in roots] == [(None, 1), (0, 2)]


def test_primary_ends_at_landmark_with_higher_score() -> None:
    example = y_shape()
    tips = {"B": example.landmark_at("B", "primary_tip", 0.3), "C": example.landmark_at("C", "primary_tip", 0.9)}
    assert paths(example, roots_of(example, "A", tips))[0] == "AXC"


@pytest.mark.parametrize(("lateral", "count"), [("X....C", 1), ("X......C", 2)])
def test_lateral_without_landmark_requires_6_mm(lateral: str, count: int) -> None:
    assert len(roots_of(primary_with_lateral(lateral), "A")) == count


def test_lateral_with_landmark_may_have_1_mm() -> None:
    example = primary_with_lateral("XC")
    roots = roots_of(example, "A", {"C": example.landmark_at("C", "lateral_tip")})
    assert paths(example, roots) == ["AXB", "XC"]


def test_lateral_of_a_lateral_has_order_3() -> None:
    example = draw_graph(
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
    roots = roots_of(example, "A")
    assert paths(example, roots) == ["AXB", "XYC", "YD"]
    assert [(root.parent, root.order) for root in roots] == [(None, 1), (0, 2), (1, 3)]


@pytest.mark.parametrize(("lateral", "expected"), [("X......PC", ["AXB"]), ("X...P...C", ["AXB", "XPC"])])
def test_lateral_requires_40_percent_visible_root(lateral: str, expected: list[str]) -> None:
    # Of 4 mm between X and C, 0.5 mm or 2 mm are visible. The rest is a bridge.
    rows = ["A", ".", ".", lateral, ".", ".", "B"]
    example = draw_graph("\n".join(rows), "AX", "XB", "X~P", "PC", mm=0.5)
    tips = {"B": example.landmark_at("B", "primary_tip"), "C": example.landmark_at("C", "lateral_tip")}
    assert paths(example, roots_of(example, "A", tips)) == expected


@pytest.mark.parametrize(("has_landmark", "count"), [(False, 1), (True, 2)])
def test_hypocotyl_above_base_is_not_a_lateral(has_landmark: bool, count: int) -> None:
    # H to A (7 mm) leads from the base up to the shoot.
    example = draw_graph("\n".join("H......A...........B"), "HA", "AB")
    roots = roots_of(example, "A", {"H": example.landmark_at("H", "lateral_tip")} if has_landmark else None)
    assert len(roots) == count
    assert example.path(roots[0].edges) == "AB"


def test_crossing_roots_go_straight() -> None:
    example = draw_graph(
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
    roots = roots_of(example, "AB")
    assert paths(example, roots) == ["AXD", "BXC"]
    assert [root.plant for root in roots] == [0, 1]
    assert [root.ambiguous_at_xy for root in roots] == [None, None]


def parallel_neighbours_that_touch() -> DrawnGraph:
    """Return two roots that merge at X at a flat angle, share 7 mm, and separate at Y towards C and D."""
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


def test_merged_roots_are_ambiguous() -> None:
    example = parallel_neighbours_that_touch()
    tips = {tip: example.landmark_at(tip, "primary_tip") for tip in "CD"}
    roots = roots_of(example, "AB", tips)
    assert [root.plant for root in roots] == [0, 1]
    assert [root.ambiguous_at_xy for root in roots] == [pytest.approx(tuple(example.position("X")))] * 2


def test_merged_roots_are_resolved_by_lanes() -> None:
    example = parallel_neighbours_that_touch()
    tips = {tip: example.landmark_at(tip, "primary_tip") for tip in "CD"}
    roots = roots_of(example, "AB", tips, lanes=[float(example.position("X")[0])])
    assert paths(example, roots) == ["AXYC", "BXYD"]
    assert [root.resolved_by_lane for root in roots] == [True, True]


def test_plant_without_a_base_has_no_roots() -> None:
    example = draw_graph("A\n.\n.\n.\nB", "AB")
    assert [root.plant for root in roots_of(example, "-A")] == [1]


def test_base_without_any_tip_has_no_roots() -> None:
    example = draw_graph("A.C\n...\nB.D", "AB", "CD")
    assert [root.plant for root in roots_of(example, "A")] == [0]


@pytest.mark.parametrize(("score", "count"), [(0.3, 1), (0.5, 2)])
def test_hidden_lateral_has_only_its_end(score: float, count: int) -> None:
    # The tip landmark of a lateral is at X, in the middle of the primary root.
    example = draw_graph("\n".join("A.....X.....B"), "AX", "XB")
    roots = roots_of(example, "A", {"X": example.landmark_at("X", "lateral_tip", score)})
    assert len(roots) == count
    assert example.path(roots[0].edges) == "AXB"
    assert [root.hidden for root in roots[1:]] == [True] * (count - 1)
    for root in roots[1:]:
        (edge,) = root.edges
        assert (root.parent, root.order) == (0, 2)
        assert example.graph.segments[edge[0]].length == pytest.approx(4, abs=1.1)


@pytest.mark.parametrize(("bends", "count"), [("XabY", 2), ("XcY", 1)])
def test_root_without_end_is_lateral_from_8_mm(bends: str, count: int) -> None:
    # An arc from X back to Y has no end in the skeleton. Its length is 10 mm through a and b, about 5.7 mm through c.
    example = draw_graph(
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
    assert len(roots_of(example, "A")) == count


def test_lateral_that_crosses_its_parent_retains_its_start() -> None:
    # The lateral branches at X to the right, turns back at q, crosses the primary root at Y and ends at C. The path
    # from C to the base along the primary root has smaller turns, so that Y to C is first a lateral from Y.
    example = draw_graph(
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
    primary_xy, lateral_xqy = example.graph.segments[1], example.graph.segments[2]
    assert primary_xy.length < lateral_xqy.length
    tips = {"B": example.landmark_at("B", "primary_tip"), "C": example.landmark_at("C", "lateral_tip")}
    primary, lateral = roots_of(example, "A", tips)
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
    ..........E
    .........
    .........
    .........
    ......B..
"""


@pytest.mark.parametrize(("shared_mm", "lateral", "plant"), [(2, "DXYE", 1), (3, "DXYE", 1), (7, "YE", 0)])
def test_lateral_shares_a_few_mm_with_a_neighbour(shared_mm: int, lateral: str, plant: int) -> None:
    # A lateral of the plant at D follows the neighbour's primary root from X to Y. Above 2.5 mm, the rest is a lateral
    # of that root at first, and DX takes it over. After 7 mm, DX is too far away.
    drawing = NEIGHBOURS_SHARE_2_MM.replace("......Y..", ".........\n    " * (shared_mm - 2) + "......Y..")
    example = draw_graph(drawing, "AX", "XY", "YB", "DG", "DX", "YE")
    tips = {tip: example.landmark_at(tip, "primary_tip") for tip in "BG"}
    roots = roots_of(example, "AD", tips)
    assert {(root.plant, example.path(root.edges)) for root in roots} == {(0, "AXYB"), (1, "DG"), (plant, lateral)}


def test_assign_roots_puts_parents_first() -> None:
    example = y_shape()
    roots = roots_of(
        example, "A", {"C": example.landmark_at("C", "primary_tip"), "B": example.landmark_at("B", "lateral_tip")}
    )
    assert all(root.parent is None or root.parent < index for index, root in enumerate(roots))
    assert [root.order for root in roots] == [1, 2]
