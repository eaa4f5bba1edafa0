"""Landmarks from heatmaps: local maxima with subpixel positions.

Heatmaps arrive in bands from top to bottom (`tiled_inference.OutputBand`). The finder retains only the rows that a
maximum needs as neighbourhood. The result does not depend on the bands, and memory does not grow with the image.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from thale_models.tiled_inference import OutputBand

_MIN_PROBABILITY = 1e-12


class Peak(NamedTuple):
    """A local maximum of one heatmap, in heatmap pixels."""

    plane: int
    x: float
    y: float
    score: float


class PeakFinder:
    """Collects the local maxima of heatmaps that arrive band by band.

    A maximum is the highest pixel in a square of `radius` pixels to each side, with a value of at least `threshold`.
    The finder returns up to `limit` maxima per plane, the highest first. `peak_counts` holds the number of maxima per
    plane before this limit.
    """

    def __init__(self, planes: int, radius: int, threshold: float, limit: int) -> None:
        self.radius, self.threshold, self.limit = radius, threshold, limit
        self.peak_counts = [0] * planes
        self._best_peaks: list[list[Peak]] = [[] for _ in range(planes)]
        self._pending_band: OutputBand | None = None
        self._next_row = 0

    def collect(self, bands: Iterable[OutputBand]) -> list[Peak]:
        """Return the maxima of all bands: by plane, the highest first."""
        for band in bands:
            self._add_band(band)
        if self._pending_band is not None:
            self._search_rows(self._pending_band, self._pending_band.rows.stop)
        return [peak for plane in self._best_peaks for peak in self._suppress_neighbours(plane)]

    def _add_band(self, band: OutputBand) -> None:
        if self._pending_band is not None:
            band = OutputBand(
                self._pending_band.top, np.concatenate([self._pending_band.planes_CHW, band.planes_CHW], axis=1)
            )
        final_row = max(self._next_row, band.rows.stop - self.radius)
        self._search_rows(band, final_row)
        self._next_row = final_row
        top = max(band.top, final_row - self.radius)
        self._pending_band = OutputBand(top, band.planes_CHW[:, top - band.top :].copy())

    def _search_rows(self, band: OutputBand, end_row: int) -> None:
        """Store the maxima of rows `_next_row` to `end_row`, whose neighbours are all in the band."""
        for plane, heat_HW in enumerate(band.planes_CHW):
            highest_HW = maximum_filter(heat_HW, size=2 * self.radius + 1, mode="constant")
            is_peak_HW = (heat_HW >= self.threshold) & (heat_HW == highest_HW)
            rows, columns = np.nonzero(is_peak_HW[self._next_row - band.top : end_row - band.top])
            rows += self._next_row - band.top
            self.peak_counts[plane] += len(rows)
            best = np.argsort(-heat_HW[rows, columns], kind="stable")[: self.limit]
            new_peaks = [_refine_peak(plane, heat_HW, int(rows[i]), int(columns[i]), band.top) for i in best]
            self._best_peaks[plane] = sorted(self._best_peaks[plane] + new_peaks, key=lambda peak: -peak.score)[
                : self.limit
            ]

    def _suppress_neighbours(self, peaks: list[Peak]) -> list[Peak]:
        """Drop maxima within the radius of a higher one (non-maximum suppression).

        All pairs are compared. A k-d tree is no faster for up to `limit` maxima, and importing `scipy.spatial` takes a
        tenth of the start of a worker.
        """
        positions_N2 = np.array([(peak.x, peak.y) for peak in peaks]).reshape(-1, 2)
        is_free_N = np.ones(len(peaks), bool)
        selected = []
        for index, peak in enumerate(peaks):
            if is_free_N[index]:
                selected.append(peak)
                is_free_N &= ((positions_N2 - positions_N2[index]) ** 2).sum(axis=1) > self.radius**2
        return selected


def _refine_peak(plane: int, heat_HW: NDArray[np.float32], row: int, column: int, top: int) -> Peak:
    """Return a maximum with its subpixel position, by a parabola through its logarithm. Exact for a Gaussian."""
    return Peak(
        plane,
        column + _parabola_vertex(heat_HW[row, max(0, column - 1) : column + 2]),
        top + row + _parabola_vertex(heat_HW[max(0, row - 1) : row + 2, column]),
        min(1.0, float(heat_HW[row, column])),
    )


def _parabola_vertex(samples: NDArray[np.float32]) -> float:
    """Return the offset of the parabola's vertex from the middle of three samples; 0 at the edge of the image."""
    if len(samples) < 3:
        return 0.0
    before, middle, after = (float(value) for value in np.log(np.maximum(samples, _MIN_PROBABILITY)))
    curvature = before - 2 * middle + after
    return cast(float, np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
