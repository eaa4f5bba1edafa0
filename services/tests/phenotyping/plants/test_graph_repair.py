import numpy as np
import pytest

from tests.support.skeleton_drawings import Network, network
from thale.phenotyping.plants.graph_repair import Tips, attach_bases, attach_tips, bridge_gaps, prune_spurs
from thale.phenotyping.plants.plant_detection import PlantCandidate
from thale.phenotyping.plants.polyline import Points
from thale.schemas import LandmarkKind


def letters_of(drawn: Network, tips: Tips) -> dict[str, str]:
    """Return the kind of landmark at each marked node; "?" is a node that the drawing does not name."""
    names = {node: letter for letter, node in drawn.nodes.items()}
    return {names.get(node, "?"): landmark.kind for node, landmark in tips.items()}


def straight_root() -> Network:
    """A root of 12 mm from A down to B."""
    return network("\n".join("A...........B"), "AB")


@pytest.mark.parametrize(("below_mm", "marked"), [(0.7, True), (0.9, False)])
def test_mark_tips_reaches_an_end_within_0_8_mm(below_mm: float, marked: bool) -> None:
    drawn = straight_root()
    tips = attach_tips(drawn.graph, [drawn.landmark_at("B", "primary_tip", dy_mm=below_mm)])
    assert letters_of(drawn, tips) == ({"B": "primary_tip"} if marked else {})


def test_mark_tips_ignores_scores_below_0_2() -> None:
    drawn = straight_root()
    assert attach_tips(drawn.graph, [drawn.landmark_at("B", "primary_tip", score=0.19)]) == {}
    assert len(attach_tips(drawn.graph, [drawn.landmark_at("B", "primary_tip", score=0.2)])) == 1


def test_mark_tips_ignores_bases() -> None:
    drawn = straight_root()
    assert attach_tips(drawn.graph, [drawn.landmark_at("A", "root_base")]) == {}


def test_mark_tips_pairs_the_nearest_landmark_with_an_end() -> None:
    drawn = straight_root()
    near, far = (drawn.landmark_at("B", "lateral_tip", score, dy_mm=dy) for score, dy in ((0.5, 0.1), (0.9, 0.6)))
    assert attach_tips(drawn.graph, [far, near])[drawn.nodes["B"]] == near


@pytest.mark.parametrize(
    ("kind", "score", "cut"), [("lateral_tip", 0.3, True), ("lateral_tip", 0.25, False), ("primary_tip", 0.9, False)]
)
def test_mark_tips_cuts_a_root_at_a_sure_lateral_tip(kind: LandmarkKind, score: float, cut: bool) -> None:
    drawn = straight_root()
    tips = attach_tips(drawn.graph, [drawn.landmark_at("A", kind, score, dy_mm=5)])
    assert letters_of(drawn, tips) == ({"?": "lateral_tip"} if cut else {})
    lengths = [segment.length for segment in drawn.graph.segments.values()]
    assert lengths == pytest.approx([50, 70] if cut else [120])


def stub_beside_root() -> Network:
    """A root from A to B with 1 mm of root beside it that the skeleton does not show, and a neighbour C to D."""
    return network(
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


def test_mark_tips_grows_a_stub_to_a_tip_beside_the_root() -> None:
    drawn = stub_beside_root()
    landmark = drawn.landmark_at("A", "lateral_tip", dx_mm=1.2, dy_mm=3)
    tips = attach_tips(drawn.graph, [landmark])
    (node,) = tips
    assert drawn.graph.nodes[node].tolist() == pytest.approx([landmark.x, landmark.y])
    assert sorted(segment.length for segment in drawn.graph.segments.values()) == pytest.approx([12, 30, 30, 60])


def test_mark_tips_grows_no_stub_across_agar() -> None:
    drawn = stub_beside_root()
    assert attach_tips(drawn.graph, [drawn.landmark_at("C", "lateral_tip", dx_mm=-1.2, dy_mm=3)]) == {}


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


@pytest.mark.parametrize(("drawing", "kept"), [(HALF_MM_SPUR, False), (LATERAL_OF_1_5_MM, True)])
def test_prune_spurs_removes_branches_below_1_mm(drawing: str, kept: bool) -> None:
    drawn = network(drawing, "AX", "XB", "XC", mm=0.5)
    prune_spurs(drawn.graph, {})
    assert drawn.has_segment("XC") == kept
    assert drawn.has_segment("AX")
    assert drawn.has_segment("XB")


def test_prune_spurs_keeps_a_branch_with_a_marked_tip() -> None:
    drawn = network(HALF_MM_SPUR, "AX", "XB", "XC", mm=0.5)
    prune_spurs(drawn.graph, {drawn.nodes["C"]: drawn.landmark_at("C", "lateral_tip")})
    assert drawn.has_segment("XC")


def test_prune_spurs_keeps_short_pieces_that_are_no_branch() -> None:
    # X to Y, half a millimetre, lies between two forks; E to F is a speck of its own.
    drawn = network(
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
    prune_spurs(drawn.graph, {})
    assert drawn.has_segment("XY")
    assert drawn.has_segment("EF")


def test_prune_spurs_removes_a_loop_below_1_mm() -> None:
    drawn = network(
        """
        .....x.....
        A....X....B
        """,
        *("AX", "XB", "XxX"),
        mm=0.4,
    )
    prune_spurs(drawn.graph, {})
    assert len(drawn.graph.segments) == 2
    assert drawn.graph.degree(drawn.nodes["X"]) == 2


@pytest.mark.parametrize(("drawing", "linked"), [("A.....B.C.....D", True), ("A.....B..C.....D", False)])
def test_link_gaps_bridges_up_to_2_5_mm(drawing: str, linked: bool) -> None:
    drawn = network(drawing, "AB", "CD")
    bridge_gaps(drawn.graph, {})
    assert drawn.has_segment("BC") == linked
    assert set(drawn.bridges()) == ({"BC", "CB"} if linked else set())


def test_link_gaps_charges_more_past_a_marked_tip() -> None:
    drawn = network("A.....B.C.....D", "AB", "CD")
    bridge_gaps(drawn.graph, {drawn.nodes["B"]: drawn.landmark_at("B", "primary_tip")})
    cost = {drawn.path([(n, True)]): s.cost for n, s in drawn.graph.segments.items() if s.is_bridge}
    # 0.6 for a link and 0.6 for each of its 2 mm; 2.0 more from a tip.
    assert cost == {"BC": pytest.approx(3.8, abs=0.02), "CB": pytest.approx(1.8, abs=0.02)}


def test_link_gaps_does_not_turn_back_to_a_parallel_neighbour() -> None:
    drawn = network(
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
    # B looks down and C to D lies 2 mm to its right: a turn of at least 37 degrees is needed.
    bridge_gaps(drawn.graph, {})
    (bridge,) = [segment for segment in drawn.graph.segments.values() if segment.is_bridge]
    assert bridge.start == drawn.nodes["B"]
    assert drawn.graph.nodes[bridge.end][1] > drawn.position("B")[1]


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


@pytest.mark.parametrize(("drawing", "linked"), [(ENDS_1_MM_ABOVE_ITSELF, True), (ENDS_2_MM_ABOVE_ITSELF, False)])
def test_link_gaps_closes_1_5_mm_within_one_piece(drawing: str, linked: bool) -> None:
    drawn = network(drawing, "AX", "XB", "BxyE")
    bridge_gaps(drawn.graph, {})
    assert drawn.has_segment("EX") == linked
    assert bool(drawn.bridges()) == linked


def test_link_gaps_never_links_a_tip_to_its_own_piece() -> None:
    drawn = network(ENDS_1_MM_ABOVE_ITSELF, "AX", "XB", "BxyE")
    bridge_gaps(drawn.graph, {drawn.nodes["E"]: drawn.landmark_at("E", "lateral_tip")})
    assert drawn.bridges() == []


def bases_of(drawn: Network, *bases_xy: Points | None, tips: Tips | None = None) -> list[int | None]:
    return attach_bases(drawn.graph, [PlantCandidate(base_xy) for base_xy in bases_xy], tips or {})


def test_attach_bases_takes_the_end_near_the_base() -> None:
    drawn = straight_root()
    assert bases_of(drawn, drawn.position("A") + np.array([3, -10])) == [drawn.nodes["A"]]


def test_attach_bases_cuts_the_root_at_a_base_in_its_middle() -> None:
    drawn = straight_root()
    (node,) = bases_of(drawn, drawn.position("A") + np.array([4, 50]))
    assert node is not None
    assert drawn.graph.nodes[node].tolist() == pytest.approx([5, 55])
    assert [segment.length for segment in drawn.graph.segments.values()] == pytest.approx([50, 70])


@pytest.mark.parametrize(("aside_mm", "attached"), [(2.9, True), (3.1, False)])
def test_attach_bases_reaches_3_mm(aside_mm: float, attached: bool) -> None:
    drawn = straight_root()
    (node,) = bases_of(drawn, drawn.position("A") + np.array([aside_mm * 10, 50]))
    assert (node is not None) == attached


def test_attach_bases_returns_none_without_a_base() -> None:
    drawn = straight_root()
    assert bases_of(drawn, None, drawn.position("A")) == [None, drawn.nodes["A"]]


def test_attach_bases_does_not_begin_at_a_marked_tip() -> None:
    drawn = straight_root()
    tips: Tips = {drawn.nodes["A"]: drawn.landmark_at("A", "lateral_tip")}
    (node,) = bases_of(drawn, drawn.position("A") + np.array([0, 5]), tips=tips)
    assert node is not None
    assert drawn.graph.nodes[node].tolist() == pytest.approx([5, 10])


def test_attach_bases_links_roots_hidden_under_one_leaf() -> None:
    drawn = network(
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
    assert bases_of(drawn, drawn.position("A") + np.array([2, -3])) == [drawn.nodes["A"]]
    assert drawn.bridges() == ["AC"]
