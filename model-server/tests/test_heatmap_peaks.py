"""Tests of the peak finder: positions, scores, limits, and independence of the bands."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from thale_models.heatmap_peaks import Peak, PeakFinder
from thale_models.tiled_inference import OutputBand


def draw_heatmap(height: int, width: int, *tips: tuple[float, float, float], sigma: float = 2.0) -> NDArray[np.float32]:
    """Draw Gaussians at (x, y, peak value) on one heatmap, 1HW."""
    rows, columns = np.mgrid[:height, :width]
    heatmap = np.zeros((height, width))
    for x, y, top in tips:
        heatmap = np.maximum(heatmap, top * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)))
    return heatmap[None].astype(np.float32)


def find_peaks(heat_CHW: NDArray[np.float32], cut_rows: tuple[int, ...] = (), **options: float) -> list[Peak]:
    finder = PeakFinder(**{"planes": len(heat_CHW), "radius": 4, "threshold": 0.3, "limit": 100, **options})
    edges = [0, *cut_rows, heat_CHW.shape[1]]
    return finder.collect(OutputBand(top, heat_CHW[:, top:end]) for top, end in pairwise(edges))


def test_peak_finder_locates_a_gaussian_to_a_hundredth_px() -> None:
    peak = find_peaks(draw_heatmap(40, 50, (20.3, 15.8, 0.9)))[0]
    assert (peak.x, peak.y) == (pytest.approx(20.3, abs=0.01), pytest.approx(15.8, abs=0.01))
    assert peak.score == pytest.approx(0.9, abs=0.02)


def test_peak_finder_sorts_by_score_and_applies_the_threshold() -> None:
    peaks = find_peaks(draw_heatmap(40, 60, (10, 10, 0.5), (30, 10, 0.8), (50, 10, 0.29)))
    assert [round(peak.x) for peak in peaks] == [30, 10]


def test_peak_finder_suppresses_lower_maxima_within_the_radius() -> None:
    assert len(find_peaks(draw_heatmap(40, 60, (20, 20, 0.9), (23, 20, 0.8), sigma=0.8))) == 1
    assert len(find_peaks(draw_heatmap(40, 60, (20, 20, 0.9), (26, 20, 0.8), sigma=0.8))) == 2


def test_peak_finder_returns_one_peak_for_a_plateau() -> None:
    flat = np.zeros((1, 30, 30), np.float32)
    flat[0, 10:13, 10:13] = 1.0
    assert len(find_peaks(flat)) == 1


@pytest.mark.parametrize("cut_rows", [(20,), (16,), (18, 19, 20, 21, 22), tuple(range(1, 40)), (3, 39)])
def test_peak_finder_is_independent_of_the_bands(cut_rows: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    whole = np.concatenate(
        [draw_heatmap(40, 60, (12.4, 19.6, 0.9), (40, 20, 0.8)), rng.random((1, 40, 60), np.float32)]
    )
    assert find_peaks(whole, cut_rows) == find_peaks(whole)


def test_peak_finder_locates_maxima_at_the_edges() -> None:
    peaks = find_peaks(draw_heatmap(30, 40, (0, 0, 0.9), (39, 29, 0.8), (0, 15, 0.7)))
    assert [(peak.x, peak.y) for peak in peaks] == [(0, 0), (39, 29), (0, pytest.approx(15, abs=1e-3))]


def test_peak_finder_searches_planes_separately() -> None:
    both = np.concatenate([draw_heatmap(30, 30, (10, 10, 0.9)), draw_heatmap(30, 30, (10, 10, 0.8))])
    assert [(peak.plane, round(peak.x)) for peak in find_peaks(both)] == [(0, 10), (1, 10)]


def test_peak_finder_limits_and_counts_peaks() -> None:
    noise = np.random.default_rng(5).random((1, 200, 200)).astype(np.float32)
    finder = PeakFinder(planes=1, radius=1, threshold=0.3, limit=20)
    peaks = finder.collect([OutputBand(0, noise[:, :90]), OutputBand(90, noise[:, 90:])])
    assert len(peaks) == 20
    assert finder.peak_counts[0] > 1000
    assert peaks[0].score == noise.max()


def test_peak_finder_returns_nothing_for_empty_input() -> None:
    assert PeakFinder(planes=1, radius=4, threshold=0.3, limit=5).collect([]) == []
    assert find_peaks(np.zeros((1, 10, 10), np.float32)) == []
