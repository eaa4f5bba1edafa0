"""Ridge agreement: checks traced roots against the ridge filter and flags plants for which both methods disagree.

The ridges (`thale.imaging.ridge_filter`) are thinned to lines and compared with the traced roots of each plant. The
supported share is the share of the traced length on a line. It is low if the tracing has a false or displaced root. The
length ratio is the length of the plant's lines over the traced length. It is high if the tracing misses a root. ADR
0040 has the measured rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from thale.imaging.components import find_components, find_pixels, hysteresis_mask
from thale.imaging.geometry import Frame, Window
from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.schemas import Flag, Plant

MIN_SUPPORTED_SHARE = 0.75
LENGTH_RATIO_RANGE = (0.75, 1.3)
"""Range in which the methods agree, selected on synthetic plates and photographs (ADR 0040)."""

RIDGE_LOW, RIDGE_HIGH = 3, 6
"""Hysteresis thresholds in grey levels: pixels of `RIDGE_LOW` or more count if connected to one of `RIDGE_HIGH`
or more."""

_MIN_LINE_MM = 1.0
_MAX_MATCH_DISTANCE_MM = 0.3
_NEAR_PLANT_MM = 3.0
_SHOOT_MARGIN_MM = 0.5
_MIN_TRACED_MM = 3.0
_SHOOT_LEVEL = 89
_MAX_RIDGE_SHARE = 0.25


@dataclass(frozen=True)
class RidgeAgreement:
    """Agreement of two methods on one plant, outside the area of shoots and seeds.

    `supported_share` is the share of the traced length on a line of the ridge filter. `length_ratio` is the length of
    such lines near the plant over the traced length.
    """

    supported_share: float
    length_ratio: float

    @property
    def is_sufficient(self) -> bool:
        """True if the methods agree."""
        min_ratio, max_ratio = LENGTH_RATIO_RANGE
        return self.supported_share >= MIN_SUPPORTED_SHARE and min_ratio <= self.length_ratio <= max_ratio


def flag_disagreement(plants: Sequence[Plant], agreements: Mapping[int, RidgeAgreement]) -> tuple[Plant, ...]:
    """Return the plants, flagged `methods_disagree` if the ridge filter does not confirm their traced roots.

    Args:
        plants: Plants with roots.
        agreements: Agreement of the methods by plant id, as from `ridge_agreement`.
    """
    return tuple(
        plant.model_copy(update={"flags": (*plant.flags, _disagreement_flag(agreements[plant.id]))})
        if plant.id in agreements and not agreements[plant.id].is_sufficient
        else plant
        for plant in plants
    )


def _disagreement_flag(agreement: RidgeAgreement) -> Flag:
    message = (
        f"two methods disagree: {agreement.supported_share:.0%} of the traced root length is on a line of the ridge "
        f"filter, and the lines near this plant are {agreement.length_ratio:.2f} times as long as its traced roots: "
        "check the overlay"
    )
    return Flag(code="methods_disagree", message=message)


def ridge_agreement(plants: Sequence[Plant], segmentation: SegmentationPrediction) -> dict[int, RidgeAgreement]:
    """Return the agreement of the methods on each plant, by plant id.

    Plants with less than 3 mm of traced root outside shoots and seeds are omitted. The result is empty if the
    prediction has no ridges (older model servers), or if more than a quarter of the area around the roots is ridges, as
    on soil.
    """
    root_points = {plant.id: _sample_roots(plant, segmentation.meta.frame) for plant in plants if plant.roots}
    if segmentation.ridge_HW is None or not root_points:
        return {}
    maps = ProbabilityMaps.from_prediction(segmentation)
    window, corner_xy = _bounding_window(list(root_points.values()), maps)
    covered_HW = _shoot_and_seed_mask(maps, window)
    exposed_points = {}
    for plant_id, points in root_points.items():
        window_points = points - corner_xy
        exposed_points[plant_id] = window_points[~_sample_mask(covered_HW, window_points)]
    checkable_points = {
        plant_id: points for plant_id, points in exposed_points.items() if len(points) >= maps.mm_to_px(_MIN_TRACED_MM)
    }
    if not checkable_points:
        return {}
    strength_HW = _ridge_strength(segmentation.ridge_HW[window], np.vstack(list(checkable_points.values())))
    if float((strength_HW >= RIDGE_LOW).mean()) > _MAX_RIDGE_SHARE:
        return {}
    lines_HW = _ridge_lines(strength_HW, covered_HW, maps.mm_to_px(_MIN_LINE_MM))
    lengths = _line_length_by_plant(lines_HW, exposed_points, maps)
    return {
        plant_id: RidgeAgreement(
            _supported_share(points, lines_HW, maps.mm_to_px(_MAX_MATCH_DISTANCE_MM)), lengths[plant_id] / len(points)
        )
        for plant_id, points in checkable_points.items()
    }


def _sample_roots(plant: Plant, frame: Frame) -> Points:
    """Return points at steps of one frame pixel along all roots of a plant. Their number equals the length in px."""
    return np.vstack([polyline.resample(frame.from_source(np.array(root.points)))[:-1] for root in plant.roots])


def _bounding_window(root_points: Sequence[Points], maps: ProbabilityMaps) -> tuple[Window, Points]:
    """Return the window that contains all roots with a margin for nearby lines, and its first pixel (x, y)."""
    points_N2, margin = np.vstack(root_points), maps.mm_to_px(_NEAR_PLANT_MM + _MIN_LINE_MM)
    last = [maps.frame.width - 1, maps.frame.height - 1]
    left, top = np.clip(points_N2.min(axis=0) - margin, 0, last).astype(int)
    right, bottom = np.clip(points_N2.max(axis=0) + margin, 0, last).astype(int) + 1
    return (slice(top, bottom), slice(left, right)), np.array([left, top], float)


def _shoot_and_seed_mask(maps: ProbabilityMaps, window: Window) -> NDArray[np.bool_]:
    """Return the mask of shoots and seeds with a margin, bool HW. Edges and veins of leaves are lines as well."""
    covered_HW = np.maximum(maps.shoot_HW[window], maps.seed_HW[window]) > _SHOOT_LEVEL
    side = 2 * round(maps.mm_to_px(_SHOOT_MARGIN_MM)) + 1
    return np.asarray(ndimage.maximum_filter(covered_HW.view(np.uint8), side), bool)


def _sample_mask(mask_HW: NDArray[np.bool_], points_N2: Points) -> NDArray[np.bool_]:
    return polyline.sample(mask_HW.view(np.uint8), points_N2).astype(bool)


def _ridge_strength(ridge_HW: NDArray[np.int8], root_points_N2: Points) -> NDArray[np.int8]:
    """Return the ridges with the polarity of the roots: bright on dark agar, dark on a backlit plate."""
    on_roots = polyline.sample(ridge_HW.view(np.uint8), root_points_N2).view(np.int8).astype(int)
    return np.maximum(ridge_HW if on_roots.sum() > 0 else -ridge_HW, 0)


def _ridge_lines(
    strength_HW: NDArray[np.int8], covered_HW: NDArray[np.bool_], min_length_px: float
) -> NDArray[np.bool_]:
    """Return the ridges thinned to lines of at least `min_length_px` pixels."""
    ridges_HW = hysteresis_mask(strength_HW, RIDGE_LOW - 0.5, RIDGE_HIGH - 0.5) & ~covered_HW
    lines = find_components(skeletonize(ridges_HW), 8)
    return lines.select(lines.sizes >= min_length_px)


def _supported_share(root_points_N2: Points, lines_HW: NDArray[np.bool_], max_distance_px: float) -> float:
    line_pixels_rc = find_pixels(lines_HW)
    if not len(line_pixels_rc):
        return 0.0
    return float((cKDTree(line_pixels_rc[:, ::-1]).query(root_points_N2)[0] <= max_distance_px).mean())


def _line_length_by_plant(
    lines_HW: NDArray[np.bool_], root_points: dict[int, Points], maps: ProbabilityMaps
) -> dict[int, float]:
    """Return the length (px) of the lines near each plant.

    Line pixels within 3 mm of a traced root are near its plant. Each pixel belongs to the nearest plant only.
    """
    line_pixels_rc = find_pixels(lines_HW)
    owner = np.repeat(list(root_points), [len(line) for line in root_points.values()])
    tree = cKDTree(np.vstack(list(root_points.values())))
    distance, index = tree.query(line_pixels_rc[:, ::-1], distance_upper_bound=maps.mm_to_px(_NEAR_PLANT_MM))
    is_near = np.isfinite(distance)
    lengths = {}
    for plant_id in root_points:
        plant_lines_HW = np.zeros_like(lines_HW)
        plant_lines_HW[tuple(line_pixels_rc[is_near][owner[index[is_near]] == plant_id].T)] = True
        lengths[plant_id] = digital_length_px(plant_lines_HW)
    return lengths


def digital_length_px(line_HW: NDArray[np.bool_]) -> float:
    """Return the length of lines that are one pixel wide.

    Straight steps count 0.948 and diagonal steps 1.340, which is unbiased over directions (Dorst and Smeulders, "Length
    estimators for digitized contours", CVGIP 40, 1987). A diagonal step counts only without straight steps between its
    pixels.
    """
    straight = np.count_nonzero(line_HW[:, 1:] & line_HW[:, :-1]) + np.count_nonzero(line_HW[1:] & line_HW[:-1])
    falling = line_HW[1:, 1:] & line_HW[:-1, :-1] & ~line_HW[1:, :-1] & ~line_HW[:-1, 1:]
    rising = line_HW[1:, :-1] & line_HW[:-1, 1:] & ~line_HW[1:, 1:] & ~line_HW[:-1, :-1]
    return 0.948 * straight + 1.340 * (np.count_nonzero(falling) + np.count_nonzero(rising))
