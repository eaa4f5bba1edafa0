import numpy as np
import pytest

from tests.support.skeleton_drawings import DrawnGraph, draw_graph
from thale.phenotyping.plants.root_endpoints import RootEndpoints


def endpoints(example: DrawnGraph, tips: str = "") -> RootEndpoints:
    return RootEndpoints(example.graph, [example.nodes[letter] for letter in tips])


def shoot_above(x_mm: float, y_mm: float) -> np.ndarray:
    """Return the pixels (row, column) of a shoot of 1 mm, in drawings of 10 px per mm."""
    rows, columns = np.mgrid[0:10, 0:10]
    return np.stack([rows.ravel() + round(10 * y_mm), columns.ravel() + round(10 * x_mm)], axis=1)


def two_roots() -> DrawnGraph:
    """Return a root of 10 mm from A to B, and one of 4 mm from C to D, 8 mm to its right."""
    rows = ["A.......C", *["."] * 3, "........D", *["."] * 5, "B"]
    return draw_graph("\n".join(rows), "AB", "CD")


def test_lengths_are_totals_of_connected_components() -> None:
    found = endpoints(two_roots())
    assert sorted(found.length_by_component.values()) == pytest.approx([40, 100])  # px
    assert sorted(found.length_of_end) == pytest.approx([40, 40, 100, 100])


def test_ends_exclude_marked_tips() -> None:
    example = two_roots()
    found = endpoints(example, tips="BD")
    assert sorted(map(tuple, found.ends_N2.tolist())) == sorted(tuple(example.position(letter)) for letter in "AC")
    assert found.is_end(example.position("B"), 1.0)  # a marked tip is an end of the drawing all the same


def test_nearest_returns_point_distance_and_component() -> None:
    example = two_roots()
    found = endpoints(example)
    point_xy, distance, component = found.nearest(example.position("C")[None] + [30.0, 0.0])
    assert point_xy is not None
    assert point_xy.tolist() == example.position("C").tolist()
    assert distance == pytest.approx(30)
    assert component == found.components[example.nodes["D"]]


def test_root_below_shoot_needs_8_mm_of_root() -> None:
    example = two_roots()
    found = endpoints(example)
    above_long, above_short = shoot_above(0, -3), shoot_above(8, -3)
    point_xy = found.find_root_below(above_long, [], example.maps)
    assert point_xy is not None
    assert point_xy.tolist() == example.position("A").tolist()
    nearest = found.find_root_below(above_short, [], example.maps)
    assert nearest is None or nearest.tolist() == example.position("A").tolist()


def test_root_below_shoot_excludes_occupied_roots() -> None:
    example = two_roots()
    assert endpoints(example).find_root_below(shoot_above(0, -3), [example.position("A")], example.maps) is None


def test_endpoints_of_empty_graph_find_nothing() -> None:
    example = draw_graph("A....B")
    found = RootEndpoints(example.graph, [])
    assert found.nearest(np.zeros((1, 2))) == (None, np.inf, -1)
    assert found.find_root_below(shoot_above(0, 0), [], example.maps) is None
    assert not found.is_end(np.zeros(2), 100.0)
