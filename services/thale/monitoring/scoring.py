"""Scores of predictions against ground truth: overlap of masks, matching of points, errors of lengths."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from thale.models.predictions import SegmentationPrediction, most_likely_classes


@dataclass
class DiceCounter:
    """Dice coefficient of one class, pooled over images: 2 |A and B| / (|A| + |B|). NaN if both masks are empty."""

    intersection: int = 0
    predicted: int = 0
    true: int = 0

    def add(self, predicted_HW: NDArray[np.bool_], true_HW: NDArray[np.bool_]) -> None:
        """Add the pixels of one image."""
        self.intersection += int(np.count_nonzero(predicted_HW & true_HW))
        self.predicted += int(np.count_nonzero(predicted_HW))
        self.true += int(np.count_nonzero(true_HW))

    @property
    def dice(self) -> float:
        """Dice coefficient of all images so far."""
        total = self.predicted + self.true
        return 2 * self.intersection / total if total else float("nan")


def count_overlaps(prediction: SegmentationPrediction, mask_HW: NDArray[np.uint8]) -> dict[str, DiceCounter]:
    """Count the overlap of each organ with the ground truth, in pixels of the source image.

    Args:
        prediction: The prediction of a model. Each pixel counts for its most likely class.
        mask_HW: The true classes of the image, 1 for the first organ of `prediction.meta.classes[1:]`.
    """
    frame = prediction.meta.frame
    size = frame.source_width, frame.source_height
    upsampled_CHW = np.stack(
        [
            np.asarray(Image.fromarray(channel_HW).resize(size, Image.Resampling.BILINEAR))
            for channel_HW in prediction.probabilities_CHW
        ]
    )
    predicted_HW = np.zeros(mask_HW.shape, np.uint8)
    rows, columns = slice(frame.y0, frame.y0 + frame.source_height), slice(frame.x0, frame.x0 + frame.source_width)
    predicted_HW[rows, columns] = most_likely_classes(upsampled_CHW)
    counters = {}
    for index, name in enumerate(prediction.meta.classes[1:], start=1):
        counters[name] = DiceCounter()
        counters[name].add(predicted_HW == index, mask_HW == index)
    return counters


@dataclass
class PointMatchCounter:
    """Precision and recall of points, pooled over images, and the distances of matched points in millimetres."""

    matched: int = 0
    predicted: int = 0
    true: int = 0
    distances_mm: list[float] = field(default_factory=list)

    def add(
        self, predicted_N2: NDArray[np.float64], true_M2: NDArray[np.float64], mm_per_px: float, radius_mm: float
    ) -> None:
        """Match and count the points of one image."""
        pairs = match_points(predicted_N2, true_M2, radius_mm / mm_per_px)
        self.matched += len(pairs)
        self.predicted += len(predicted_N2)
        self.true += len(true_M2)
        self.distances_mm += [
            float(np.hypot(*(predicted_N2[left] - true_M2[right]))) * mm_per_px for left, right in pairs
        ]

    @property
    def precision(self) -> float:
        """Share of the predicted points that match a true point."""
        return self.matched / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true points that match a predicted point."""
        return self.matched / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall. NaN without any true or predicted points."""
        total = self.predicted + self.true
        return 2 * self.matched / total if total else float("nan")


def match_points(
    predicted_N2: NDArray[np.float64],
    true_M2: NDArray[np.float64],
    radius: float,
    out_of_range_cost: float | None = None,
) -> list[tuple[int, int]]:
    """Match points one to one within a radius.

    The optimal assignment (Kuhn, "The Hungarian method", 1955) minimises the total cost. The cost of a pair is its
    distance, or `out_of_range_cost` beyond the radius. The default cost exceeds all possible savings within the radius,
    so that the number of matches is maximal. A cost equal to the radius minimises the total distance instead.

    Args:
        predicted_N2: Predicted points.
        true_M2: True points.
        radius: Maximum distance of a match.
        out_of_range_cost: Cost of a pair beyond the radius; 1e6 * (radius + 1) by default.

    Returns:
        Pairs of indices (predicted, true), ordered by the first index.
    """
    if not len(predicted_N2) or not len(true_M2):
        return []
    distances = cdist(np.asarray(predicted_N2, float).reshape(-1, 2), np.asarray(true_M2, float).reshape(-1, 2))
    is_too_far = distances > radius
    cost = 1e6 * (radius + 1.0) if out_of_range_cost is None else out_of_range_cost
    rows, columns = linear_sum_assignment(np.where(is_too_far, cost, distances))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if not is_too_far[row, column]]


def relative_error(measured: float, true: float) -> float:
    """Return |measured - true| / true. NaN if the true value is not positive or the measured value is NaN."""
    return abs(measured - true) / true if true > 0 else float("nan")
