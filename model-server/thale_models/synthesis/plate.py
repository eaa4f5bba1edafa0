"""Synthetic plates and crops, rendered from a seed, with ground truth that would otherwise be traced by hand."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Landmark, LandmarkKind
from thale_models.synthesis import camera, clutter, plate_background
from thale_models.synthesis.drawing import PlateCanvas
from thale_models.synthesis.organs import OrganRenderer
from thale_models.synthesis.plate_background import PLATE_SIDE_MM
from thale_models.synthesis.plate_spec import Overrides, PlateSpec, sample_spec
from thale_models.synthesis.seedling import GrowingArea, Seed, Seedling, grow_seedling, sample_seed


@dataclass(frozen=True)
class TrueRoot:
    """One root as rendered. Order 1 is the primary root. `parent` is the id of the parent root."""

    id: str
    order: int
    parent: str | None
    points: tuple[tuple[float, float], ...]
    width_px: float


@dataclass(frozen=True)
class TruePlant:
    """One plant as rendered, numbered from 1 from left to right.

    `leaves` counts visible leaves (`OrganRenderer.draw_shoot`). `hypocotyl_px` includes the part under leaves.
    """

    id: int
    roots: tuple[TrueRoot, ...]
    hypocotyl_px: float
    leaves: int


@dataclass(frozen=True)
class SyntheticPlate:
    """A rendered photograph and its ground truth. All positions are in pixels of `image_HW3`.

    The classes of `mask_HW` are 0 background, 1 root, 2 shoot (hypocotyl and leaves), and 3 seed. `corners` are the
    corners of the outer square of the plate before rounding: top left, top right, bottom right, bottom left. `encoded`
    is the file (JPEG or PNG) that `image_HW3` is decoded from.
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
class _SownPlate:
    """Seedlings and seeds of a plate."""

    seedlings: tuple[Seedling, ...]
    seeds: tuple[Seed, ...]


def draw_plate(seed: int, **overrides: Unpack[Overrides]) -> SyntheticPlate:
    """Return a plate rendered from a seed. The same seed and overrides give the same bytes.

    Args:
        seed: Any non-negative integer.
        overrides: Fields of `PlateSpec`, such as plants=0, style="dark", width=2500, height=2300. If the size is given
            without a scale, the plate is reduced to fit.

    Raises:
        ValueError: If an override is invalid.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    return _render_plate(seed, rng, spec, _sow(rng, spec), (0, 0), (spec.height, spec.width))


def draw_crop(seed: int, size: int = 512, **overrides: Unpack[Overrides]) -> SyntheticPlate:
    """Return a square window of `size` px of a plate, in two of three cases on a plant.

    A crop costs a fraction of a whole plate. Landmarks are limited to the window. Root polylines are complete and may
    extend beyond it.
    """
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng, **overrides)
    sown_plate = _sow(rng, spec)
    centre = spec.pose.to_px(_sample_crop_centre_mm(rng, sown_plate))
    left, top = (int(value) for value in np.round(centre - size / 2 + rng.uniform(-0.3, 0.3, 2) * size))
    return _render_plate(seed, rng, spec, sown_plate, (left, top), (size, size))


def _sow(rng: np.random.Generator, spec: PlateSpec) -> _SownPlate:
    """Return a row of seedlings from left to right, and seeds that did not germinate."""
    growing_area = _growing_area(rng, spec)
    row_y_mm = rng.uniform(11, 28)
    available_mm = growing_area.right - growing_area.left - 8
    target_spacing_mm = rng.uniform(18, 22) if rng.random() < (0.4 if spec.hard else 0.8) else rng.uniform(6, 18)
    spacing = min(target_spacing_mm, available_mm / max(1, spec.plants - 1))
    start = growing_area.left + 4 + rng.uniform(0.2, 0.8) * (available_mm - spacing * max(0, spec.plants - 1))
    columns = start + spacing * np.arange(spec.plants) + rng.normal(0, 0.06, spec.plants) * spacing
    columns = np.sort(np.clip(columns, growing_area.left + 2, growing_area.right - 2))
    seedlings = tuple(
        grow_seedling(rng, (float(x), row_y_mm + rng.normal(0, 1.3)), spec.habit, growing_area) for x in columns
    )
    loose_seed_count = rng.poisson(0.8)
    seeds = tuple(
        sample_seed(rng, rng.uniform(growing_area.left, growing_area.right), row_y_mm + rng.normal(0, 4))
        for _ in range(loose_seed_count)
    )
    return _SownPlate(seedlings, seeds)


def _growing_area(rng: np.random.Generator, spec: PlateSpec) -> GrowingArea:
    """Return the area of the roots. On half of the hard plates roots reach the inner rim."""
    margin = rng.uniform(3, 6) if spec.hard and rng.random() < 0.5 else 8.0
    left = 24.0 if spec.label == "left" else margin
    right = 96.0 if spec.label == "right" else PLATE_SIDE_MM - margin
    return GrowingArea(left, 7, right, PLATE_SIDE_MM - margin)


def _sample_crop_centre_mm(rng: np.random.Generator, sown_plate: _SownPlate) -> NDArray[np.float64]:
    """Return a position in mm: in two of three cases on a root or shoot, else anywhere on the plate or its rims."""
    if not sown_plate.seedlings or rng.random() < 0.33:
        return rng.uniform(0, PLATE_SIDE_MM, 2)
    seedling = sown_plate.seedlings[rng.integers(len(sown_plate.seedlings))]
    line = seedling.hypocotyl_mm if rng.random() < 0.3 else seedling.roots[rng.integers(len(seedling.roots))].points_mm
    return np.asarray(line[rng.integers(len(line))])


def _render_plate(
    seed: int,
    rng: np.random.Generator,
    spec: PlateSpec,
    sown_plate: _SownPlate,
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> SyntheticPlate:
    canvas = PlateCanvas(*shape, spec.blur_px, origin)
    _draw_background(rng, canvas, spec)
    plants = _draw_plants(rng, canvas, spec, sown_plate)
    grey = spec.style == "dark"
    clutter.draw_dust(rng, canvas, spec.pose, grey)
    encoded = camera.encode_image(camera.apply_sensor(rng, canvas.image_HW3, spec.noise, grey), grey, spec.jpeg_quality)
    return SyntheticPlate(
        seed=seed,
        spec=spec,
        image_HW3=camera.decode_image(encoded),
        mask_HW=canvas.mask_HW,
        landmarks=tuple(landmark for plant in plants for landmark in _visible_landmarks(plant, shape)),
        plants=plants,
        mm_per_px=1.0 / spec.px_per_mm,
        corners=tuple((float(x), float(y)) for x, y in spec.pose.corners() - canvas.origin),
        encoded=encoded,
    )


def _draw_background(rng: np.random.Generator, canvas: PlateCanvas, spec: PlateSpec) -> None:
    dark, pose = spec.style == "dark", spec.pose
    if dark:
        plate_background.draw_dark_background(rng, canvas, pose, spec.width, spec.height)
    else:
        plate_background.draw_backlit_background(rng, canvas, spec.width, spec.height)
    plate_background.draw_rims(rng, canvas, pose, dark, many=spec.hard)
    if spec.label != "none":
        clutter.draw_label(rng, canvas, pose, spec.label == "right", dark)
    if rng.random() < (0.1 if dark else 0.55):
        clutter.draw_corner_marks(rng, canvas, pose)
    if rng.random() < 0.2:
        clutter.draw_handwriting(rng, canvas, pose)
    for _ in range(rng.poisson(0.5)):
        clutter.draw_condensation(rng, canvas, pose, dark)


def _draw_plants(
    rng: np.random.Generator, canvas: PlateCanvas, spec: PlateSpec, sown_plate: _SownPlate
) -> tuple[TruePlant, ...]:
    """Draw all roots, then all shoots, then all seeds, in the order of their layers on a real plate."""
    renderer = OrganRenderer(rng, canvas, spec)
    contrasts = spec.contrast * rng.uniform(0.8, 1.2, len(sown_plate.seedlings))
    seedlings_and_contrasts = list(zip(sown_plate.seedlings, contrasts, strict=True))
    roots = [
        _draw_roots(renderer, number, seedling, contrast)
        for number, (seedling, contrast) in enumerate(seedlings_and_contrasts, 1)
    ]
    leaves = [renderer.draw_shoot(seedling, contrast) for seedling, contrast in seedlings_and_contrasts]
    for seed in [*sown_plate.seeds, *(s.seed_coat for s in sown_plate.seedlings if s.seed_coat)]:
        renderer.draw_seed(seed)
    return tuple(
        TruePlant(number, roots[number - 1], seedling.hypocotyl_length_mm * spec.px_per_mm, leaves[number - 1])
        for number, seedling in enumerate(sown_plate.seedlings, start=1)
    )


def _draw_roots(renderer: OrganRenderer, number: int, seedling: Seedling, contrast: float) -> tuple[TrueRoot, ...]:
    roots: list[TrueRoot] = []
    for index, grown_root in enumerate(seedling.roots, start=1):
        points = renderer.pose.to_px(grown_root.points_mm)
        width = renderer.draw_root(grown_root, points, contrast)
        parent = None if grown_root.parent is None else roots[grown_root.parent].id
        points_px = tuple((float(x), float(y)) for x, y in points - renderer.canvas.origin)
        roots.append(TrueRoot(f"{number}.{index}", grown_root.order, parent, points_px, width))
    return tuple(roots)


def _visible_landmarks(plant: TruePlant, shape: tuple[int, int]) -> list[Landmark]:
    candidates: list[tuple[LandmarkKind, tuple[float, float]]] = [("root_base", plant.roots[0].points[0])]
    candidates += [("primary_tip" if root.order == 1 else "lateral_tip", root.points[-1]) for root in plant.roots]
    height, width = shape
    return [
        Landmark(kind=kind, x=x, y=y, score=1.0)
        for kind, (x, y) in candidates
        if -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    ]
