"""Annotations on the photograph: plate, roots, shoots, landmarks, flags and plant numbers, in this order."""

from collections.abc import Sequence

from thale.exports.overlay.canvas import DARK, RGB, WHITE, XY, OverlayCanvas, color_of
from thale.phenotyping.plates import split_plates
from thale.schemas import Flag, Phenotype, Plant, Plate, PlateMeasurement

_ROOT_PX = 4.0
"""Free width between the two lines of a root, in an output image of 2000 px."""

_ALPHA = 215


def draw_annotations(canvas: OverlayCanvas, phenotype: Phenotype) -> None:
    """Draw every annotation that has a position."""
    for part in split_plates(phenotype):
        if part.plate is not None:
            _draw_plate(canvas, part.plate)
    if len(phenotype.plates) > 1:
        for measured in phenotype.plates:
            _draw_plate_number(canvas, measured)
    _draw_roots(canvas, phenotype.plants)
    for plant in phenotype.plants:
        _draw_shoot(canvas, plant)
        for landmark in plant.landmarks:
            draw_landmark(canvas, landmark.kind, (landmark.x, landmark.y), color_of(plant.id))
    for flag in all_flags(phenotype):
        if flag.at is not None:
            draw_flag(canvas, flag.code, (flag.at.x, flag.at.y))
    for plant in phenotype.plants:
        _draw_plant_number(canvas, plant)


def all_flags(phenotype: Phenotype) -> list[Flag]:
    """Return the distinct flags of the image, its plants, their roots and their traits."""
    flags = [*phenotype.flags, *(flag for trait in phenotype.traits for flag in trait.flags)]
    for plant in phenotype.plants:
        flags += plant.flags
        flags += [flag for root in plant.roots for flag in root.flags]
        flags += [flag for trait in plant.traits for flag in trait.flags]
    return list(dict.fromkeys(flags))


def _draw_plate(canvas: OverlayCanvas, plate: Plate) -> None:
    corners = [(corner.x, corner.y) for corner in plate.corners]
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        for color, alpha, width in ((DARK, 110, 3.0), (WHITE, 200, 1.4)):
            canvas.dashed_line(start, end, 14 * canvas.unit, width * canvas.unit, color, alpha)


def _draw_plate_number(canvas: OverlayCanvas, measured: PlateMeasurement) -> None:
    """Draw the number of a plate inside the corner that is its top left when it is upright."""
    (x, y), (far_x, far_y) = ((measured.plate.corners[index].x, measured.plate.corners[index].y) for index in (0, 2))
    anchor = canvas.to_canvas_xy((x + 0.12 * (far_x - x), y + 0.06 * (far_y - y)))
    if anchor is not None:
        canvas.label(anchor, f"plate {measured.id}", 26 * canvas.unit, DARK)


def _draw_roots(canvas: OverlayCanvas, plants: Sequence[Plant]) -> None:
    """Draw all roots wide, then erase their interior, so that the outlines of connected roots are connected too."""
    roots = [(root, color_of(plant.id)) for plant in plants for root in plant.roots if root.points]
    roots.sort(key=lambda item: -item[0].order)
    free = _ROOT_PX * canvas.unit
    for root, _ in roots:
        canvas.line(root.points, free + 2 * (_line_width(root.order) + 1) * canvas.unit, DARK, 70)
    for root, color in roots:
        canvas.line(root.points, free + 2 * _line_width(root.order) * canvas.unit, color, _ALPHA)
    for root, color in roots:
        canvas.line(root.points, free, color, 0)


def _line_width(order: int) -> float:
    return 2.2 if order == 1 else 1.2


def _draw_shoot(canvas: OverlayCanvas, plant: Plant) -> None:
    for organ in plant.organs:
        if organ.kind == "root":
            continue
        for polygon in organ.polygons:
            corners = list(zip(polygon[::2], polygon[1::2], strict=False))
            canvas.line([*corners, *corners[:1]], 1.6 * canvas.unit, color_of(plant.id), _ALPHA)


def _draw_plant_number(canvas: OverlayCanvas, plant: Plant) -> None:
    """Draw the number of a plant above it, with an exclamation mark if the plant has flags."""
    anchor = _highest_point(plant)
    anchor_px = canvas.to_canvas_xy(anchor) if anchor is not None else None
    if anchor_px is None:
        return
    text = f"{plant.id} !" if plant.flags else str(plant.id)
    canvas.label((anchor_px[0], anchor_px[1] - 34 * canvas.unit), text, 26 * canvas.unit, color_of(plant.id))


def _highest_point(plant: Plant) -> XY | None:
    """Return the topmost point of a plant: of its shoot or seed, else of its landmarks, else of its roots."""
    above_ground = [
        corner
        for organ in plant.organs
        if organ.kind != "root"
        for polygon in organ.polygons
        for corner in zip(polygon[::2], polygon[1::2], strict=False)
    ]
    landmarks = [(landmark.x, landmark.y) for landmark in plant.landmarks]
    points = [point for root in plant.roots for point in root.points]
    candidates = above_ground or landmarks or points
    return min(candidates, key=lambda candidate: candidate[1]) if candidates else None


def draw_landmark(canvas: OverlayCanvas, kind: str, at: XY, color: RGB) -> None:
    """Draw a landmark: a circle at a root base or lateral tip, a triangle below a primary tip, else a square."""
    unit = canvas.unit
    if kind == "root_base":
        canvas.circle(at, 8.4 * unit, 3.6 * unit, DARK, 130)
        canvas.circle(at, 7.6 * unit, 2.2 * unit, color, 255)
    elif kind == "primary_tip":
        canvas.polygon(at, _scale_corners([(0, 4), (-8, 19), (8, 19)], unit), color, 255)
    elif kind == "lateral_tip":
        canvas.circle(at, 5.8 * unit, 3.2 * unit, DARK, 130)
        canvas.circle(at, 5.0 * unit, 1.8 * unit, color, 255)
    else:
        canvas.polygon(at, _scale_corners([(-5, -5), (5, -5), (5, 5), (-5, 5)], unit), color, 255)


def draw_flag(canvas: OverlayCanvas, code: str, at: XY) -> None:
    """Draw a flag: a white circle around a crossing, or a warning triangle to the right of any other position."""
    unit = canvas.unit
    if "cross" in code:
        for color, width, alpha in ((DARK, 5.0, 140), (WHITE, 2.4, 255)):
            canvas.circle(at, (13 + width / 2) * unit, width * unit, color, alpha)
        return
    canvas.polygon(at, _scale_corners([(22, -12), (10, 9), (34, 9)], unit), WHITE, 240)
    canvas.polygon(at, _scale_corners([(20.6, -6), (23.4, -6), (22.8, 2), (21.2, 2)], unit), DARK, 255)
    canvas.polygon(at, _scale_corners([(20.8, 4), (23.2, 4), (23.2, 6), (20.8, 6)], unit), DARK, 255)


def _scale_corners(corners: Sequence[XY], unit: float) -> list[XY]:
    return [(dx * unit, dy * unit) for dx, dy in corners]
