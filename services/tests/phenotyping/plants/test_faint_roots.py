import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from tests.support.skeleton_drawings import drawing_maps, drawing_mask
from thale.phenotyping.plants.faint_roots import _RootSearch, add_faint_roots
from thale.schemas import Landmark, LandmarkKind

# At 2 px/mm, the minimum component has 8 px (2 square millimetres), and 5 mm of empty agar are 10 px.
PX_PER_MM = 2.0


def landmark(x: float, y: float, kind: LandmarkKind = "lateral_tip", score: float = 0.9) -> Landmark:
    return Landmark(kind=kind, x=x, y=y, score=score)


def added_pixels(drawing: str, *landmarks: Landmark) -> list[tuple[int, int]]:
    """Return the pixels (x, y) that faint roots add to the mask of a drawing."""
    mask_HW = drawing_mask(drawing)
    extended_HW: NDArray[np.bool_] = add_faint_roots(mask_HW, drawing_maps(drawing, PX_PER_MM), landmarks)
    assert not (mask_HW & ~extended_HW).any()
    return [(x, y) for y, x in np.argwhere(extended_HW & ~mask_HW).tolist()]


GAP_OF_3_PX = """
    ............
    ##########..
    ............
    ............
    ............
    ............
"""
FAINT_BOW = """
    ###############
    ..2............
    ..2............
    ..2............
    ..2............
    ...2...........
    ....2222.......
    ...............
"""


def test_faint_root_crosses_agar_on_shortest_path() -> None:
    assert added_pixels(GAP_OF_3_PX, landmark(4, 5)) == [(4, 2), (4, 3), (4, 4), (4, 5)]


def test_faint_root_is_correct_far_from_origin() -> None:
    drawing = "\n".join([*["." * 40] * 20, "." * 25 + "#" * 15, *["." * 40] * 4])
    assert added_pixels(drawing, landmark(32, 23)) == [(32, 21), (32, 22), (32, 23)]


def test_faint_root_follows_a_ridge_around_a_bend() -> None:
    # The straight path up from the tip at (7, 6) is 6 px; the faint ridge is 10 px long and more likely.
    pixels = added_pixels(FAINT_BOW, landmark(7, 6))
    assert (2, 3) in pixels
    assert (7, 3) not in pixels


@pytest.mark.parametrize(("agar_px", "count"), [(8, 8), (12, 0)])
def test_faint_root_stops_at_5_mm_of_empty_agar(agar_px: int, count: int) -> None:
    drawing = "\n".join(["##########", *["."] * agar_px])
    assert len(added_pixels(drawing, landmark(4, agar_px))) == count


def test_faint_root_requires_component_of_2_square_mm() -> None:
    assert added_pixels("\n".join(["#######..", *["........."] * 3]), landmark(3, 3)) == []
    assert added_pixels("\n".join(["########.", *["........."] * 3]), landmark(3, 3)) == [(3, 1), (3, 2), (3, 3)]


@pytest.mark.parametrize(("score", "count"), [(0.45, 0), (0.5, 4)])
def test_faint_root_requires_reliable_base(score: float, count: int) -> None:
    assert len(added_pixels(GAP_OF_3_PX, landmark(4, 5, "root_base", score))) == count


def test_faint_root_joins_earlier_faint_root() -> None:
    # The second tip is 2 px from the path of the first tip and 4 px below the root.
    pixels = added_pixels(GAP_OF_3_PX, landmark(4, 5, score=0.9), landmark(6, 5, score=0.5))
    assert pixels == [(4, 2), (4, 3), (4, 4), (4, 5), (5, 5), (6, 5)]


@pytest.mark.parametrize(("x", "y"), [(4, 1), (4, -3), (30, 5)])
def test_faint_root_adds_nothing_on_root_or_outside_image(x: float, y: float) -> None:
    assert added_pixels(GAP_OF_3_PX, landmark(x, y)) == []


def test_faint_root_adds_nothing_to_an_empty_mask() -> None:
    assert added_pixels("......\n......", landmark(2, 1)) == []
    assert added_pixels(GAP_OF_3_PX) == []


@pytest.mark.parametrize("seed", range(20))
def test_search_finds_the_path_of_skimage_to_all_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost_HW = rng.uniform(0.02, 1.0, (30, 40)) / PX_PER_MM
    reached_HW = np.zeros((30, 40), bool)
    reached_HW[rng.integers(0, 30), 12:] = True
    start_rc, ends_rc = (int(rng.integers(30)), 0), np.argwhere(reached_HW)
    peer = MCP_Geometric(cost_HW)
    total_HW, _ = peer.find_costs([start_rc], ends_rc, find_all_ends=False)
    end_rc = ends_rc[int(np.argmin(total_HW[tuple(ends_rc.T)]))]
    is_too_far = total_HW[tuple(end_rc)] > 5.0
    expected = [] if is_too_far else [list(pixel) for pixel in peer.traceback(end_rc)]
    assert _RootSearch(cost_HW, reached_HW).find_path(start_rc).tolist() == expected
