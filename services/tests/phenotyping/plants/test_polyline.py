import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import approximate_polygon

from thale.phenotyping.plants import polyline


def staircase(x: float, y: float) -> polyline.Points:
    """The pixel chain that an 8-connected skeleton makes of a line from the origin to (x, y)."""
    return np.round(np.column_stack([np.linspace(0, x, int(max(x, y)) + 1), np.linspace(0, y, int(max(x, y)) + 1)]))


@pytest.mark.parametrize("angle_deg", [0, 8, 22.5, 33, 45, 67, 90])
def test_a_smoothed_pixel_chain_is_as_long_as_the_line_it_stands_for(angle_deg: float) -> None:
    x, y = 300 * math.cos(math.radians(angle_deg)), 300 * math.sin(math.radians(angle_deg))
    chain = staircase(x, y)
    assert polyline.length(polyline.smooth(chain)) == pytest.approx(math.dist(chain[0], chain[-1]), rel=0.005)


def test_smoothing_keeps_both_ends_where_they_are() -> None:
    chain = staircase(40, 97)
    assert polyline.smooth(chain)[[0, -1]] == pytest.approx(chain[[0, -1]])


def test_a_single_place_has_no_length_and_no_direction() -> None:
    place = np.array([[3.0, 4.0], [3.0, 4.0]])
    assert polyline.length(polyline.smooth(place)) == 0
    assert polyline.direction(place, 1, 5).tolist() == [0, 0]


def test_a_line_is_carried_on_to_the_edge_of_the_mask_and_no_further() -> None:
    mask = np.zeros((20, 100), bool)
    mask[8:13, :50] = True
    extended = polyline.extend_to_edge(np.array([[10.0, 10.0], [45.0, 10.0]]), mask, max_px=20)
    assert extended[-1] == pytest.approx([49, 10], abs=0.5)
    assert polyline.extend_to_edge(np.array([[10.0, 10.0], [45.0, 10.0]]), mask, max_px=2)[-1] == pytest.approx(
        [47, 10]
    )


def test_thinning_out_moves_no_line_by_a_tenth_of_a_pixel() -> None:
    curve = np.array([[r * 100, 50 * math.sin(r)] for r in np.linspace(0, 6, 600)])
    thinned = polyline.subsample(curve)
    assert len(thinned) < 200
    assert polyline.length(thinned) == pytest.approx(polyline.length(curve), rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.floats(0.1, 5))
def test_simplifying_keeps_the_points_that_skimage_keeps(seed: int, count: int, tolerance: float) -> None:
    # Of two points that lie equally far, rounding decides: places drawn from a continuum do not lie so.
    points_N2 = np.random.default_rng(seed).normal(0, 5, (count, 2))
    assert polyline.simplify(points_N2, tolerance).tolist() == approximate_polygon(points_N2, tolerance).tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_what_is_hardly_a_line_stays_as_it_is(count: int) -> None:
    assert polyline.simplify(np.ones((count, 2)), 1.0).shape == (count, 2)
