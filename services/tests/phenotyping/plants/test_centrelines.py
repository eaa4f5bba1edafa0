import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.skeleton_drawings import DrawnGraph, draw_graph, drawing_maps
from thale.imaging.geometry import Frame
from thale.phenotyping.plants.centrelines import smooth_centrelines, start_at_base, to_root
from thale.phenotyping.plants.graph_repair import Tips
from thale.phenotyping.plants.polyline import Points, direction, nearest, resample, sample, snap_end
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.schemas import Root

DOWN = "\n".join("A.........B..")
"""A root from A to B, from y = 5 px to y = 105 px at x = 5 px, and 2 mm of agar below it."""


def thick_mask(example: DrawnGraph, bottom_px: int) -> NDArray[np.bool_]:
    """Return a mask that is root in all columns above a row."""
    mask_HW = np.zeros(example.maps.root_HW.shape, bool)
    mask_HW[:bottom_px] = True
    return mask_HW


def line_of(example: DrawnGraph, path: str, tips: Tips, mask_HW: NDArray[np.bool_]) -> Points:
    (line,) = smooth_centrelines(example.graph, [TracedRoot(0, example.edges(path))], tips, mask_HW)
    return line


@pytest.mark.parametrize(("root_ends_px", "line_ends_px"), [(105, 104), (108, 107), (130, 109)])
def test_line_is_extended_to_mask_edge_within_half_a_mm(root_ends_px: int, line_ends_px: int) -> None:
    # The skeleton ends at 105 px, and the line is extended by up to 5 px from 104 px.
    example = draw_graph(DOWN, "AB")
    line = line_of(example, "AB", {}, thick_mask(example, root_ends_px))
    assert line[0].tolist() == pytest.approx([5, 5])
    assert line[-1].tolist() == pytest.approx([5, line_ends_px], abs=1)


@pytest.mark.parametrize(("above_mm", "line_ends_px"), [(0.4, 101), (0.0, 105)])
def test_line_ends_at_tip_landmark(above_mm: float, line_ends_px: int) -> None:
    example = draw_graph(DOWN, "AB")
    tips: Tips = {example.nodes["B"]: example.landmark_at("B", "primary_tip", dy_mm=-above_mm)}
    line = line_of(example, "AB", tips, thick_mask(example, 130))
    assert line[-1].tolist() == pytest.approx([5, line_ends_px], abs=0.5)


def test_line_follows_segments_from_base_to_tip() -> None:
    example = draw_graph("\n".join("A....X....B"), "XA", "XB")  # the first segment runs from X up to A
    line = line_of(example, "AXB", {}, thick_mask(example, 105))
    assert np.diff(line[:, 1]).min() > 0


def y_shape() -> DrawnGraph:
    return draw_graph(
        """
        A.........
        ..........
        X.........
        ..........
        ..........
        ..........
        B.....C...
        """,
        *("AX", "XB", "XC"),
    )


@pytest.mark.parametrize(
    ("gap_px", "start_xy"),
    [
        (0, (5, 25)),
        (9, (5, 19)),  # the lateral falls 2 px for each 3 px to the right, so it left its parent 6 px further up
        (18, (23, 25)),  # 1.8 mm: beyond the maximum of 1.5 mm
    ],
)
def test_lateral_line_continues_straight_to_parent(gap_px: int, start_xy: tuple[int, int]) -> None:
    example = y_shape()
    primary = TracedRoot(0, example.edges("AXB"))
    lateral = TracedRoot(0, example.edges("XC"), parent=0, order=2)
    graph = example.graph
    graph.segments[example.edge("XC")[0]].points += np.array([float(gap_px), 0.0])
    lines = smooth_centrelines(graph, [primary, lateral], {}, thick_mask(example, 65))
    assert lines[1][0].tolist() == pytest.approx(start_xy, abs=1)


def test_lateral_line_along_parent_starts_at_nearest_point() -> None:
    example = y_shape()
    graph = example.graph
    number = graph.add_segment(
        example.nodes["X"], graph.add_node(np.array([7.0, 60.0])), VERTICAL + np.array([2.0, 5.0])
    )
    roots = [TracedRoot(0, example.edges("AXB")), TracedRoot(0, [(number, True)], parent=0, order=2)]
    lines = smooth_centrelines(graph, roots, {}, thick_mask(example, 65))
    assert lines[1][0].tolist() == pytest.approx([5, 25], abs=1)


VERTICAL = np.array([[5.0, float(y)] for y in range(20, 60)])
"""A line downwards from y = 20 px."""


@pytest.mark.parametrize(
    ("base_y", "line_start_y"),
    [
        (12.0, 12),  # 0.8 mm above: the line is extended to the base
        (8.0, 15),  # 1.2 mm above: too far; the line is extended half a millimetre to the edge of the mask
        (28.0, 15),  # below the start of the line: no root starts there
    ],
)
def test_primary_line_starts_at_base_within_1_mm(base_y: float, line_start_y: int) -> None:
    example = draw_graph(".\n" * 6)
    mask_HW = np.ones((60, 10), bool)
    line = start_at_base(VERTICAL, np.array([5.0, base_y]), mask_HW, example.maps)
    assert line[0].tolist() == pytest.approx([5, line_start_y])
    assert line[-1].tolist() == pytest.approx([5, 59])


def root_from_drawing(root: TracedRoot, frame: Frame | None = None) -> Root:
    maps = drawing_maps("\n".join(["#####66666", ".........."]), frame=frame)
    return to_root(np.array([[float(x), 0.0] for x in range(10)]), root, "2.1", "2", maps)


def test_to_root_sets_ids_and_mean_probability() -> None:
    root = root_from_drawing(TracedRoot(1, [], parent=0, order=2))
    assert (root.id, root.parent, root.order, root.flags) == ("2.1", "2", 2, ())
    assert root.confidence == pytest.approx(0.8, abs=0.01)  # five pixels at 100 %, five at 60 %
    assert root.points == ((0.0, 0.0), (9.0, 0.0))
    assert root.length_px == 9


def test_to_root_returns_source_pixels() -> None:
    half = Frame(x0=100, y0=50, source_width=20, source_height=4, width=10, height=2)
    root = root_from_drawing(TracedRoot(0, []), half)
    assert root.points == ((100.5, 50.5), (118.5, 50.5))
    assert root.length_px == 18


@pytest.mark.parametrize(("resolved_by_lane", "code"), [(False, "crossing"), (True, "crossing_by_lane")])
def test_to_root_flags_ambiguous_crossing(resolved_by_lane: bool, code: str) -> None:
    half = Frame(x0=100, y0=50, source_width=20, source_height=4, width=10, height=2)
    (flag,) = root_from_drawing(
        TracedRoot(0, [], ambiguous_at_xy=(4.0, 1.0), resolved_by_lane=resolved_by_lane), half
    ).flags
    assert flag.code == code
    assert flag.at is not None
    assert (flag.at.x, flag.at.y) == (108.5, 52.5)


def test_to_root_flags_hidden_root_at_its_tip() -> None:
    (flag,) = root_from_drawing(TracedRoot(0, [], hidden=True)).flags
    assert flag.code == "lateral_hidden"
    assert flag.at is not None
    assert (flag.at.x, flag.at.y) == (9, 0)


def test_snap_end_cuts_line_at_nearest_point() -> None:
    line = np.array([[0.0, 0.0], [40.0, 0.0]])
    assert snap_end(line, np.array([37.0, 3.0]), max_distance=4)[-1].tolist() == pytest.approx([37, 0], abs=0.3)
    assert snap_end(line, np.array([37.0, 5.0]), max_distance=4)[-1].tolist() == [40, 0]
    assert snap_end(line, np.array([3.0, 0.0]), max_distance=4)[-1].tolist() == [40, 0]  # its other end


def test_nearest_returns_index_and_distance() -> None:
    assert nearest(np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]), np.array([13.0, 4.0])) == (1, 5.0)


def test_direction_skips_hook_at_start() -> None:
    hooked = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 20.0]])
    assert direction(hooked, skip=2, reach=12).tolist() == pytest.approx([0, 1])
    assert direction(hooked, skip=0, reach=2).tolist() == pytest.approx([-1, 0])


def test_resample_includes_both_ends_at_equal_steps() -> None:
    points = resample(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    assert len(points) == 8
    assert [points[0].tolist(), points[-1].tolist()] == [[0, 0], [3, 4]]
    assert np.hypot(*np.diff(points, axis=0).T).max() <= 1.0 + 1e-9


def test_sample_returns_border_pixel_outside_image() -> None:
    maps = drawing_maps("..#\n#..")
    points = np.array([[2.0, 0.0], [9.0, -3.0], [0.4, 0.6], [1.0, 1.0]])
    assert sample(maps.root_HW, points).tolist() == [255, 255, 255, 0]
