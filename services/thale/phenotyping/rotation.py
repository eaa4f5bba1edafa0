"""Rotation of a phenotype: from the turned image, in which it was measured, to the original image.

Positions change, traits do not: they belong to the upright plate. A plate's corners keep their order, so the first one
is the top left corner of the upright plate.
"""

from collections.abc import Callable

from thale.schemas import (
    Flag,
    Landmark,
    Organ,
    Phenotype,
    Plant,
    Plate,
    PlateMeasurement,
    Point,
    Root,
    Rotation,
    TraitValue,
)

XY = tuple[float, float]
Move = Callable[[XY], XY]


def rotate_to_original(phenotype: Phenotype) -> Phenotype:
    """Return a phenotype with all positions in pixels of the original image, by its `rotate`."""
    if phenotype.rotate == 0:
        return phenotype
    move = _move_to_original(phenotype.rotate, phenotype.image.width, phenotype.image.height)
    return phenotype.model_copy(
        update={
            "plate": None if phenotype.plate is None else _plate(phenotype.plate, move),
            "plates": tuple(_plate_measurement(plate, move) for plate in phenotype.plates),
            "plants": tuple(_plant(plant, move) for plant in phenotype.plants),
            "traits": _traits(phenotype.traits, move),
            "flags": _flags(phenotype.flags, move),
        }
    )


def _move_to_original(rotate: int, width: int, height: int) -> Move:
    """Return the function from the turned image to the original one, which has this size."""
    moves: dict[int, Move] = {
        90: lambda point: (point[1], height - 1 - point[0]),
        180: lambda point: (width - 1 - point[0], height - 1 - point[1]),
        270: lambda point: (width - 1 - point[1], point[0]),
    }
    return moves[rotate]


def turn_plant(plant: Plant, rotate: Rotation, width: int, height: int) -> Plant:
    """Return a plant of the original image, which has this size, with its positions in the turned image."""
    moves: dict[int, Move] = {
        0: lambda point: point,
        90: lambda point: (height - 1 - point[1], point[0]),
        180: lambda point: (width - 1 - point[0], height - 1 - point[1]),
        270: lambda point: (point[1], width - 1 - point[0]),
    }
    return _plant(plant, moves[rotate])


def turn_traits_back(
    traits: tuple[TraitValue, ...], rotate: Rotation, width: int, height: int
) -> tuple[TraitValue, ...]:
    """Return traits of the turned image with the positions of their flags in the original one, which has this size."""
    return _traits(traits, _move_to_original(rotate, width, height))


def _point(point: Point, move: Move) -> Point:
    x, y = move((point.x, point.y))
    return Point(x=x, y=y)


def _plate(plate: Plate, move: Move) -> Plate:
    return plate.model_copy(update={"corners": tuple(_point(corner, move) for corner in plate.corners)})


def _plate_measurement(measured: PlateMeasurement, move: Move) -> PlateMeasurement:
    return measured.model_copy(
        update={
            "plate": _plate(measured.plate, move),
            "traits": _traits(measured.traits, move),
            "flags": _flags(measured.flags, move),
        }
    )


def _plant(plant: Plant, move: Move) -> Plant:
    return plant.model_copy(
        update={
            "organs": tuple(_organ(organ, move) for organ in plant.organs),
            "landmarks": tuple(_landmark(landmark, move) for landmark in plant.landmarks),
            "roots": tuple(_root(root, move) for root in plant.roots),
            "traits": _traits(plant.traits, move),
            "flags": _flags(plant.flags, move),
        }
    )


def _organ(organ: Organ, move: Move) -> Organ:
    polygons = tuple(
        tuple(value for point in zip(polygon[::2], polygon[1::2], strict=True) for value in move(point))
        for polygon in organ.polygons
    )
    return organ.model_copy(update={"polygons": polygons})


def _landmark(landmark: Landmark, move: Move) -> Landmark:
    x, y = move((landmark.x, landmark.y))
    return landmark.model_copy(update={"x": x, "y": y})


def _root(root: Root, move: Move) -> Root:
    return root.model_copy(
        update={"points": tuple(move(point) for point in root.points), "flags": _flags(root.flags, move)}
    )


def _traits(traits: tuple[TraitValue, ...], move: Move) -> tuple[TraitValue, ...]:
    return tuple(trait.model_copy(update={"flags": _flags(trait.flags, move)}) for trait in traits)


def _flags(flags: tuple[Flag, ...], move: Move) -> tuple[Flag, ...]:
    return tuple(flag if flag.at is None else flag.model_copy(update={"at": _point(flag.at, move)}) for flag in flags)
