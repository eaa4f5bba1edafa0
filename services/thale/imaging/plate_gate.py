"""Gate: decides whether an image shows a square plate of agar, and states the reasons against it (ADR 0115)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.imaging.pixel_checks import pixel_flags
from thale.imaging.plate_search import find_plates
from thale.imaging.reduced_image import reduce_to_grey
from thale.imaging.round_object import MIN_SUPPORT, circle_support
from thale.schemas import Flag, Plate

WEAK_CONFIDENCE = 0.65
"""Plates with a lower confidence are flagged: a part of their edge is hidden or faint."""

_RIM_SHARE = 0.08


@dataclass(frozen=True)
class GateResult:
    """All plates of an image in reading order, the one to measure, and the flags of the gate."""

    plates: tuple[Plate, ...]
    plate: Plate | None
    flags: tuple[Flag, ...]


def check_image(image_HW3: NDArray[np.uint8], plate_number: int = 1) -> GateResult:
    """Search for plates, and return a flag for each reason to doubt that the image shows one.

    Args:
        image_HW3: The upright image.
        plate_number: The plate to measure, from 1 in reading order. The last one if there are fewer.
    """
    reduced = reduce_to_grey(image_HW3)
    squares = find_plates(reduced)
    plates = tuple(square.plate for square in squares)
    measured = squares[min(plate_number, len(squares)) - 1] if squares else None
    plate, doubts = (measured.plate, measured.doubts) if measured else (None, ())
    flags = []
    if (plate is None or doubts or plate.confidence < WEAK_CONFIDENCE) and circle_support(reduced) >= MIN_SUPPORT:
        plate, plates, doubts = None, (), ()
        flags.append(_round_flag())
    if plate is None:
        flags.append(_no_plate_flag())
    if doubts:
        message = f"This does not look like a plate: a square was found, but {' and '.join(doubts)}"
        flags.append(Flag(code="not_a_plate", message=message))
    elif plate is not None and plate.confidence < WEAK_CONFIDENCE:
        flags.append(_weak_edge_flag(plate))
    if len(plates) > 1:
        flags.append(_several_flag(len(plates)))
    flags += pixel_flags(image_HW3 if plate is None else _agar(image_HW3, plate))
    return GateResult(plates, plate, tuple(flags))


def _agar(image_HW3: NDArray[np.uint8], plate: Plate) -> NDArray[np.uint8]:
    """Return the bounding box of a plate without its rims."""
    corners = np.array([(corner.x, corner.y) for corner in plate.corners])
    inset = _RIM_SHARE * (corners.max(axis=0) - corners.min(axis=0))
    left, top = np.maximum(corners.min(axis=0) + inset, 0).astype(int)
    right, bottom = (corners.max(axis=0) - inset).astype(int)
    return image_HW3[top : max(bottom, top + 2), left : max(right, left + 2)]


def _round_flag() -> Flag:
    message = (
        "a round object was found, such as a round dish, the field of a microscope or an eye: the width of a square "
        "plate gives no scale for it; send mm_per_px for a round dish"
    )
    return Flag(code="round_plate", message=message)


def _no_plate_flag() -> Flag:
    message = (
        "no square plate found: no four long edges form a square that is completely in the image; photograph the "
        "whole plate, with a margin around it"
    )
    return Flag(code="no_plate", message=message)


def _weak_edge_flag(plate: Plate) -> Flag:
    message = (
        f"the plate's edge is weak (confidence {plate.confidence:.2f}): check the overlay before using values in mm"
    )
    return Flag(code="plate_edge_weak", message=message)


def _several_flag(count: int) -> Flag:
    message = f"the image shows {count} plates: each has its own scale, and `plate` is the number of each plant's plate"
    return Flag(code="several_plates", message=message)
