"""Whole plates and crops of them, drawn from a seed, with the truth that a scientist would have to trace by hand."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Landmark, LandmarkKind
from thale_models.synthesis import camera, clutter, plate_background
from thale_models.synthesis.drawing import Canvas
from thale_models.synthesis.organs import Brush
from thale_models.synthesis.plate_background import PLATE_MM
from thale_models.synthesis.plate_spec import Overrides, PlateSpec, sample_spec
from thale_models.synthesis.seedling import Bed, Seed, Seedling, grow, seed_at


@dataclass(frozen=True)
class TrueRoot:
    """One root as it was drawn. Order 1 is the primary; `parent` is the id of the root it grows from."""

    id: str
    order: int
    parent: str | None
    points: tuple[tuple[float, float], ...]
    width_px: float


@dataclass(frozen=True)
class TruePlant:
    """One plant as it was drawn, numbered from 1 from left to right.

    `leaves` counts those that are seen (`Brush.shoot`); of the hypocotyl, what leaves hide is counted in.
    """

    id: int
    roots: tuple[TrueRoot, ...]
    hypocotyl_px: float
    leaves: int


@dataclass(frozen=True)
class SyntheticPlate:
    """A drawn photograph and its truth, all places in pixels of `image_HW3`.

    `mask_HW` holds 0 background, 1 root, 2 shoot (hypocotyl and leaves), 3 seed. `corners` are those of the plate's
    outer square before rounding: top left, top right, bottom right, bottom left. `encoded` is the file (JPEG or PNG)
    that `image_HW3` was read from.
    """

    seed: int
    spec: PlateSpec
    image_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.uint8]
    landmarks: tuple[Landmark, ...]
    plants: tuple[TruePlant, ...]
    mm_per_px: float
    corners: tuple[tuple[float, float], ...]
    encoded: bytes


@dataclass(frozen=True)
class _Sown:
    """What grows on a plate."""

    seedlings: tuple[Seedling, ...]
    seeds: tuple[Seed, ...]


def draw_plate(seed: int, **overrides: Unpack[Overrides]) -> SyntheticPlate:
    """Return a plate drawn from a seed: the same seed and overrides give the same bytes.

    Args:
        seed: Any non-negative integer.
        overrides: Fields of `PlateSpec`, such as plants=0, style="dark", width=2500, height=2300. Where the size is
            given and the scale is not, the plate is shrunk to fit.

    Raises:
        ValueError: If an override makes no sense.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    return _draw(seed, rng, spec, _sow(rng, spec), (0, 0), (spec.height, spec.width))


def draw_crop(seed: int, size: int = 512, **overrides: Unpack[Overrides]) -> SyntheticPlate:
    """Return a square window of `size` px of a plate, most often on a plant: the cheap way to many training examples.

    Landmarks are those in the window; root polylines stay whole and may leave it.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    sown = _sow(rng, spec)
    centre = spec.pose.to_px(_place_to_look_at(rng, sown))
    left, top = (int(value) for value in np.round(centre - size / 2 + rng.uniform(-0.3, 0.3, 2) * size))
    return _draw(seed, rng, spec, sown, (left, top), (size, size))


def _sow(rng: np.random.Generator, spec: PlateSpec) -> _Sown:
    """Plant a row of seedlings from left to right, and strew the seeds that did not germinate."""
    bed = Bed(24 if spec.label == "left" else 8, 7, 96 if spec.label == "right" else 112, 112)
    row = rng.uniform(11, 28)
    room = bed.right - bed.left - 8
    wanted = rng.uniform(18, 22) if rng.random() < 0.8 else rng.uniform(6, 18)
    spacing = min(wanted, room / max(1, spec.plants - 1))
    start = bed.left + 4 + rng.uniform(0.2, 0.8) * (room - spacing * max(0, spec.plants - 1))
    columns = start + spacing * np.arange(spec.plants) + rng.normal(0, 0.06, spec.plants) * spacing
    columns = np.sort(np.clip(columns, bed.left + 2, bed.right - 2))
    seedlings = tuple(grow(rng, (float(x), row + rng.normal(0, 1.3)), spec.habit, bed) for x in columns)
    loose = rng.poisson(0.8)
    seeds = tuple(seed_at(rng, rng.uniform(bed.left, bed.right), row + rng.normal(0, 4)) for _ in range(loose))
    return _Sown(seedlings, seeds)


def _place_to_look_at(rng: np.random.Generator, sown: _Sown) -> NDArray[np.float64]:
    """Return a place in mm: two times in three a root or a shoot, else anywhere on the plate, its rims included."""
    if not sown.seedlings or rng.random() < 0.33:
        return rng.uniform(0, PLATE_MM, 2)
    seedling = sown.seedlings[rng.integers(len(sown.seedlings))]
    line = seedling.hypocotyl_mm if rng.random() < 0.3 else seedling.roots[rng.integers(len(seedling.roots))].points_mm
    return np.asarray(line[rng.integers(len(line))])


def _draw(
    seed: int, rng: np.random.Generator, spec: PlateSpec, sown: _Sown, origin: tuple[int, int], shape: tuple[int, int]
) -> SyntheticPlate:
    canvas = Canvas(*shape, spec.blur_px, origin)
    _draw_dish(rng, canvas, spec)
    plants = _draw_plants(rng, canvas, spec, sown)
    grey = spec.style == "dark"
    clutter.dust(rng, canvas, spec.pose, grey)
    encoded = camera.save(camera.expose(rng, canvas.picture_HW3, spec.noise, grey), grey, spec.jpeg_quality)
    return SyntheticPlate(
        seed=seed,
        spec=spec,
        image_HW3=camera.load(encoded),
        mask_HW=canvas.mask_HW,
        landmarks=tuple(mark for plant in plants for mark in _landmarks(plant, shape)),
        plants=plants,
        mm_per_px=1.0 / spec.px_per_mm,
        corners=tuple((float(x), float(y)) for x, y in spec.pose.corners() - canvas.origin),
        encoded=encoded,
    )


def _draw_dish(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec) -> None:
    dark, pose = spec.style == "dark", spec.pose
    if dark:
        plate_background.light_dark(rng, canvas, pose, spec.width, spec.height)
    else:
        plate_background.light_backlit(rng, canvas, spec.width, spec.height)
    plate_background.rims(rng, canvas, pose, dark)
    if spec.label != "none":
        clutter.label(rng, canvas, pose, spec.label == "right", dark)
    if rng.random() < (0.1 if dark else 0.55):
        clutter.corner_marks(rng, canvas, pose)
    if rng.random() < 0.2:
        clutter.handwriting(rng, canvas, pose)
    for _ in range(rng.poisson(0.5)):
        clutter.condensation(rng, canvas, pose, dark)


def _draw_plants(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, sown: _Sown) -> tuple[TruePlant, ...]:
    """Draw all roots, then all shoots over them, then seeds, as they lie on each other on a real plate."""
    brush = Brush(rng, canvas, spec)
    contrasts = spec.contrast * rng.uniform(0.8, 1.2, len(sown.seedlings))
    grown = list(zip(sown.seedlings, contrasts, strict=True))
    roots = [_draw_roots(brush, number, seedling, contrast) for number, (seedling, contrast) in enumerate(grown, 1)]
    leaves = [brush.shoot(seedling, contrast) for seedling, contrast in grown]
    for seed in [*sown.seeds, *(s.seed_coat for s in sown.seedlings if s.seed_coat)]:
        brush.seed(seed)
    return tuple(
        TruePlant(number, roots[number - 1], seedling.hypocotyl_length_mm * spec.px_per_mm, leaves[number - 1])
        for number, seedling in enumerate(sown.seedlings, start=1)
    )


def _draw_roots(brush: Brush, number: int, seedling: Seedling, contrast: float) -> tuple[TrueRoot, ...]:
    roots: list[TrueRoot] = []
    for index, grown in enumerate(seedling.roots, start=1):
        points = brush.pose.to_px(grown.points_mm)
        width = brush.root(grown, points, contrast)
        parent = None if grown.parent is None else roots[grown.parent].id
        seen = tuple((float(x), float(y)) for x, y in points - brush.canvas.origin)
        roots.append(TrueRoot(f"{number}.{index}", grown.order, parent, seen, width))
    return tuple(roots)


def _landmarks(plant: TruePlant, shape: tuple[int, int]) -> list[Landmark]:
    marks: list[tuple[LandmarkKind, tuple[float, float]]] = [("root_base", plant.roots[0].points[0])]
    marks += [("primary_tip" if root.order == 1 else "lateral_tip", root.points[-1]) for root in plant.roots]
    height, width = shape
    return [
        Landmark(kind=kind, x=x, y=y, score=1.0)
        for kind, (x, y) in marks
        if -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    ]
