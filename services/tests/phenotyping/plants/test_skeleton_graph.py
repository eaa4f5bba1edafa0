import math

import numpy as np
import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph, drawing_maps, drawing_mask
from thale.phenotyping.plants.skeleton_graph import PointIndex, RootGraph, Segment, build_skeleton_graph, path_cost

LINE = """
    .........
    .........
    ..#####..
    .........
"""
Y_SHAPE = """
    ...............
    .......#.......
    .......#.......
    .......#.......
    .......#.......
    .......#.......
    ......#.#......
    .....#...#.....
    ....#.....#....
    ...#.......#...
    ..#.........#..
    ...............
"""
RING = """
    .........
    ...###...
    ..#...#..
    ..#...#..
    ..#...#..
    ...###...
    .........
"""


def graph_from_drawing(drawing: str, px_per_mm: float = 4.0) -> RootGraph:
    return build_skeleton_graph(drawing_maps(drawing, px_per_mm), drawing_mask(drawing))


def degrees(graph: RootGraph) -> list[int]:
    return sorted(graph.degree(node) for node in range(len(graph.nodes)) if graph.degree(node))


def test_skeleton_graph_is_empty_when_mask_is_empty() -> None:
    graph = graph_from_drawing("......\n......")
    assert (graph.nodes, graph.segments) == ([], {})


def test_skeleton_graph_of_line_is_one_segment() -> None:
    graph = graph_from_drawing(LINE)
    (segment,) = graph.segments.values()
    assert sorted(graph.nodes[node].tolist() for node in graph.ends()) == [[2, 2], [6, 2]]
    assert segment.length == pytest.approx(4, abs=0.01)


def test_skeleton_graph_of_y_has_three_arms_and_one_fork() -> None:
    graph = graph_from_drawing(Y_SHAPE)
    assert degrees(graph) == [1, 1, 1, 3]
    assert sorted(graph.nodes[node].tolist() for node in graph.ends()) == [[2, 10], [7, 1], [12, 10]]
    lengths = sorted(segment.length for segment in graph.segments.values())
    assert lengths == pytest.approx([4, 5 * math.sqrt(2), 5 * math.sqrt(2)], abs=0.3)


def test_skeleton_graph_of_ring_is_one_segment() -> None:
    graph = graph_from_drawing(RING)
    (segment,) = graph.segments.values()
    assert segment.start == segment.end
    assert graph.degree(segment.start) == 2
    assert graph.ends() == []


def test_skeleton_graph_has_no_fork_at_corner() -> None:
    graph = graph_from_drawing(
        """
        ..........
        .######...
        ......#...
        ......#...
        ......#...
        ......#...
        ..........
        """
    )
    assert degrees(graph) == [1, 1]


SKEWED_CROSSING = """
    ...............
    .#...........#.
    ..#.........#..
    ...#.......#...
    ....#.....#....
    .....#...#.....
    ......#.#......
    .......#.......
    .......#.......
    .......#.......
    ......#.#......
    .....#...#.....
    ....#.....#....
    ...#.......#...
    ..#.........#..
    .#...........#.
    ...............
"""
SAME_SIDE_LATERALS = """
    ...............
    .....#.........
    .....#.........
    .....#.........
    .....#.........
    .....#.........
    .....##########
    .....#.........
    .....#.........
    .....#.........
    .....##########
    .....#.........
    .....#.........
    .....#.........
    .....#.........
    ...............
"""


def test_skeleton_graph_merges_two_forks_of_crossing() -> None:
    # Two pixels of shared skeleton: 0.5 mm at 4 px/mm, 1 mm at 2 px/mm.
    assert degrees(graph_from_drawing(SKEWED_CROSSING, px_per_mm=4)) == [1, 1, 1, 1, 4]
    assert degrees(graph_from_drawing(SKEWED_CROSSING, px_per_mm=2)) == [1, 1, 1, 1, 4]


def test_skeleton_graph_retains_forks_of_laterals_on_one_side() -> None:
    assert degrees(graph_from_drawing(SAME_SIDE_LATERALS, px_per_mm=4)) == [1, 1, 1, 1, 3, 3]


def test_skeleton_graph_merges_forks_within_half_a_mm() -> None:
    # The forks are 4 px apart: 0.4 mm at 10 px/mm.
    graph = graph_from_drawing(SAME_SIDE_LATERALS, px_per_mm=10)
    assert degrees(graph) == [1, 1, 1, 1, 4]
    (fork,) = [node for node in range(len(graph.nodes)) if graph.degree(node) == 4]
    assert graph.nodes[fork].tolist() == pytest.approx([5, 8], abs=1)


def line_of_ten() -> DrawnGraph:
    return draw_graph("A.........B", "AB")  # 10 mm, 101 points


def test_split_segment_splits_at_points() -> None:
    example = line_of_ten()
    near, far = example.graph.split_segment(0, [30, 70])
    lengths = [segment.length for segment in example.graph.segments.values()]
    assert lengths == pytest.approx([30, 40, 30])
    assert example.graph.nodes[near].tolist() == pytest.approx([35, 5])
    assert example.graph.nodes[far].tolist() == pytest.approx([75, 5])
    assert example.graph.degree(near) == example.graph.degree(far) == 2


def test_split_segment_returns_end_nodes_when_split_at_ends() -> None:
    example = line_of_ten()
    assert example.graph.split_segment(0, [100, 0]) == [example.nodes["B"], example.nodes["A"]]
    assert list(example.graph.segments) == [0]


def test_split_all_returns_nodes_in_order_of_locations() -> None:
    example = draw_graph(
        """
        A.........B
        ...........
        C.........D
        """,
        *("AB", "CD"),
    )
    nodes = example.graph.split_all([(1, 40), (0, 20), (1, 10)])
    assert [example.graph.nodes[node].tolist() for node in nodes] == pytest.approx(
        [pytest.approx([45, 25]), pytest.approx([25, 5]), pytest.approx([15, 25])]
    )


def test_remove_segment_detaches_it_from_its_nodes() -> None:
    example = draw_graph("A...B...C", "AB", "BC")
    example.graph.remove_segment(example.edge("AB")[0])
    assert [example.graph.degree(example.nodes[letter]) for letter in "ABC"] == [0, 1, 1]
    assert example.graph.ends() == [example.nodes["B"], example.nodes["C"]]


def test_degree_counts_both_ends_of_loop() -> None:
    example = draw_graph(
        """
        A...B.x
        .....y.
        """,
        *("AB", "BxyB"),
    )
    assert example.graph.degree(example.nodes["B"]) == 3
    assert example.graph.ends() == [example.nodes["A"]]


def test_components_separate_parallel_neighbours() -> None:
    example = draw_graph(
        """
        A.C
        ...
        B.D
        """,
        *("AB", "CD"),
    )
    component = {letter: int(example.graph.components()[node]) for letter, node in example.nodes.items()}
    assert component["A"] == component["B"] != component["C"] == component["D"]


def test_points_from_node_start_at_node() -> None:
    example = line_of_ten()
    assert example.graph.points_from_node(0, example.nodes["A"])[0].tolist() == pytest.approx([5, 5])
    assert example.graph.points_from_node(0, example.nodes["B"])[0].tolist() == pytest.approx([105, 5])


def test_add_segment_with_cost_adds_bridge() -> None:
    example = draw_graph("A....B....C", "AB", "B~C")
    visible: Segment = example.graph.segments[example.edge("AB")[0]]
    gap: Segment = example.graph.segments[example.edge("BC")[0]]
    assert (visible.is_bridge, gap.is_bridge) == (False, True)
    assert visible.cost == pytest.approx(0.05)  # 5 mm of certain root
    assert gap.cost == 1.0


@pytest.mark.parametrize(("root", "cost"), [("#", 0.10), ("6", 2.06), (".", 5.0)])
def test_path_cost_rises_as_root_probability_falls(root: str, cost: float) -> None:
    maps = drawing_maps(root * 41, px_per_mm=4)  # 40 px are 10 mm
    assert path_cost(maps, np.array([[float(x), 0.0] for x in range(41)])) == pytest.approx(cost, abs=0.01)


def test_point_index_finds_the_nearest_of_two_roots() -> None:
    example = draw_graph(
        """
        A.........B
        ...........
        C.........D
        """,
        *("AB", "CD"),
    )
    index = PointIndex(example.graph)
    distance, point = index.nearest(np.array([35.0, 22.0]))
    assert distance == pytest.approx(3)
    assert index.locate(point) == (1, 30)


def test_point_index_returns_points_within_reach() -> None:
    example = line_of_ten()
    index = PointIndex(example.graph)
    near = index.points_within(np.array([55.0, 8.0]), 5.0)  # 3 px from the root: 4 px to either side
    assert sorted(index.locate(point)[1] for point in near.tolist()) == list(range(46, 55))


def test_point_index_excludes_bridges() -> None:
    example = draw_graph("A....B....C", "AB", "B~C")
    distance, _ = PointIndex(example.graph).nearest(np.array([80.0, 5.0]))
    assert distance == pytest.approx(25)


def test_point_index_is_infinitely_far_when_graph_is_empty() -> None:
    index = PointIndex(RootGraph(drawing_maps("....")))
    assert index.nearest(np.array([1.0, 0.0])) == (math.inf, -1)
    assert index.points_within(np.array([1.0, 0.0]), 9.0).tolist() == []
