import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import approximate_polygon

from thale.phenotyping.plants import polyline


def staircase(x: float, y: float) -> polyline.Points:
    """Return the pixel chain of an 8-connected skeleton for a line from the origin to (x, y)."""
    return np.round(np.column_stack([np.linspace(0, x, int(max(x, y)) + 1), np.linspace(0, y, int(max(x, y)) + 1)]))


@pytest.mark.parametrize("angle_deg", [0, 8, 22.5, 33, 45, 67, 90])
def test_smooth_preserves_line_length_of_pixel_chain(angle_deg: float) -> None:
    x, y = 300 * math.cos(math.radians(angle_deg)), 300 * math.sin(math.radians(angle_deg))
    chain = staircase(x, y)
    assert polyline.length(polyline.smooth(chain)) == pytest.approx(math.dist(chain[0], chain[-1]), rel=0.005)


def test_smooth_preserves_both_ends() -> None:
    chain = staircase(40, 97)
    assert polyline.smooth(chain)[[0, -1]] == pytest.approx(chain[[0, -1]])


def test_single_point_has_no_length_and_no_direction() -> None:
    point = np.array([[3.0, 4.0], [3.0, 4.0]])
    assert polyline.length(polyline.smooth(point)) == 0
    assert polyline.direction(point, 1, 5).tolist() == [0, 0]


def test_extend_to_edge_stops_at_mask_edge_and_limit() -> None:
    mask = np.zeros((20, 100), bool)
    mask[8:13, :50] = True
    extended = polyline.extend_to_edge(np.array([[10.0, 10.0], [45.0, 10.0]]), mask, max_px=20)
    assert extended[-1] == pytest.approx([49, 10], abs=0.5)
    assert polyline.extend_to_edge(np.array([[10.0, 10.0], [45.0, 10.0]]), mask, max_px=2)[-1] == pytest.approx(
        [47, 10]
    )


def test_subsample_preserves_length() -> None:
    curve = np.array([[r * 100, 50 * math.sin(r)] for r in np.linspace(0, 6, 600)])
    thinned = polyline.subsample(curve)
    assert len(thinned) < 200
    assert polyline.length(thinned) == pytest.approx(polyline.length(curve), rel=1e-3)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.floats(0.1, 5))
def test_simplify_equals_skimage(seed: int, count: int, tolerance: float) -> None:
    # Rounding decides between points at equal distances. Points from a continuous distribution avoid such ties.
    points_N2 = np.random.default_rng(seed).normal(0, 5, (count, 2))
    assert polyline.simplify(points_N2, tolerance).tolist() == approximate_polygon(points_N2, tolerance).tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_simplify_accepts_fewer_than_two_points(count: int) -> None:
    assert polyline.simplify(np.ones((count, 2)), 1.0).shape == (count, 2)


@pytest.mark.parametrize("step", [0.3, 1.0, 40.0])
def test_direction_depends_on_the_start_of_a_line_only(step: float) -> None:
    points_N2 = np.random.default_rng(3).normal(0, step, (400, 2)).cumsum(axis=0)
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points_N2, axis=0).T))])
    near, far = (np.array([np.interp(at, arc, axis) for axis in points_N2.T]) for at in (4.8, 20.8))
    expected = (far - near) / np.hypot(*(far - near))
    assert polyline.direction(points_N2, 4.8, 20.8).tolist() == expected.tolist()
