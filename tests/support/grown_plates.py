"""Photographs of one synthetic plate on three days: the roots of earlier days end higher on the plate."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from thale_models.synthesis.plate import SyntheticPlate, draw_plate

_EXIF_DIRECTORY, _DATE_TIME_ORIGINAL = 0x8769, 36867
_HIDDEN_MARGIN_PX = 5
_SHIFTS_PX = (40, -40, 80, -80, 120, -120)
_ROOT = 1


def write_grown_plates(folder: Path, seed: int = 19) -> list[Path]:
    """Write three photographs of five plants. The first and the last have a time in their names, the second in EXIF."""
    folder.mkdir(parents=True, exist_ok=True)
    plate = draw_plate(
        seed, style="backlit", width=2000, height=1950, plants=5, contrast=0.18, noise=0.8, label="none", tilt_deg=0.0
    )
    first, second = folder / "p7_2023-08-01_10-00.png", folder / "p7.jpg"
    last = folder / "p7_2023-08-03_10-00.png"
    Image.fromarray(_shorten(plate, 0.6)).save(first)
    exif = Image.Exif()
    exif.get_ifd(_EXIF_DIRECTORY)[_DATE_TIME_ORIGINAL] = "2023:08:02 10:00:00"
    Image.fromarray(_shorten(plate, 0.8)).save(second, quality=92, exif=exif)
    Image.fromarray(plate.image_HW3).save(last)
    return [last, first, second]


def _shorten(plate: SyntheticPlate, share: float) -> NDArray[np.uint8]:
    """Return the photograph without the roots below a share of the height of each primary root."""
    image_HW3, is_root_HW = plate.image_HW3.copy(), plate.mask_HW == _ROOT
    rows_H1 = np.arange(image_HW3.shape[0])[:, None]
    primaries = [plant.roots[0] for plant in plate.plants if plant.roots]
    bases_x = np.array([root.points[0][0] for root in primaries])
    nearest_W = np.abs(np.arange(image_HW3.shape[1])[:, None] - bases_x).argmin(axis=1)
    ends_y = np.array([root.points[0][1] + share * (root.points[-1][1] - root.points[0][1]) for root in primaries])
    is_hidden_HW = is_root_HW & (rows_H1 > ends_y[nearest_W][None, :])
    is_hidden_HW = ndimage.binary_dilation(is_hidden_HW, iterations=_HIDDEN_MARGIN_PX)
    is_left_HW = is_hidden_HW.copy()
    for shift in _SHIFTS_PX:
        is_free_HW = is_left_HW & ~np.roll(is_root_HW, shift, axis=1)
        image_HW3[is_free_HW] = np.roll(plate.image_HW3, shift, axis=1)[is_free_HW]
        is_left_HW &= ~is_free_HW
    return image_HW3
