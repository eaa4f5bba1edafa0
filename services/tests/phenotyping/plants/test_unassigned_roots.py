import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.phenotyping.plants.unassigned_roots import UnassignedRoots, find_unassigned_roots, unassigned_flag

CHARACTER_PX = 10.0


def find(example: DrawnGraph, traced: dict[int, str], *bases: str) -> UnassignedRoots:
    """Return the unassigned root of a graph in which each plant has one traced root."""
    roots = [TracedRoot(plant, example.edges(path)) for plant, path in traced.items()]
    return find_unassigned_roots(example.graph, roots, [example.position(base) for base in bases])


def two_plants_with(*segments: str) -> DrawnGraph:
    """Return primary roots A to B and C to D, 8 mm apart, and the letters of other roots."""
    return draw_graph(
        """
        A.......C..............
        .......................
        X.E.....Y.....F........
        .......................
        ...G..........H.......P
        .......................
        .......................
        B.......D.............Q
        """,
        *("AX", "XB", "CY", "YD", *segments),
    )


def test_unassigned_root_is_empty_if_all_is_traced() -> None:
    unassigned = find(two_plants_with(), {0: "AXB", 1: "CYD"}, "A", "C")
    assert unassigned == UnassignedRoots((), 0.0, {})


def test_segment_without_tip_belongs_to_touched_plant() -> None:
    unassigned = find(two_plants_with("YF"), {0: "AXB", 1: "CYD"}, "A", "C")
    assert [flag.code for flag in unassigned.flags] == ["unmarked_root"]
    assert unassigned.total_px == pytest.approx(6 * CHARACTER_PX)
    assert unassigned.length_by_plant == {1: pytest.approx(6 * CHARACTER_PX)}


def test_separate_root_belongs_to_plant_of_its_lane() -> None:
    unassigned = find(two_plants_with("FH"), {0: "AXB", 1: "CYD"}, "A", "C")
    assert unassigned.length_by_plant == {1: pytest.approx(2 * CHARACTER_PX)}


def test_root_far_from_all_plants_belongs_to_none() -> None:
    # P to Q is 14 mm from the nearest base, as a rim is.
    unassigned = find(two_plants_with("PQ"), {0: "AXB", 1: "CYD"}, "A", "C")
    assert unassigned.total_px == pytest.approx(3 * CHARACTER_PX)
    assert unassigned.length_by_plant == {}


def test_short_pieces_have_one_flag_and_count() -> None:
    example = two_plants_with("EG", "FH")  # 2.2 mm and 2 mm, both below 3 mm
    unassigned = find(example, {0: "AXB", 1: "CYD"}, "A", "C")
    assert [flag.code for flag in unassigned.flags] == ["short_roots_unassigned"]
    assert unassigned.total_px == pytest.approx(42.4, abs=0.2)
    assert sum(unassigned.length_by_plant.values()) == pytest.approx(unassigned.total_px)


@pytest.mark.parametrize(("unassigned_px", "is_flagged"), [(0, False), (50, False), (51, True)])
def test_plant_is_flagged_above_5_percent(unassigned_px: float, is_flagged: bool) -> None:
    flag = unassigned_flag(unassigned_px, 1000)
    assert (flag is not None) == is_flagged
    assert flag is None or flag.code == "root_unassigned"


def test_plant_without_traced_root_is_flagged() -> None:
    assert unassigned_flag(20, 0) is not None
