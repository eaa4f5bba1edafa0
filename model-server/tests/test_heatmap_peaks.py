from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from thale_models.heatmap_peaks import Peak, PeakFinder
from thale_models.tiled_inference import OutputBand


def heat(height: int, width: int, *tips: tuple[float, float, float], sigma: float = 2.0) -> NDArray[np.float32]:
    """Draw Gaussians at (x, y, height) on one heatmap, 1HW."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.zeros((height, width))
    for x, y, top in tips:
        picture = np.maximum(picture, top * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)))
    return picture[None].astype(np.float32)


def find(heat_CHW: NDArray[np.float32], cuts: tuple[int, ...] = (), **options: float) -> list[Peak]:
    finder = PeakFinder(**{"planes": len(heat_CHW), "radius": 4, "threshold": 0.3, "limit": 100, **options})
    edges = [0, *cuts, heat_CHW.shape[1]]
    return finder.collect(OutputBand(top, heat_CHW[:, top:end]) for top, end in pairwise(edges))


def test_a_gaussian_is_found_between_pixels_to_a_hundredth() -> None:
    peak = find(heat(40, 50, (20.3, 15.8, 0.9)))[0]
    assert (peak.x, peak.y) == (pytest.approx(20.3, abs=0.01), pytest.approx(15.8, abs=0.01))
    assert peak.score == pytest.approx(0.9, abs=0.02)


def test_the_highest_comes_first_and_those_below_the_threshold_not_at_all() -> None:
    peaks = find(heat(40, 60, (10, 10, 0.5), (30, 10, 0.8), (50, 10, 0.29)))
    assert [round(peak.x) for peak in peaks] == [30, 10]


def test_of_two_maxima_within_the_radius_the_lower_one_is_no_landmark() -> None:
    assert len(find(heat(40, 60, (20, 20, 0.9), (23, 20, 0.8), sigma=0.8))) == 1
    assert len(find(heat(40, 60, (20, 20, 0.9), (26, 20, 0.8), sigma=0.8))) == 2


def test_a_plateau_is_one_landmark() -> None:
    flat = np.zeros((1, 30, 30), np.float32)
    flat[0, 10:13, 10:13] = 1.0
    assert len(find(flat)) == 1


@pytest.mark.parametrize("cuts", [(20,), (16,), (18, 19, 20, 21, 22), tuple(range(1, 40)), (3, 39)])
def test_the_answer_does_not_depend_on_how_the_picture_was_cut(cuts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    whole = np.concatenate([heat(40, 60, (12.4, 19.6, 0.9), (40, 20, 0.8)), rng.random((1, 40, 60), np.float32)])
    assert find(whole, cuts) == find(whole)


def test_maxima_at_the_edges_are_found_where_they_are() -> None:
    peaks = find(heat(30, 40, (0, 0, 0.9), (39, 29, 0.8), (0, 15, 0.7)))
    assert [(peak.x, peak.y) for peak in peaks] == [(0, 0), (39, 29), (0, pytest.approx(15, abs=1e-3))]


def test_planes_are_searched_apart() -> None:
    both = np.concatenate([heat(30, 30, (10, 10, 0.9)), heat(30, 30, (10, 10, 0.8))])
    assert [(peak.plane, round(peak.x)) for peak in find(both)] == [(0, 10), (1, 10)]


def test_a_crowd_is_cut_to_the_surest_and_counted() -> None:
    noise = np.random.default_rng(5).random((1, 200, 200)).astype(np.float32)
    finder = PeakFinder(planes=1, radius=1, threshold=0.3, limit=20)
    peaks = finder.collect([OutputBand(0, noise[:, :90]), OutputBand(90, noise[:, 90:])])
    assert len(peaks) == 20
    assert finder.peak_counts[0] > 1000
    assert peaks[0].score == noise.max()


def test_no_band_and_no_maximum_give_no_landmark() -> None:
    assert PeakFinder(planes=1, radius=4, threshold=0.3, limit=5).collect([]) == []
    assert find(np.zeros((1, 10, 10), np.float32)) == []
