"""What was found, on the photograph: plate, shoots, roots, landmarks, flags, plant numbers, in this order."""

from collections.abc import Sequence

from thale.exports.overlay.canvas import INK, RGB, WHITE, XY, Canvas, color_of
from thale.schemas import Flag, Phenotype, Plant, Plate

_ROOT_PX = 4.0
"""Room left free for the root between its two lines, in the finished picture of 2000 px."""

_ALPHA = 215


def draw_findings(canvas: Canvas, phenotype: Phenotype) -> None:
    """Draw everything that has a place."""
    if phenotype.plate is not None:
        _plate(canvas, phenotype.plate)
    _roots(canvas, phenotype.plants)
    for plant in phenotype.plants:
        _shoot(canvas, plant)
        for landmark in plant.landmarks:
            mark(canvas, landmark.kind, (landmark.x, landmark.y), color_of(plant.id))
    for flag in all_flags(phenotype):
        if flag.at is not None:
            flag_mark(canvas, flag.code, (flag.at.x, flag.at.y))
    for plant in phenotype.plants:
        _number(canvas, plant)


def all_flags(phenotype: Phenotype) -> list[Flag]:
    """Return each flag once: of the image, its plants, their roots and their traits."""
    flags = [*phenotype.flags, *(flag for trait in phenotype.traits for flag in trait.flags)]
    for plant in phenotype.plants:
        flags += plant.flags
        flags += [flag for root in plant.roots for flag in root.flags]
        flags += [flag for trait in plant.traits for flag in trait.flags]
    return list(dict.fromkeys(flags))


def _plate(canvas: Canvas, plate: Plate) -> None:
    corners = [(corner.x, corner.y) for corner in plate.corners]
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        for color, alpha, width in ((INK, 110, 3.0), (WHITE, 200, 1.4)):
            canvas.dashes(start, end, 14 * canvas.unit, width * canvas.unit, color, alpha)


def _roots(canvas: Canvas, plants: Sequence[Plant]) -> None:
    """Draw all roots wide, then rub out their insides: lines that meet open into each other, as roots do."""
    roots = [(root, color_of(plant.id)) for plant in plants for root in plant.roots if root.points]
    roots.sort(key=lambda item: -item[0].order)
    free = _ROOT_PX * canvas.unit
    for root, _ in roots:
        canvas.line(root.points, free + 2 * (_line_width(root.order) + 1) * canvas.unit, INK, 70)
    for root, color in roots:
        canvas.line(root.points, free + 2 * _line_width(root.order) * canvas.unit, color, _ALPHA)
    for root, color in roots:
        canvas.line(root.points, free, color, 0)


def _line_width(order: int) -> float:
    return 2.2 if order == 1 else 1.2


def _shoot(canvas: Canvas, plant: Plant) -> None:
    for organ in plant.organs:
        if organ.kind == "root":
            continue
        for polygon in organ.polygons:
            corners = list(zip(polygon[::2], polygon[1::2], strict=False))
            canvas.line([*corners, *corners[:1]], 1.6 * canvas.unit, color_of(plant.id), _ALPHA)


def _number(canvas: Canvas, plant: Plant) -> None:
    """Write a plant's number above it, with an exclamation mark if something must be known about it."""
    anchor = _top(plant)
    place = canvas.place(anchor) if anchor is not None else None
    if place is None:
        return
    text = f"{plant.id} !" if plant.flags else str(plant.id)
    canvas.label((place[0], place[1] - 34 * canvas.unit), text, 26 * canvas.unit, color_of(plant.id))


def _top(plant: Plant) -> XY | None:
    """Return the highest place known of a plant: of its shoot or seed, else of its landmarks, else its roots."""
    above_ground = [
        corner
        for organ in plant.organs
        if organ.kind != "root"
        for polygon in organ.polygons
        for corner in zip(polygon[::2], polygon[1::2], strict=False)
    ]
    marks = [(landmark.x, landmark.y) for landmark in plant.landmarks]
    points = [point for root in plant.roots for point in root.points]
    places = above_ground or marks or points
    return min(places, key=lambda place: place[1]) if places else None


def mark(canvas: Canvas, kind: str, at: XY, color: RGB) -> None:
    """Draw a landmark: a ring at a root base or lateral tip, a triangle below a primary tip, else a square."""
    unit = canvas.unit
    if kind == "root_base":
        canvas.ring(at, 8.4 * unit, 3.6 * unit, INK, 130)
        canvas.ring(at, 7.6 * unit, 2.2 * unit, color, 255)
    elif kind == "primary_tip":
        canvas.shape(at, _scaled([(0, 4), (-8, 19), (8, 19)], unit), color, 255)
    elif kind == "lateral_tip":
        canvas.ring(at, 5.8 * unit, 3.2 * unit, INK, 130)
        canvas.ring(at, 5.0 * unit, 1.8 * unit, color, 255)
    else:
        canvas.shape(at, _scaled([(-5, -5), (5, -5), (5, 5), (-5, 5)], unit), color, 255)


def flag_mark(canvas: Canvas, code: str, at: XY) -> None:
    """Draw a flag at its place: a white ring where roots cross, a warning triangle right of it elsewhere."""
    unit = canvas.unit
    if "cross" in code:
        for color, width, alpha in ((INK, 5.0, 140), (WHITE, 2.4, 255)):
            canvas.ring(at, (13 + width / 2) * unit, width * unit, color, alpha)
        return
    canvas.shape(at, _scaled([(22, -12), (10, 9), (34, 9)], unit), WHITE, 240)
    canvas.shape(at, _scaled([(20.6, -6), (23.4, -6), (22.8, 2), (21.2, 2)], unit), INK, 255)
    canvas.shape(at, _scaled([(20.8, 4), (23.2, 4), (23.2, 6), (20.8, 6)], unit), INK, 255)


def _scaled(corners: Sequence[XY], unit: float) -> list[XY]:
    return [(dx * unit, dy * unit) for dx, dy in corners]
