import numpy as np
import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.graph_repair import Tips, attach_bases, attach_tips, bridge_gaps, prune_spurs
from thale.phenotyping.plants.plant_detection import PlantCandidate
from thale.phenotyping.plants.polyline import Points
from thale.schemas import LandmarkKind


def letters_of(example: DrawnGraph, tips: Tips) -> dict[str, str]:
    """Return the kind of landmark at each node with one; "?" is a node without a letter in the drawing."""
    names = {node: letter for letter, node in example.nodes.items()}
    return {names.get(node, "?"): landmark.kind for node, landmark in tips.items()}


def straight_root() -> DrawnGraph:
    """Return a root of 12 mm from A down to B."""
    return draw_graph("\n".join("A...........B"), "AB")


@pytest.mark.parametrize(("below_mm", "is_attached"), [(0.7, True), (0.9, False)])
def test_attach_tips_reaches_end_within_0_8_mm(below_mm: float, is_attached: bool) -> None:
    example = straight_root()
    tips = attach_tips(example.graph, [example.landmark_at("B", "primary_tip", dy_mm=below_mm)])
    assert letters_of(example, tips) == ({"B": "primary_tip"} if is_attached else {})


def test_attach_tips_ignores_scores_below_0_2() -> None:
    example = straight_root()
    assert attach_tips(example.graph, [example.landmark_at("B", "primary_tip", score=0.19)]) == {}
    assert len(attach_tips(example.graph, [example.landmark_at("B", "primary_tip", score=0.2)])) == 1


def test_attach_tips_ignores_bases() -> None:
    example = straight_root()
    assert attach_tips(example.graph, [example.landmark_at("A", "root_base")]) == {}


def test_attach_tips_pairs_nearest_landmark_with_end() -> None:
    example = straight_root()
    near, far = (example.landmark_at("B", "lateral_tip", score, dy_mm=dy) for score, dy in ((0.5, 0.1), (0.9, 0.6)))
    assert attach_tips(example.graph, [far, near])[example.nodes["B"]] == near


@pytest.mark.parametrize(
    ("kind", "score", "is_split"),
    [("lateral_tip", 0.3, True), ("lateral_tip", 0.25, False), ("primary_tip", 0.9, False)],
)
def test_attach_tips_splits_root_at_reliable_lateral_tip(kind: LandmarkKind, score: float, is_split: bool) -> None:
    example = straight_root()
    tips = attach_tips(example.graph, [example.landmark_at("A", kind, score, dy_mm=5)])
    assert letters_of(example, tips) == ({"?": "lateral_tip"} if is_split else {})
    lengths = [segment.length for segment in example.graph.segments.values()]
    assert lengths == pytest.approx([50, 70] if is_split else [120])


@pytest.mark.parametrize(("score", "dx_mm", "is_attached"), [(0.3, 0.7, True), (0.25, 0, False), (0.9, 0.9, False)])
def test_attach_tips_finds_primary_tip_at_neighbour(score: float, dx_mm: float, is_attached: bool) -> None:
    # The primary root of the plant at C ends at X, on the primary root of the plant at A.
    example = draw_graph(
        """
        A...C
        .....
        .....
        X....
        .....
        B....
        """,
        *("AX", "XB", "CX"),
    )
    tips = attach_tips(example.graph, [example.landmark_at("X", "primary_tip", score, dx_mm=dx_mm)])
    assert letters_of(example, tips) == ({"X": "primary_tip"} if is_attached else {})


def stub_next_to_root() -> DrawnGraph:
    """Return a root from A to B with a lateral of 1 mm without a skeleton, and a neighbour from C to D."""
    return draw_graph(
        """
        A....C
        ......
        ......
        ##....
        ......
        ......
        B....D
        """,
        *("AB", "CD"),
    )


def test_attach_tips_adds_stub_to_tip_next_to_root() -> None:
    example = stub_next_to_root()
    landmark = example.landmark_at("A", "lateral_tip", dx_mm=1.2, dy_mm=3)
    tips = attach_tips(example.graph, [landmark])
    (node,) = tips
    assert example.graph.nodes[node].tolist() == pytest.approx([landmark.x, landmark.y])
    assert sorted(segment.length for segment in example.graph.segments.values()) == pytest.approx([12, 30, 30, 60])


def test_attach_tips_adds_no_stub_across_agar() -> None:
    example = stub_next_to_root()
    assert attach_tips(example.graph, [example.landmark_at("C", "lateral_tip", dx_mm=-1.2, dy_mm=3)]) == {}


HALF_MM_SPUR = """
    A...
    ....
    ....
    XC..
    ....
    ....
    B...
"""
LATERAL_OF_1_5_MM = """
    A...
    ....
    ....
    X..C
    ....
    ....
    B...
"""


@pytest.mark.parametrize(("drawing", "is_retained"), [(HALF_MM_SPUR, False), (LATERAL_OF_1_5_MM, True)])
def test_prune_spurs_removes_branches_below_1_mm(drawing: str, is_retained: bool) -> None:
    example = draw_graph(drawing, "AX", "XB", "XC", mm=0.5)
    prune_spurs(example.graph, {})
    assert example.has_segment("XC") == is_retained
    assert example.has_segment("AX")
    assert example.has_segment("XB")


def test_prune_spurs_retains_branch_with_tip_landmark() -> None:
    example = draw_graph(HALF_MM_SPUR, "AX", "XB", "XC", mm=0.5)
    prune_spurs(example.graph, {example.nodes["C"]: example.landmark_at("C", "lateral_tip")})
    assert example.has_segment("XC")


@pytest.mark.parametrize(("gap", "is_retained"), [("..", True), (".....", False)])
def test_prune_spurs_retains_side_of_gap(gap: str, is_retained: bool) -> None:
    # The root from A to B has a gap of 1.5 or 3 mm just below its lateral at X. One character is 0.5 mm.
    column = ["A", "..", "X....L", "E", *gap, "F", "..", "..", "B"]
    example = draw_graph("\n".join(column), "AX", "XL", "XE", "FB", mm=0.5)
    prune_spurs(example.graph, {})
    assert example.has_segment("XE") == is_retained
    bridge_gaps(example.graph, {})
    assert ("EF" in example.bridges() or "FE" in example.bridges()) == is_retained


def test_prune_spurs_removes_branch_that_points_past_an_end() -> None:
    # E points down. The root from F to B starts 1 mm to the right, and leads down as well.
    example = draw_graph("A....\n.....\nX....L\nE.F..\n.....\n.....\n..B..", "AX", "XL", "XE", "FB", mm=0.5)
    prune_spurs(example.graph, {})
    assert not example.has_segment("XE")


def test_prune_spurs_retains_short_segments_between_forks() -> None:
    # X to Y (half a millimetre) connects two forks. E to F is a separate component.
    example = draw_graph(
        """
        A...C...
        ........
        ..X...EF
        ..Y.....
        ........
        B...D...
        """,
        *("AX", "CX", "XY", "YB", "YD", "EF"),
        mm=0.5,
    )
    prune_spurs(example.graph, {})
    assert example.has_segment("XY")
    assert example.has_segment("EF")


def test_prune_spurs_removes_loop_below_1_mm() -> None:
    example = draw_graph(
        """
        .....x.....
        A....X....B
        """,
        *("AX", "XB", "XxX"),
        mm=0.4,
    )
    prune_spurs(example.graph, {})
    assert len(example.graph.segments) == 2
    assert example.graph.degree(example.nodes["X"]) == 2


@pytest.mark.parametrize(("drawing", "is_bridged"), [("A.....B.C.....D", True), ("A.....B..C.....D", False)])
def test_bridge_gaps_spans_up_to_2_5_mm(drawing: str, is_bridged: bool) -> None:
    example = draw_graph(drawing, "AB", "CD")
    bridge_gaps(example.graph, {})
    assert example.has_segment("BC") == is_bridged
    assert set(example.bridges()) == ({"BC", "CB"} if is_bridged else set())


def test_bridge_gaps_costs_more_past_tip_landmark() -> None:
    example = draw_graph("A.....B.C.....D", "AB", "CD")
    bridge_gaps(example.graph, {example.nodes["B"]: example.landmark_at("B", "primary_tip")})
    cost = {example.path([(n, True)]): s.cost for n, s in example.graph.segments.items() if s.is_bridge}
    # 0.6 per bridge and 0.6 for each of its 2 mm; 2.0 more from a tip.
    assert cost == {"BC": pytest.approx(3.8, abs=0.02), "CB": pytest.approx(1.8, abs=0.02)}


def test_bridge_gaps_does_not_turn_back_to_parallel_neighbour() -> None:
    example = draw_graph(
        """
        A.C
        ...
        ...
        ...
        B..
        ...
        ...
        ..D
        """,
        *("AB", "CD"),
    )
    # B points down, and the root from C to D is 2 mm to its right: the minimum turn is 37 degrees.
    bridge_gaps(example.graph, {})
    (bridge,) = [segment for segment in example.graph.segments.values() if segment.is_bridge]
    assert bridge.start == example.nodes["B"]
    assert example.graph.nodes[bridge.end][1] > example.position("B")[1]


ENDS_1_MM_ABOVE_ITSELF = """
    ....y...x
    .........
    ....E....
    A...X...B
"""
ENDS_2_MM_ABOVE_ITSELF = """
    ....y...x
    .........
    ....E....
    .........
    A...X...B
"""


@pytest.mark.parametrize(("drawing", "is_bridged"), [(ENDS_1_MM_ABOVE_ITSELF, True), (ENDS_2_MM_ABOVE_ITSELF, False)])
def test_bridge_gaps_spans_1_5_mm_within_one_component(drawing: str, is_bridged: bool) -> None:
    example = draw_graph(drawing, "AX", "XB", "BxyE")
    bridge_gaps(example.graph, {})
    assert example.has_segment("EX") == is_bridged
    assert bool(example.bridges()) == is_bridged


def test_bridge_gaps_never_joins_tip_to_its_own_component() -> None:
    example = draw_graph(ENDS_1_MM_ABOVE_ITSELF, "AX", "XB", "BxyE")
    bridge_gaps(example.graph, {example.nodes["E"]: example.landmark_at("E", "lateral_tip")})
    assert example.bridges() == []


def bases_of(example: DrawnGraph, *bases_xy: Points | None, tips: Tips | None = None) -> list[int | None]:
    return attach_bases(example.graph, [PlantCandidate(base_xy) for base_xy in bases_xy], tips or {})


def test_attach_bases_uses_end_near_base() -> None:
    example = straight_root()
    assert bases_of(example, example.position("A") + np.array([3, -10])) == [example.nodes["A"]]


def test_attach_bases_splits_root_at_base_in_its_middle() -> None:
    example = straight_root()
    (node,) = bases_of(example, example.position("A") + np.array([4, 50]))
    assert node is not None
    assert example.graph.nodes[node].tolist() == pytest.approx([5, 55])
    assert [segment.length for segment in example.graph.segments.values()] == pytest.approx([50, 70])


@pytest.mark.parametrize(("aside_mm", "is_attached"), [(2.9, True), (3.1, False)])
def test_attach_bases_reaches_3_mm(aside_mm: float, is_attached: bool) -> None:
    example = straight_root()
    (node,) = bases_of(example, example.position("A") + np.array([aside_mm * 10, 50]))
    assert (node is not None) == is_attached


def test_attach_bases_returns_none_without_a_base() -> None:
    example = straight_root()
    assert bases_of(example, None, example.position("A")) == [None, example.nodes["A"]]


def test_attach_bases_does_not_use_end_with_tip_landmark() -> None:
    example = straight_root()
    tips: Tips = {example.nodes["A"]: example.landmark_at("A", "lateral_tip")}
    (node,) = bases_of(example, example.position("A") + np.array([0, 5]), tips=tips)
    assert node is not None
    assert example.graph.nodes[node].tolist() == pytest.approx([5, 10])


def test_attach_bases_bridges_roots_hidden_under_one_leaf() -> None:
    example = draw_graph(
        """
        @@@@..........
        A..C.........E
        ..............
        ..............
        ..............
        B..D.........F
        """,
        *("AB", "CD", "EF"),
    )
    assert bases_of(example, example.position("A") + np.array([2, -3])) == [example.nodes["A"]]
    assert example.bridges() == ["AC"]
