"""Does the classical method see the roots that were traced through the net's maps? Where it does not, a flag says so.

Ridges (`thale.imaging.ridge_filter`) are thinned to lines and laid beside the traced roots of each plant. Two numbers come out: how
much of the traced length runs on a line, and how long the plant's lines are beside what was traced. The first falls
where the tracing invents a root or runs astray, the second rises where it misses one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import skeletonize

from thale.imaging.geometry import Frame, Window
from thale.models.predictions import SegmentationAnswer
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import Maps
from thale.schemas import Flag, Plant

LEAST_SUPPORTED = 0.75
LENGTH_RATIO = (0.75, 1.3)
"""Where the methods agree. Chosen on drawn plates and photographs (see ARCHITECTURE.md)."""

FAINT, CLEAR = 3, 6
"""A line is made of ridges of `FAINT` grey levels and more that hang together with one of `CLEAR`."""

_LEAST_LINE_MM = 1.0
_SAME_PLACE_MM = 0.3
_NEAR_PLANT_MM = 3.0
_SHOOT_MARGIN_MM = 0.5
_LEAST_TRACED_MM = 3.0
_SHOOT_LEVEL = 89
_MOST_RIDGES = 0.25


@dataclass(frozen=True)
class Agreement:
    """How two methods compare on one plant, what shoots and seeds cover left out.

    `supported` is the share of the traced length that runs on a line of the ridge filter, `length_ratio` the length of
    such lines about the plant over the traced length.
    """

    supported: float
    length_ratio: float

    @property
    def holds(self) -> bool:
        """Whether the methods agree."""
        least, most = LENGTH_RATIO
        return self.supported >= LEAST_SUPPORTED and least <= self.length_ratio <= most


def flag_disagreement(plants: Sequence[Plant], segmentation: SegmentationAnswer) -> tuple[Plant, ...]:
    """Return the plants, those flagged `methods_disagree` whose traced roots the ridge filter does not bear out."""
    found = compare(plants, segmentation)
    return tuple(
        plant.model_copy(update={"flags": (*plant.flags, _disagreement(found[plant.id]))})
        if plant.id in found and not found[plant.id].holds
        else plant
        for plant in plants
    )


def _disagreement(agreement: Agreement) -> Flag:
    message = (
        f"two methods disagree: {agreement.supported:.0%} of the traced root length lies on a line that a ridge filter "
        f"sees, and the lines about this plant are {agreement.length_ratio:.2f} times as long as its traced roots: "
        "look at the overlay"
    )
    return Flag(code="methods_disagree", message=message)


def compare(plants: Sequence[Plant], segmentation: SegmentationAnswer) -> dict[int, Agreement]:
    """Return how the methods agree on each plant, by its id.

    A plant is left out of which less than 3 mm of root are traced in the open. All are where the answer has no ridges
    (an older model server), or where a quarter of the picture is ridges, as on soil: nothing can be checked there.
    """
    traced = {plant.id: _traced(plant, segmentation.meta.frame) for plant in plants if plant.roots}
    if segmentation.ridge_HW is None or not traced:
        return {}
    maps = Maps.of(segmentation)
    window, corner_xy = _around(list(traced.values()), maps)
    covered_HW = _covered(maps, window)
    in_the_open = {}
    for identity, places in traced.items():
        inside = places - corner_xy
        in_the_open[identity] = inside[~_at(covered_HW, inside)]
    judged = {identity: places for identity, places in in_the_open.items() if len(places) >= maps.px(_LEAST_TRACED_MM)}
    if not judged:
        return {}
    strength_HW = _strength(segmentation.ridge_HW[window], np.vstack(list(judged.values())))
    if float((strength_HW >= FAINT).mean()) > _MOST_RIDGES:
        return {}
    lines_HW = _lines(strength_HW, covered_HW, maps.px(_LEAST_LINE_MM))
    lengths = _length_by_plant(lines_HW, in_the_open, maps)
    return {
        identity: Agreement(_supported(places, lines_HW, maps.px(_SAME_PLACE_MM)), lengths[identity] / len(places))
        for identity, places in judged.items()
    }


def _traced(plant: Plant, frame: Frame) -> Points:
    """Return places at steps of one frame pixel along all roots of a plant: their number is their length."""
    return np.vstack([polyline.resample(frame.from_source(np.array(root.points)))[:-1] for root in plant.roots])


def _around(traced: Sequence[Points], maps: Maps) -> tuple[Window, Points]:
    """Return the window that holds all that can lie about a plant, and its first pixel (x, y)."""
    places_N2, margin = np.vstack(traced), maps.px(_NEAR_PLANT_MM + _LEAST_LINE_MM)
    last = [maps.frame.width - 1, maps.frame.height - 1]
    left, top = np.clip(places_N2.min(axis=0) - margin, 0, last).astype(int)
    right, bottom = np.clip(places_N2.max(axis=0) + margin, 0, last).astype(int) + 1
    return (slice(top, bottom), slice(left, right)), np.array([left, top], float)


def _covered(maps: Maps, window: Window) -> NDArray[np.bool_]:
    """Return where shoots and seeds are, bool HW with a margin: leaves have edges and veins, which are lines too."""
    covered_HW = np.maximum(maps.shoot_HW[window], maps.seed_HW[window]) > _SHOOT_LEVEL
    side = 2 * round(maps.px(_SHOOT_MARGIN_MM)) + 1
    return np.asarray(ndimage.maximum_filter(covered_HW.view(np.uint8), side), bool)


def _at(mask_HW: NDArray[np.bool_], points_N2: Points) -> NDArray[np.bool_]:
    return polyline.sample(mask_HW.view(np.uint8), points_N2).astype(bool)


def _strength(ridge_HW: NDArray[np.int8], traced_N2: Points) -> NDArray[np.int8]:
    """Return the ridges of the roots' polarity: bright on dark agar, dark on a light table."""
    on_roots = polyline.sample(ridge_HW.view(np.uint8), traced_N2).view(np.int8).astype(int)
    return np.maximum(ridge_HW if on_roots.sum() > 0 else -ridge_HW, 0)


def _lines(strength_HW: NDArray[np.int8], covered_HW: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    """Return the ridges thinned to lines of at least `least_px` pixels."""
    ridges_HW = apply_hysteresis_threshold(strength_HW, FAINT - 0.5, CLEAR - 0.5) & ~covered_HW
    labels_HW, _ = ndimage.label(lines_HW := skeletonize(ridges_HW), np.ones((3, 3), int))
    long = np.bincount(labels_HW.ravel()) >= least_px
    return np.asarray(lines_HW & long[labels_HW])


def _supported(traced_N2: Points, lines_HW: NDArray[np.bool_], within_px: float) -> float:
    places_rc = np.argwhere(lines_HW)
    if not len(places_rc):
        return 0.0
    return float((cKDTree(places_rc[:, ::-1]).query(traced_N2)[0] <= within_px).mean())


def _length_by_plant(lines_HW: NDArray[np.bool_], traced: dict[int, Points], maps: Maps) -> dict[int, float]:
    """Return the length (px) of the lines about each plant.

    About a plant are a line's pixels within 3 mm of a traced root; between two plants, the nearer has it.
    """
    places_rc = np.argwhere(lines_HW)
    owner = np.repeat(list(traced), [len(line) for line in traced.values()])
    tree = cKDTree(np.vstack(list(traced.values())))
    distance, index = tree.query(places_rc[:, ::-1], distance_upper_bound=maps.px(_NEAR_PLANT_MM))
    near = np.isfinite(distance)
    lengths = {}
    for identity in traced:
        own_HW = np.zeros_like(lines_HW)
        own_HW[tuple(places_rc[near][owner[index[near]] == identity].T)] = True
        lengths[identity] = digital_length_px(own_HW)
    return lengths


def digital_length_px(line_HW: NDArray[np.bool_]) -> float:
    """Return the length of lines that are one pixel wide.

    Straight steps count 0.948 and diagonal ones 1.340, which is unbiased over directions (Dorst and Smeulders, "Length
    estimators for digitized contours", CVGIP 40, 1987). A diagonal step beside a straight one is no step of its own.
    """
    straight = np.count_nonzero(line_HW[:, 1:] & line_HW[:, :-1]) + np.count_nonzero(line_HW[1:] & line_HW[:-1])
    falling = line_HW[1:, 1:] & line_HW[:-1, :-1] & ~line_HW[1:, :-1] & ~line_HW[:-1, 1:]
    rising = line_HW[1:, :-1] & line_HW[:-1, 1:] & ~line_HW[1:, 1:] & ~line_HW[:-1, :-1]
    return 0.948 * straight + 1.340 * (np.count_nonzero(falling) + np.count_nonzero(rising))
