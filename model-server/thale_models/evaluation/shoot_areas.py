"""True shoot areas of a synthetic plate: the shoot pixels of its mask, each assigned to the nearest root base."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from thale.exports import rsml

SHOOT_AREA, SHOOT_AREA_OF_PLATE = "shoot_area", "plate_shoot_area"
_SHOOT_CLASS = 2


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return the class of each pixel of an image, HW.

    Raises:
        OSError: If the file cannot be read.
    """
    with Image.open(path) as image:
        return np.asarray(image, np.uint8)


def with_shoot_areas(
    shoots: Mapping[int, Mapping[str, float]],
    document: rsml.RsmlDocument,
    mask_HW: NDArray[np.uint8],
    mm_per_px: float,
) -> dict[int, dict[str, float]]:
    """Return the true traits of shoots by plant number, with the area of each shoot (mm2).

    Args:
        shoots: True traits of shoots by the number of the plant in the document, from 1.
        document: RSML of the plate.
        mask_HW: Mask of the image of the RSML. Pixels under another organ do not count.
        mm_per_px: Scale of that image.
    """
    bases = {
        number: plant.roots[0].points[0]
        for number, plant in enumerate(document.plants, start=1)
        if plant.roots and plant.roots[0].points
    }
    if not bases:
        return {number: dict(shoot) for number, shoot in shoots.items()}
    pixels_N2 = np.argwhere(mask_HW == _SHOOT_CLASS)[:, ::-1]
    nearest = cKDTree(list(bases.values())).query(pixels_N2)[1]
    counts = np.bincount(nearest, minlength=len(bases)) * mm_per_px**2
    areas = dict(zip(bases, counts.tolist(), strict=True))
    return {
        number: {**shoot, **({SHOOT_AREA: areas[number]} if number in areas else {})}
        for number, shoot in shoots.items()
    }
