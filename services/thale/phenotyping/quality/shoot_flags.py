"""Flags for shoots with an incomplete or merged outline: cut off at the rim, or touching a neighbouring shoot."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.imaging.calibration import interior_mask
from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.schemas import Flag, Plant

_TOUCHING_PX = 2.0
"""Maximum distance in frame pixels between the simplified outlines of touching shoots."""


def flag_shoots(plants: Sequence[Plant], segmentation: SegmentationPrediction) -> tuple[Plant, ...]:
    """Return the plants, with flags for shoots that have an incomplete or merged outline.

    `shoot_at_rim`: the shoot ends at the plate's rim or the image border. `shoots_touch`: it touches the shoot of
    another plant.
    """
    outlines = [_outline_points(plant, segmentation) for plant in plants]
    inside_HW = interior_mask(segmentation.meta.calibration, segmentation.meta.frame)
    flagged = []
    for index, (plant, outline) in enumerate(zip(plants, outlines, strict=True)):
        others = [other for other_index, other in enumerate(outlines) if other_index != index and len(other)]
        flags = []
        if len(outline) and _is_at_rim(outline, inside_HW):
            message = "the shoot ends at the plate's rim or the image border: its shape is unknown"
            flags.append(Flag(code="shoot_at_rim", message=message))
        if len(outline) and others and _is_touching(outline, np.vstack(others)):
            message = "the shoot touches a neighbouring shoot: the shapes of both are unknown"
            flags.append(Flag(code="shoots_touch", message=message))
        flagged.append(plant.model_copy(update={"flags": (*plant.flags, *flags)}) if flags else plant)
    return tuple(flagged)


def _outline_points(plant: Plant, segmentation: SegmentationPrediction) -> Points:
    """Return points along the outline of a plant's shoot at steps of one frame pixel; none without a shoot."""
    polygons = [polygon for organ in plant.organs if organ.kind == "shoot" for polygon in organ.polygons]
    rings = [segmentation.meta.frame.from_source(np.reshape(polygon, (-1, 2))) for polygon in polygons]
    return np.vstack([np.zeros((0, 2)), *(polyline.resample(np.vstack([ring, ring[:1]])) for ring in rings)])


def _is_at_rim(outline_N2: Points, inside_HW: NDArray[np.bool_]) -> bool:
    height, width = inside_HW.shape
    for step in ((-_TOUCHING_PX, 0), (_TOUCHING_PX, 0), (0, -_TOUCHING_PX), (0, _TOUCHING_PX)):
        cols, rows = np.round(outline_N2 + step).astype(int).T
        in_frame = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        if not (in_frame.all() and inside_HW[rows, cols].all()):
            return True
    return False


def _is_touching(outline_N2: Points, others_N2: Points) -> bool:
    return bool(cKDTree(others_N2).query(outline_N2)[0].min() <= _TOUCHING_PX)
