"""How close an answer is to the truth: overlaps of masks, matches of points, errors of lengths."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from thale.models.predictions import SegmentationPrediction


@dataclass
class DiceCounter:
    """Dice of one class, pooled over pictures: 2 |A and B| / (|A| + |B|). NaN where neither has a pixel."""

    intersection: int = 0
    predicted: int = 0
    true: int = 0

    def add(self, predicted_HW: NDArray[np.bool_], true_HW: NDArray[np.bool_]) -> None:
        """Count one picture."""
        self.intersection += int(np.count_nonzero(predicted_HW & true_HW))
        self.predicted += int(np.count_nonzero(predicted_HW))
        self.true += int(np.count_nonzero(true_HW))

    @property
    def dice(self) -> float:
        """The Dice coefficient of everything counted so far."""
        total = self.predicted + self.true
        return 2 * self.intersection / total if total else float("nan")


def count_overlaps(prediction: SegmentationPrediction, mask_HW: NDArray[np.uint8]) -> dict[str, DiceCounter]:
    """Count each organ's overlap with the truth, on the source image's own pixels, each for its likeliest class.

    Args:
        answer: What a model says of an image.
        mask_HW: The image's true classes, 1 for the first organ of `answer.meta.classes[1:]`.
    """
    frame = prediction.meta.frame
    size = frame.source_width, frame.source_height
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)).astype(np.int16)
        for plane in prediction.probabilities_CHW
    ]
    background = 255 - np.sum(planes, axis=0)
    predicted_HW = np.zeros(mask_HW.shape, np.uint8)
    predicted_HW[frame.y0 : frame.y0 + frame.source_height, frame.x0 : frame.x0 + frame.source_width] = np.argmax(
        np.stack([background, *planes]), axis=0
    )
    counters = {}
    for index, name in enumerate(prediction.meta.classes[1:], start=1):
        counters[name] = DiceCounter()
        counters[name].add(predicted_HW == index, mask_HW == index)
    return counters


@dataclass
class PointMatchCounter:
    """Precision and recall of points, pooled over pictures, and the distances of the matched ones in millimetres."""

    matched: int = 0
    predicted: int = 0
    true: int = 0
    distances_mm: list[float] = field(default_factory=list)

    def add(
        self, predicted_N2: NDArray[np.float64], true_M2: NDArray[np.float64], mm_per_px: float, radius_mm: float
    ) -> None:
        """Match the points of one picture and count them."""
        pairs = match_points(predicted_N2, true_M2, radius_mm / mm_per_px)
        self.matched += len(pairs)
        self.predicted += len(predicted_N2)
        self.true += len(true_M2)
        self.distances_mm += [
            float(np.hypot(*(predicted_N2[left] - true_M2[right]))) * mm_per_px for left, right in pairs
        ]

    @property
    def precision(self) -> float:
        """Share of the predicted points that are true."""
        return self.matched / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true points that were found."""
        return self.matched / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall. NaN where there was nothing to find and nothing was found."""
        total = self.predicted + self.true
        return 2 * self.matched / total if total else float("nan")


def match_points(
    predicted_N2: NDArray[np.float64], true_M2: NDArray[np.float64], radius: float
) -> list[tuple[int, int]]:
    """Pair points one to one so that as many as possible lie within the radius, the nearest first.

    Optimal assignment (Kuhn, "The Hungarian method", 1955) on distances; those beyond the radius cost more than any
    pairing within it could save.

    Returns:
        Pairs of indices (predicted, true).
    """
    if not len(predicted_N2) or not len(true_M2):
        return []
    distances = cdist(np.asarray(predicted_N2, float).reshape(-1, 2), np.asarray(true_M2, float).reshape(-1, 2))
    is_too_far = distances > radius
    out_of_range_cost = 1e6 * (radius + 1.0)
    rows, columns = linear_sum_assignment(np.where(is_too_far, out_of_range_cost, distances))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if not is_too_far[row, column]]


def relative_error(measured: float, true: float) -> float:
    """Return |measured - true| / true. NaN where the truth is zero or the measure unknown."""
    return abs(measured - true) / true if true > 0 else float("nan")
