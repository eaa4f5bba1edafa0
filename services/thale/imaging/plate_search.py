"""Search for all plates in a photograph, such as a scan of two plates side by side (ADR 0116).

The search finds one square, and searches again next to it if there is room for another plate of about the same size.
If it finds one, it repeats the first search without that part of the image: a square across two plates is nearly as
good as one around a single plate.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from thale.imaging.dish_appearance import dish_appearance
from thale.imaging.plate_detection import find_plate
from thale.imaging.reduced_image import ReducedImage
from thale.schemas import Plate

MAX_PLATES = 12

_MIN_ROOM = 0.85
"""Minimum width of the part next to a plate, as a share of the plate's side, in which another one is searched."""
_MAX_SIZE_RATIO = 1.25
"""Maximum ratio of the sides of two plates in one photograph."""
_MIN_CONFIDENCE = 0.65
_MAX_OVERLAP_SHARE = 0.1
_MARGIN_SHARE = 0.06
"""Overlap of the parts with the plate next to them, as a share of its side. The first square may be too large."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FoundSquare:
    """A square of the size of a plate, in source pixels, and the reasons why it is not a dish."""

    plate: Plate
    doubts: tuple[str, ...]


def find_plates(image: ReducedImage) -> tuple[FoundSquare, ...]:
    """Return all plates in reading order: rows from top to bottom, each from left to right.

    A single square is returned whatever it looks like. Of several, each looks like a dish.
    """
    squares = _examine(image, _find_all(image, 0))
    dishes = [square for square in squares if not square.doubts]
    if squares and not dishes:
        parts = _halves(image, squares[0].plate)
        halves = _examine(image, _without_overlap(plate for part in parts for plate in _find_all(part, 1)))
        dishes = [square for square in halves if not square.doubts]
        dishes = dishes if len(dishes) > 1 else []
    return tuple(_in_reading_order((dishes or squares[:1])[:MAX_PLATES]))


def plate_side_px(plate: Plate) -> float:
    """Return the mean length of the plate's four sides in source pixels."""
    corners = np.array([(corner.x, corner.y) for corner in plate.corners])
    return float(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).mean())


def _find_all(image: ReducedImage, depth: int) -> list[Plate]:
    first = find_plate(image)
    if first is None or depth >= MAX_PLATES:
        return [] if first is None else [first]
    neighbours = (plate for part in _parts_around(image, first) for plate in _find_all(part, depth + 1))
    others = _without_overlap(plate for plate in neighbours if _is_similar(plate, first))
    if not others:
        return [first]
    refined = find_plate(_without(image, first, others)) or first
    return _without_overlap([refined, *others])


def _examine(image: ReducedImage, plates: Iterable[Plate]) -> list[FoundSquare]:
    return [FoundSquare(plate, tuple(dish_appearance(image, plate).doubts())) for plate in plates]


def _without_overlap(plates: Iterable[Plate]) -> list[Plate]:
    """Return the plates without those that overlap an earlier one."""
    distinct: list[Plate] = []
    for plate in plates:
        if all(_overlap_share(plate, other) <= _MAX_OVERLAP_SHARE for other in distinct):
            distinct.append(plate)
    return distinct


def _halves(image: ReducedImage, square: Plate) -> Iterator[ReducedImage]:
    """Yield both sides of the middle of a square that may contain two by two plates."""
    left, _, right, _ = _box(image, square)
    height, width = image.grey_HW.shape
    middle, margin = (left + right) // 2, round(_MARGIN_SHARE * (right - left) / 2)
    yield image.crop(0, 0, middle + margin, height)
    yield image.crop(middle - margin, 0, width, height)


def _parts_around(image: ReducedImage, plate: Plate) -> Iterator[ReducedImage]:
    """Yield the parts of an image to the left, right, top and bottom of a plate that have room for another."""
    left, top, right, bottom = _box(image, plate)
    height, width = image.grey_HW.shape
    side = plate_side_px(plate) / image.step
    margin = round(_MARGIN_SHARE * side)
    boxes = [
        (0, 0, left + margin, height),
        (right - margin, 0, width, height),
        (0, 0, width, top + margin),
        (0, bottom - margin, width, height),
    ]
    for x0, y0, x1, y1 in boxes:
        if min(x1 - x0, y1 - y0) >= _MIN_ROOM * side:
            yield image.crop(max(x0, 0), max(y0, 0), x1, y1)


def _without(image: ReducedImage, plate: Plate, others: list[Plate]) -> ReducedImage:
    """Return the part of an image with a plate that ends where other plates begin."""
    height, width = image.grey_HW.shape
    left, top, right, bottom = _box(image, plate)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    x0, y0, x1, y1 = 0, 0, width, height
    for other in others:
        other_left, other_top, other_right, other_bottom = _box(image, other)
        if other_top < middle_y < other_bottom:
            x0, x1 = (max(x0, other_right), x1) if other_right < middle_x else (x0, min(x1, other_left))
        elif other_left < middle_x < other_right:
            y0, y1 = (max(y0, other_bottom), y1) if other_bottom < middle_y else (y0, min(y1, other_top))
    return image.crop(x0, y0, x1, y1)


def _box(image: ReducedImage, plate: Plate) -> Box:
    """Return the bounding box of a plate in pixels of the part."""
    corners_42 = image.from_source(np.array([(corner.x, corner.y) for corner in plate.corners]))
    (left, top), (right, bottom) = corners_42.min(axis=0), corners_42.max(axis=0)
    return round(left), round(top), round(right), round(bottom)


def _is_similar(plate: Plate, first: Plate) -> bool:
    ratio = plate_side_px(plate) / plate_side_px(first)
    return plate.confidence >= _MIN_CONFIDENCE and 1 / _MAX_SIZE_RATIO <= ratio <= _MAX_SIZE_RATIO


def _overlap_share(first: Plate, second: Plate) -> float:
    """Return the overlap of the bounding boxes of two plates, as a share of the smaller one."""
    boxes = [np.array([(corner.x, corner.y) for corner in plate.corners]) for plate in (first, second)]
    low = np.max([box.min(axis=0) for box in boxes], axis=0)
    high = np.min([box.max(axis=0) for box in boxes], axis=0)
    smaller = min(float(np.prod(box.max(axis=0) - box.min(axis=0))) for box in boxes)
    return float(np.prod(np.maximum(high - low, 0))) / smaller


def _in_reading_order(squares: list[FoundSquare]) -> list[FoundSquare]:
    """Return the squares by rows from top to bottom, and by columns from left to right in each row."""
    rows: list[list[FoundSquare]] = []
    for square in sorted(squares, key=_middle_y):
        if rows and _middle_y(square) - _middle_y(rows[-1][0]) < plate_side_px(square.plate) / 2:
            rows[-1].append(square)
        else:
            rows.append([square])
    return [square for row in rows for square in sorted(row, key=lambda square: square.plate.corners[0].x)]


def _middle_y(square: FoundSquare) -> float:
    return float(np.mean([corner.y for corner in square.plate.corners]))
