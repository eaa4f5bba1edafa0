"""Calibration: millimetres per pixel, given by the client or derived from the plate's outer edge and its known width.

The width of a dish is measured from outer edge to outer edge: a 12 cm dish is 120 mm wide. The resolution (dpi) in EXIF
is never a physical scale and is not read.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from thale.imaging.geometry import Frame
from thale.imaging.plate_gate import check_image
from thale.imaging.plate_search import plate_side_px
from thale.imaging.scale_limits import validate_region, validate_scale
from thale.schemas import Calibration, Flag, Plate, Point, Region, Scale, ScaleSource

PLATE_WIDTH_MM = 120.0
"""Assumed width of a plate. The source of a scale from this width is `assumed`."""

TILT_FLAG_DEG = 5.0
CONFLICT_SHARE = 0.03
RIM_MM = 5.0
"""Minimum width of the rim on photographs, from the lid's outer edge to the inside of the base. On the side that is
tilted away from the camera, the rim appears up to 7.4 mm wide. Roots can grow directly inside it."""

CORNER_RADIUS_MM = 20.0
"""Corner radius of the inside of a square dish, measured on the same photographs."""


def calibrate(
    image_HW3: NDArray[np.uint8],
    mm_per_px: float | None = None,
    plate_width_mm: float | None = None,
    plate_number: int = 1,
    region: Region = "plate",
) -> Calibration:
    """Return the scale of a photograph, the plates in it, and flags about both.

    A given `mm_per_px` takes precedence over the plate's edge. Without either, the scale is NaN with source "none".

    Args:
        image_HW3: The upright image.
        mm_per_px: Millimetres per pixel, if known.
        plate_width_mm: Outer width of the square plate; 120 mm is assumed by default.
        plate_number: The plate to measure, from 1 in reading order.
        region: The part of the image to process. No plate is searched in the whole image (`image`).

    Raises:
        ScaleError: If a given value is impossible for a photograph of a plate, or the region has no scale.
    """
    validate_scale(mm_per_px, plate_width_mm)
    validate_region(region, mm_per_px)
    if region == "image" and mm_per_px is not None:
        return Calibration(scale=Scale(mm_per_px=mm_per_px, source="given", plate_width_mm=plate_width_mm))
    gate = check_image(image_HW3, plate_number)
    plate = gate.plate
    width_mm = PLATE_WIDTH_MM if plate_width_mm is None else plate_width_mm
    edge_mm_per_px = width_mm / plate_side_px(plate) if plate else math.nan
    flags = (*gate.flags, *_tilt_flags(plate), *_scale_flags(mm_per_px, edge_mm_per_px, plate))
    if mm_per_px is not None:
        scale = Scale(mm_per_px=mm_per_px, source="given", plate_width_mm=plate_width_mm)
    elif plate:
        source: ScaleSource = "assumed" if plate_width_mm is None else "plate_edge"
        scale = Scale(mm_per_px=edge_mm_per_px, source=source, plate_width_mm=width_mm)
    else:
        scale = Scale(mm_per_px=math.nan, source="none", plate_width_mm=plate_width_mm)
    return Calibration(scale=scale, plate=plate, plates=gate.plates, flags=flags)


def _tilt_flags(plate: Plate | None) -> list[Flag]:
    if plate is None or abs(plate.tilt_deg) <= TILT_FLAG_DEG:
        return []
    message = f"the plate is tilted by {plate.tilt_deg:.1f} degrees: angles and extents follow the plate's axes"
    return [Flag(code="plate_tilted", message=message)]


def _scale_flags(given_mm_per_px: float | None, edge_mm_per_px: float, plate: Plate | None) -> list[Flag]:
    if given_mm_per_px is None and plate is None:
        message = "no scale: send mm_per_px, or photograph the whole plate; lengths are in pixels only"
        return [Flag(code="scale_unknown", message=message)]
    if given_mm_per_px is not None and plate and abs(given_mm_per_px / edge_mm_per_px - 1) > CONFLICT_SHARE:
        message = (
            f"the given scale ({given_mm_per_px:.4g} mm per pixel) and the plate's edge ({edge_mm_per_px:.4g}) "
            f"differ by {abs(given_mm_per_px / edge_mm_per_px - 1):.0%}: the given scale is used"
        )
        return [Flag(code="scale_conflict", message=message)]
    return []


def region_of_interest(calibration: Calibration, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the box x0, y0, x1, y1 (the last two exclusive) that a model processes.

    It is the bounding box of the plate's outer edge, clipped to the image, so that roots next to the rim are complete.
    Without a plate, it is the whole image. `interior_mask` excludes the rim.
    """
    if calibration.plate is None:
        return 0, 0, width, height
    corners = _corner_array(calibration.plate)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    return left, top, min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)


def plate_interior(
    plate: Plate, margin_mm: float = RIM_MM, plate_width_mm: float = PLATE_WIDTH_MM
) -> tuple[Point, Point, Point, Point]:
    """Return the plate's corners, moved inwards by a margin from each side. Roots do not grow on the rim.

    Args:
        plate: The plate.
        margin_mm: Width of the border to exclude on each side.
        plate_width_mm: Outer width of the plate. It defines the scale of `margin_mm`.
    """
    corners = _corner_array(plate)
    share = margin_mm / plate_width_mm
    along = np.roll(corners, -1, axis=0) - corners
    back = np.roll(corners, 1, axis=0) - corners
    inner_corners = corners + share * (along + back)
    return tuple(Point(x=float(x), y=float(y)) for x, y in inner_corners)  # type: ignore[return-value]


def interior_mask(calibration: Calibration, frame: Frame) -> NDArray[np.bool_]:
    """Return the area inside the rim and the round corners of the plate, bool HW in pixels of the frame.

    Without a plate, all pixels are True.
    """
    plate = calibration.plate
    if plate is None:
        return np.ones((frame.height, frame.width), bool)
    width_mm = calibration.scale.plate_width_mm or PLATE_WIDTH_MM
    inner = plate_interior(plate, RIM_MM + CORNER_RADIUS_MM, width_mm)
    corners = [(float(x), float(y)) for x, y in frame.from_source(np.array([(corner.x, corner.y) for corner in inner]))]
    radius_px = CORNER_RADIUS_MM / width_mm * plate_side_px(plate) * frame.factor
    mask = Image.new("1", (frame.width, frame.height))
    draw = ImageDraw.Draw(mask)
    draw.polygon(corners, fill=1)
    draw.line([*corners, corners[0]], fill=1, width=round(2 * radius_px))
    for corner in corners:
        draw.circle(corner, radius_px, fill=1)
    return np.asarray(mask)


def _corner_array(plate: Plate) -> NDArray[np.float64]:
    return np.array([(corner.x, corner.y) for corner in plate.corners])
