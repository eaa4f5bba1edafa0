from tests.support.skeleton_drawings import draw_graph
from thale.phenotyping.plants.hidden_laterals import assign_hidden_laterals
from thale.phenotyping.plants.path_search import TipAssignment, TurnCosts, path_to, shortest_path_tree
from thale.phenotyping.plants.root_assignment import RootAssignment, TracedRoot


def roots_with_tip_on_lateral(*segments: str, tip: str) -> tuple[list[TracedRoot], list[str]]:
    """Return the roots of a primary root AXYB with the lateral YFGC, and their paths, for a tip on that lateral."""
    example = draw_graph(
        """
        A.............
        ..............
        X.............
        ..............
        Y.............
        ...F..........
        .....G........
        ........K.....
        ..............
        ...........C..
        B.............
        """,
        *("AX", "XY", "YB", "YF", "FG", "GK", "KC", *segments),
        mm=0.4,
    )
    turn_costs = TurnCosts(example.graph)
    trees = [shortest_path_tree(example.graph, turn_costs, example.nodes["A"])]
    landmarks = {example.nodes[tip]: example.landmark_at(tip, "lateral_tip")}
    assignment = RootAssignment(example.graph, turn_costs, trees, landmarks)
    assignment.add_root(TracedRoot(0, example.edges("AXYB")))
    assignment.add_root(TracedRoot(0, example.edges("YFGKC"), parent=0, order=2))
    node = example.nodes[tip]
    last = example.edge("FG" if tip == "G" else "GK")
    assign_hidden_laterals(assignment, {node: TipAssignment(0, path_to(trees, 0, last))})
    return assignment.roots, [example.path(root.edges) for root in assignment.roots]


def test_lateral_onto_another_root_has_its_visible_part() -> None:
    # The lateral XK grows onto the lateral YC at K and turns back along it to its tip at G, 1.3 mm * 0.4 away.
    roots, paths = roots_with_tip_on_lateral("XF", tip="G")
    assert paths[2] == "XFG"
    assert (roots[2].hidden, roots[2].parent, roots[2].order) == (False, 0, 2)


def test_covered_lateral_has_only_its_end() -> None:
    roots, paths = roots_with_tip_on_lateral(tip="G")
    assert paths[2] == "?G"
    assert (roots[2].hidden, roots[2].parent, roots[2].order) == (True, 1, 3)


def test_visible_part_must_end_within_1_mm_of_tip() -> None:
    roots, _ = roots_with_tip_on_lateral("XF", tip="K")  # F is 5.4 * 0.4 mm from K
    assert roots[2].hidden
