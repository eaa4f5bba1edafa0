"""Whole plates and crops of them, drawn from a seed, with the truth that a scientist would have to trace by hand."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thale.contract import Landmark, LandmarkKind
from thale_models.synthesis import camera, scenery
from thale_models.synthesis.canvas import Canvas, Colour, Points
from thale_models.synthesis.scenery import PLATE_MM, Pose
from thale_models.synthesis.seedling import Bed, GrownRoot, Habit, Leaf, Seed, Seedling, grow, seed_at

Style = Literal["backlit", "dark"]
ROOT, SHOOT, SEED = 1, 2, 3
LEAST_ROOT_RADIUS_PX = 1.25


@dataclass(frozen=True)
class PlateSpec:
    """What is decided before a plate is drawn. Every field may be overridden in `draw_plate`."""

    style: Style
    width: int
    height: int
    px_per_mm: float
    tilt_deg: float
    centre_xy: tuple[float, float]
    plants: int
    habit: Habit
    label: Literal["none", "left", "right"]
    contrast: float
    blur_px: float
    noise: float
    jpeg_quality: int | None

    @property
    def pose(self) -> Pose:
        """Where the plate lies in the picture."""
        return Pose(self.centre_xy, self.px_per_mm * PLATE_MM, self.tilt_deg)


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
    """One plant as it was drawn, numbered from 1 from left to right."""

    id: int
    roots: tuple[TrueRoot, ...]


@dataclass(frozen=True)
class SyntheticPlate:
    """A drawn photograph and its truth in source pixels. `encoded` is the file that `image_HW3` was read from."""

    seed: int
    spec: PlateSpec
    image_HW3: NDArray[np.uint8]
    mask_HW: NDArray[np.uint8]
    landmarks: tuple[Landmark, ...]
    plants: tuple[TruePlant, ...]
    mm_per_px: float
    corners: tuple[tuple[float, float], ...]
    encoded: bytes


def draw_plate(seed: int, **overrides: object) -> SyntheticPlate:
    """Return a plate drawn from a seed: the same seed and overrides give the same bytes.

    Args:
        seed: Any non-negative integer.
        overrides: Fields of `PlateSpec`, such as plants=0, style="dark", width=2500, height=2300. Where the size is
            given and the scale is not, the plate is shrunk to fit.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    return _draw(seed, rng, spec, (0, 0), (spec.height, spec.width))


def draw_crop(seed: int, size: int = 512, **overrides: object) -> SyntheticPlate:
    """Return a square window of `size` px of a plate, most often on a plant: the cheap way to many training examples.

    Landmarks are those in the window; root polylines stay whole and may leave it.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    spread = np.array([42, 36]) if rng.random() < 0.65 else np.array([62, 62])
    centre = spec.pose.to_px(PLATE_MM / 2 + rng.uniform(-1, 1, 2) * spread - [0, rng.uniform(0, 20)])
    left, top = (int(value) for value in np.round(centre - size / 2))
    return _draw(seed, rng, spec, (left, top), (size, size))


def sample_spec(rng: np.random.Generator, **overrides: object) -> PlateSpec:
    """Draw the plan of a plate over the ranges of real cameras and plants, then apply the overrides."""
    dark = overrides.get("style", "dark" if rng.random() < 0.3 else "backlit") == "dark"
    px_per_mm = rng.uniform(14.5, 19.7) if not dark else rng.uniform(15, 23)
    wide = rng.random() < 0.4
    side = px_per_mm * PLATE_MM
    width, height = (4288, 2848) if wide else (int(side * rng.uniform(1.04, 1.3)), int(side * rng.uniform(1.04, 1.15)))
    if dark and wide:
        width, height = 4200, 3000
    width, height = int(overrides.get("width", width)), int(overrides.get("height", height))  # type: ignore[call-overload]
    px_per_mm = min(px_per_mm, min(width, height) / (PLATE_MM * 1.02))
    tilt = float(np.clip(rng.normal(0, 1.5), -5, 5))
    spec = PlateSpec(
        style="dark" if dark else "backlit",
        width=width,
        height=height,
        px_per_mm=px_per_mm,
        tilt_deg=tilt,
        centre_xy=(0.0, 0.0),
        plants=int(rng.choice(9, p=[0.03, 0.03, 0.05, 0.07, 0.12, 0.45, 0.12, 0.08, 0.05])),
        habit=Habit.sample(rng, px_per_mm),
        label=str(rng.choice(["none", "left", "right"], p=[0.4, 0.15, 0.45])),  # type: ignore[arg-type]
        contrast=rng.uniform(0.025, 0.16) if not dark else rng.uniform(0.35, 2.5),
        blur_px=rng.uniform(0.5, 1.3),
        noise=rng.uniform(0.8, 2.2),
        jpeg_quality=None if dark and rng.random() < 0.7 else int(rng.integers(70, 97)),
    )
    spec = replace(spec, **overrides)  # type: ignore[arg-type]
    if "centre_xy" not in overrides:
        spec = replace(spec, centre_xy=_centre(rng, spec))
    return spec


def _centre(rng: np.random.Generator, spec: PlateSpec) -> tuple[float, float]:
    angle = np.deg2rad(abs(spec.tilt_deg))
    reach = spec.px_per_mm * PLATE_MM / 2 * (np.cos(angle) + np.sin(angle) - 0.15 * np.sin(angle))
    room = np.maximum(np.array([spec.width, spec.height]) / 2 - reach - 2, 0)
    x, y = (np.array([spec.width, spec.height]) - 1) / 2 + rng.uniform(-1, 1, 2) * room
    return float(x), float(y)


def _draw(
    seed: int, rng: np.random.Generator, spec: PlateSpec, origin: tuple[int, int], shape: tuple[int, int]
) -> SyntheticPlate:
    canvas = Canvas(*shape, spec.blur_px, origin)
    seedlings, seeds = _sow(rng, spec)
    _draw_dish(rng, canvas, spec)
    plants = tuple(_draw_seedling(rng, canvas, spec, number, s) for number, s in enumerate(seedlings, start=1))
    for seed_coat in [*seeds, *(s.seed_coat for s in seedlings if s.seed_coat)]:
        _draw_seed(rng, canvas, spec, seed_coat)
    scenery.dust(rng, canvas, spec.pose, spec.style == "dark")
    grey = spec.style == "dark"
    encoded = camera.save(camera.expose(rng, canvas.picture_HW3, spec.noise, grey), grey, spec.jpeg_quality)
    plants = tuple(_shifted(plant, canvas.origin) for plant in plants)
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


def _sow(rng: np.random.Generator, spec: PlateSpec) -> tuple[list[Seedling], list[Seed]]:
    """Plant a row of seedlings from left to right, and the seeds that did not germinate."""
    bed = Bed(24 if spec.label == "left" else 8, 7, 96 if spec.label == "right" else 112, 112)
    row = rng.uniform(11, 28)
    room = bed.right - bed.left - 8
    spacing = min(rng.uniform(18, 22) if rng.random() < 0.8 else rng.uniform(6, 18), room / max(1, spec.plants - 1))
    start = bed.left + 4 + rng.uniform(0.2, 0.8) * max(0.0, room - spacing * max(0, spec.plants - 1))
    places = [
        (
            float(np.clip(start + spacing * i + rng.normal(0, spacing * 0.06), bed.left + 2, bed.right - 2)),
            row + rng.normal(0, 1.3),
        )
        for i in range(spec.plants)
    ]
    seedlings = [grow(rng, place, spec.habit, bed) for place in sorted(places)]
    loose = rng.poisson(0.8)
    seeds = [seed_at(rng, rng.uniform(bed.left, bed.right), row + rng.normal(0, 4)) for _ in range(loose)]
    return seedlings, seeds


def _draw_dish(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec) -> None:
    dark, pose = spec.style == "dark", spec.pose
    if dark:
        scenery.light_dark(rng, canvas, pose, spec.width, spec.height)
    else:
        scenery.light_backlit(rng, canvas, spec.width, spec.height)
    scenery.rims(rng, canvas, pose, dark)
    if spec.label != "none":
        scenery.label(rng, canvas, pose, spec.label == "right", dark)
    if rng.random() < (0.1 if dark else 0.55):
        scenery.corner_marks(rng, canvas, pose)
    if rng.random() < 0.2:
        scenery.handwriting(rng, canvas, pose)
    for _ in range(rng.poisson(0.5)):
        scenery.condensation(rng, canvas, pose, dark)


def _draw_seedling(
    rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, number: int, seedling: Seedling
) -> TruePlant:
    contrast = spec.contrast * rng.uniform(0.8, 1.2)
    ids: list[str] = []
    roots = []
    for index, root in enumerate(seedling.roots):
        ids.append(f"{number}.{index + 1}")
        points = spec.pose.to_px(root.points_mm)
        width = _draw_root(rng, canvas, spec, root, points, contrast)
        parent = None if root.parent is None else ids[root.parent]
        polyline = tuple((float(x), float(y)) for x, y in points)
        roots.append(TrueRoot(ids[-1], root.order, parent, polyline, width))
    _draw_shoot(rng, canvas, spec, seedling, contrast)
    return TruePlant(number, tuple(roots))


def _draw_root(
    rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, root: GrownRoot, points: Points, contrast: float
) -> float:
    width = float(np.clip(root.width_mm * spec.px_per_mm, 2.0, 14.0))
    taper = np.ones(len(points))
    taper[-4:] = np.linspace(1, 0.6, min(4, len(points)))[-len(points[-4:]) :]
    mark = canvas.stroke(points, width / 2 * taper)
    strength = max(contrast * (1 - root.paleness), 0.022)
    coverage = mark.coverage(canvas.blur_px)
    # A root is a translucent cylinder: seen against the light its middle is clearer than its edges.
    coverage = coverage - rng.uniform(0.0, 0.45) * mark.coverage(canvas.blur_px, 0.45)
    tint = rng.normal(1, 0.08, 3) if spec.style == "backlit" else np.ones(3)
    sign = 1 if spec.style == "dark" else -1
    canvas.shade(mark, np.asarray(1 + sign * strength * tint, np.float32), coverage)
    canvas.label(mark, ROOT, LEAST_ROOT_RADIUS_PX)
    return width


def _draw_shoot(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, seedling: Seedling, contrast: float) -> None:
    dark, pose = spec.style == "dark", spec.pose
    sign = 1 if dark else -1
    green = np.array([1.3, 0.7, 1.5]) if not dark else np.ones(3)
    stem = canvas.stroke(pose.to_px(seedling.hypocotyl_mm), seedling.hypocotyl_width_mm / 2 * pose.px_per_mm)
    canvas.shade(stem, np.clip(1 + sign * contrast * rng.uniform(1.0, 2.2) * green, 0.2, 5).astype(np.float32))
    canvas.label(stem, SHOOT, LEAST_ROOT_RADIUS_PX)
    for leaf in seedling.leaves:
        _draw_leaf(rng, canvas, spec, leaf)


def _draw_leaf(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, leaf: Leaf) -> None:
    pose = spec.pose
    colour: Colour = np.array([rng.uniform(40, 95), rng.uniform(90, 140), rng.uniform(25, 65)], np.float32)
    if spec.style == "dark":
        colour = np.full(3, rng.uniform(100, 235), np.float32)
    petiole = canvas.stroke(pose.to_px(leaf.petiole_mm), max(1.2, 0.12 * pose.px_per_mm))
    canvas.paint(petiole, colour, 0.7)
    canvas.label(petiole, SHOOT)
    semi_axes = (leaf.semi_axes_mm[0] * pose.px_per_mm, leaf.semi_axes_mm[1] * pose.px_per_mm)
    angle = leaf.angle + np.deg2rad(pose.tilt_deg)
    blade = canvas.ellipse(pose.to_px(np.array(leaf.centre_mm)), semi_axes, angle, leaf.bend)
    middle = np.clip(1 - blade.distance / np.maximum(blade.radius, 1), 0, 1)
    shading = rng.uniform(0.75, 1.0) + rng.uniform(-0.2, 0.4) * middle
    canvas.paint(blade, colour * shading[:, None], rng.uniform(0.8, 1.0))
    canvas.label(blade, SHOOT)


def _draw_seed(rng: np.random.Generator, canvas: Canvas, spec: PlateSpec, seed: Seed) -> None:
    pose = spec.pose
    brown: Colour = np.array([85, 50, 40], np.float32) * rng.uniform(0.6, 1.4)
    if spec.style == "dark":
        brown = np.full(3, rng.uniform(70, 200), np.float32)
    semi_axes = (seed.semi_axes_mm[0] * pose.px_per_mm, seed.semi_axes_mm[1] * pose.px_per_mm)
    mark = canvas.ellipse(pose.to_px(np.array(seed.centre_mm)), semi_axes, seed.angle)
    core = np.exp(-((mark.distance / np.maximum(mark.radius * 0.5, 0.5)) ** 2))[:, None]
    canvas.paint(mark, brown * (0.75 + rng.uniform(0, 1.0) * core), rng.uniform(0.75, 1.0))
    canvas.label(mark, SEED)


def _shifted(plant: TruePlant, origin: NDArray[np.float64]) -> TruePlant:
    dx, dy = origin
    return replace(
        plant,
        roots=tuple(replace(root, points=tuple((x - dx, y - dy) for x, y in root.points)) for root in plant.roots),
    )


def _landmarks(plant: TruePlant, shape: tuple[int, int]) -> list[Landmark]:
    marks: list[tuple[LandmarkKind, tuple[float, float]]] = [("root_base", plant.roots[0].points[0])]
    marks += [("primary_tip" if root.order == 1 else "lateral_tip", root.points[-1]) for root in plant.roots]
    height, width = shape
    return [
        Landmark(kind=kind, x=x, y=y, score=1.0)
        for kind, (x, y) in marks
        if -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    ]
