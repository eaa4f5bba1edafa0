"""Growth model of a seedling: the geometry of its roots, hypocotyl, leaves and seed coat, in millimetres.

Coordinates are millimetres on the plate, x to the right and y down, from the top left outer corner.
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from thale_models.synthesis.drawing import Points

_STEP_MM = 0.2
_DOWN = np.pi / 2
_WALL_MM = 2.0


@dataclass(frozen=True)
class GrowingArea:
    """Area in which roots may grow, in mm: the inside of the plate without the label."""

    left: float
    top: float
    right: float
    bottom: float

    def contains(self, x: float, y: float) -> bool:
        """Return True if a position is in the area."""
        return self.left < x < self.right and self.top < y < self.bottom


@dataclass(frozen=True)
class GrownRoot:
    """One root: its centre line from base to tip, its width, and its paleness relative to the primary root."""

    order: int
    parent: int | None
    points_mm: Points
    width_mm: float
    paleness: float


@dataclass(frozen=True)
class Leaf:
    """One leaf or cotyledon: an ellipse on a petiole."""

    petiole_mm: Points
    centre_mm: tuple[float, float]
    semi_axes_mm: tuple[float, float]
    angle: float
    bend: float


@dataclass(frozen=True)
class Seed:
    """A seed or a shed seed coat."""

    centre_mm: tuple[float, float]
    semi_axes_mm: tuple[float, float]
    angle: float


@dataclass(frozen=True)
class Seedling:
    """One plant: roots (primary first, parents before children), hypocotyl from the base up, leaves, seed coat."""

    roots: tuple[GrownRoot, ...]
    hypocotyl_mm: Points
    hypocotyl_width_mm: float
    leaves: tuple[Leaf, ...]
    seed_coat: Seed | None

    @property
    def hypocotyl_length_mm(self) -> float:
        """Length of the hypocotyl's centre line, from the root base to the insertion of the leaves."""
        return _polyline_length(self.hypocotyl_mm)


@dataclass(frozen=True)
class Habit:
    """Growth habit that the plants of one plate share: their stage, and the shape of their roots.

    `laterals` is the mean number of laterals, and `lateral_mm` is the length of the oldest one. `wander` (radians per
    step) and `kinks` (per mm) turn a root away from its gravitropic set-point angle. `slant` (radians) tilts that angle
    to the right.
    """

    primary_mm: float
    laterals: float
    lateral_mm: float
    width_mm: float
    wander: float
    kinks: float
    slant: float
    leaves: int
    leaf_mm: float
    hypocotyl_mm: float
    lateral_paleness: float

    @classmethod
    def sample(cls, rng: np.random.Generator, px_per_mm: float) -> "Habit":
        """Sample the habit of a plate. Its roots are 3 to 13 px wide at `px_per_mm`."""
        stage = _STAGES[rng.choice(len(_STAGES), p=[0.25, 0.4, 0.35])]
        width_px = float(np.clip(rng.lognormal(np.log(4.8), 0.28), 3.0, 13.0))
        return cls(
            primary_mm=rng.uniform(*stage.primary_mm),
            laterals=rng.uniform(*stage.laterals),
            lateral_mm=rng.uniform(*stage.lateral_mm),
            width_mm=width_px / px_per_mm,
            wander=rng.uniform(0.004, 0.02),
            kinks=rng.uniform(0.0, 0.07),
            slant=rng.normal(0, 0.18),
            leaves=int(rng.integers(stage.leaves[0], stage.leaves[1] + 1)),
            leaf_mm=rng.uniform(*stage.leaf_mm),
            hypocotyl_mm=rng.gamma(3.0, 0.6) + 0.4,
            lateral_paleness=rng.uniform(0.0, 0.6),
        )

    def densify(self, rng: np.random.Generator) -> "Habit":
        """Return the habit of old plants: a long primary root and up to some 25 long laterals."""
        return replace(
            self,
            primary_mm=rng.uniform(50, 95),
            laterals=rng.uniform(10, 22),
            lateral_mm=rng.uniform(6, 30),
        )


@dataclass(frozen=True)
class _Stage:
    """Ranges of one growth stage."""

    primary_mm: tuple[float, float]
    laterals: tuple[float, float]
    lateral_mm: tuple[float, float]
    leaves: tuple[int, int]
    leaf_mm: tuple[float, float]


_STAGES = (
    _Stage((3, 30), (0.0, 0.2), (0.5, 2), (2, 2), (0.5, 1.1)),
    _Stage((18, 50), (1, 9), (1, 7), (2, 4), (0.7, 1.6)),
    _Stage((35, 88), (4, 20), (3, 16), (3, 8), (0.9, 2.6)),
)


def grow_seedling(rng: np.random.Generator, base_mm: tuple[float, float], habit: Habit, area: GrowingArea) -> Seedling:
    """Return a seedling whose hypocotyl meets its root at `base_mm`."""
    length = float(np.clip(habit.primary_mm * rng.normal(1.0, 0.15), 3.0, 90.0))
    width = habit.width_mm * rng.uniform(0.85, 1.15)
    heading = _DOWN + rng.normal(0, 0.2)
    wander = habit.wander * rng.uniform(0.6, 1.4)
    path = _grow_root_path(rng, base_mm, heading, length, wander, habit.kinks, _DOWN - habit.slant, 0.03, area)
    roots = [GrownRoot(1, None, path, width, 0.0)]
    roots += _grow_laterals(rng, roots[0], 0, habit, area, rng.poisson(habit.laterals * rng.uniform(0.5, 1.4)))
    for index, root in enumerate(roots[1:], start=1):
        if _polyline_length(root.points_mm) > 8 and rng.random() < 0.12:
            roots += _grow_laterals(rng, root, index, habit, area, int(rng.integers(1, 4)))
    hypocotyl = _grow_hypocotyl(rng, base_mm, habit)
    leaves = _grow_leaves(rng, hypocotyl[-1], habit)
    return Seedling(
        tuple(roots), hypocotyl, width * rng.uniform(1.2, 1.9), leaves, _sample_seed_coat(rng, path, hypocotyl)
    )


def sample_seed(rng: np.random.Generator, x_mm: float, y_mm: float) -> Seed:
    """Return a seed about half a millimetre long."""
    long = rng.uniform(0.17, 0.33)
    return Seed((x_mm, y_mm), (long, long * rng.uniform(0.55, 0.8)), rng.uniform(0, np.pi))


def _grow_root_path(
    rng: np.random.Generator,
    start: tuple[float, float],
    heading: float,
    length_mm: float,
    wander: float,
    kinks: float,
    setpoint: float,
    gravitropism: float,
    area: GrowingArea,
) -> Points:
    steps = max(3, round(length_mm / _STEP_MM))
    # Two wavelengths: slow circumnutation of the root, and fine waves of its growth around obstacles in the agar.
    drift = _smooth_noise(rng, steps, 8) * wander + np.diff(_smooth_noise(rng, steps + 1, 3)) * rng.uniform(0.04, 0.22)
    # A root that hits the dish or a hard spot turns sharply and then recovers: a kink every few centimetres.
    kinked = rng.random(steps) < kinks * _STEP_MM
    turns = np.where(kinked, rng.normal(0, 0.7, steps), 0.0)
    x, y = start
    points = [start]
    for i in range(steps):
        heading += drift[i] + turns[i] + gravitropism * (setpoint - heading)
        if min(x - area.left, area.right - x) < _WALL_MM:
            # The wall of the dish guides a root downwards.
            heading += 0.25 * (_DOWN - heading)
        x, y = x + _STEP_MM * np.cos(heading), y + _STEP_MM * np.sin(heading)
        if not area.contains(x, y):
            break
        points.append((x, y))
    if len(points) < 3:
        points += [(start[0], start[1] + 0.2 * k) for k in range(1, 4)]
    return np.array(points)


def _grow_laterals(
    rng: np.random.Generator, parent: GrownRoot, index: int, habit: Habit, area: GrowingArea, count: int
) -> list[GrownRoot]:
    length = _polyline_length(parent.points_mm)
    # The youngest part near the tip has no laterals yet.
    zone = length - rng.uniform(2, 12) if parent.order == 1 else length * 0.8
    if zone < 2:
        return []
    children = []
    for position_mm in np.sort(rng.beta(1.0, 1.7, count)) * zone:
        point_index = min(len(parent.points_mm) - 2, max(1, round(position_mm / _STEP_MM)))
        x, y = parent.points_mm[point_index]
        step = parent.points_mm[point_index + 1] - parent.points_mm[point_index - 1]
        side = rng.choice([-1, 1])
        heading = float(np.arctan2(step[1], step[0])) + side * rng.uniform(0.5, 1.35)
        setpoint = _DOWN + side * rng.uniform(-0.1, 0.9)
        # Laterals emerge acropetally: lower ones are younger. 15 % have only just emerged.
        age = (1 - position_mm / zone) ** 0.6
        length_factor = rng.uniform(0.05, 0.3) if rng.random() < 0.15 else rng.gamma(4.0, 0.25)
        length_mm = max(0.5, habit.lateral_mm * age * length_factor / parent.order)
        path = _grow_root_path(
            rng, (x, y), heading, length_mm, habit.wander * 1.5, habit.kinks, setpoint, rng.uniform(0.01, 0.06), area
        )
        width = max(parent.width_mm * rng.uniform(0.5, 1.0), 0.11)
        pale = float(np.clip(habit.lateral_paleness * rng.uniform(0.3, 1.5), 0, 0.7))
        children.append(GrownRoot(parent.order + 1, index, path, width, pale))
    return children


def _grow_hypocotyl(rng: np.random.Generator, base: tuple[float, float], habit: Habit) -> Points:
    length = max(0.5, habit.hypocotyl_mm * rng.uniform(0.6, 1.4))
    steps = max(3, round(length / _STEP_MM))
    headings = -_DOWN + rng.normal(0, 0.3) + np.cumsum(_smooth_noise(rng, steps, 4) * 0.08)
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * (length / steps)
    return cast(Points, np.concatenate([[base], np.array(base) + np.cumsum(moves, 0)]))


def _grow_leaves(rng: np.random.Generator, top: NDArray[np.float64], habit: Habit) -> tuple[Leaf, ...]:
    count = max(2, habit.leaves + int(rng.integers(-1, 2)))
    drooping = rng.random() < 0.3
    leaves = []
    for i in range(min(count, 8)):
        side = 1 if i % 2 else -1
        angle = -_DOWN + side * rng.uniform(0.15, 2.5 if drooping else 1.7)
        petiole = rng.uniform(0.1, 1.0) * habit.leaf_mm
        long = habit.leaf_mm * rng.uniform(0.5, 1.05)
        direction = np.array([np.cos(angle), np.sin(angle)])
        joint = top + direction * petiole
        centre = joint + direction * long * 0.85
        aspect_ratio = rng.uniform(0.25, 0.85)
        leaves.append(
            Leaf(
                np.array([top, (top + joint) / 2 + rng.normal(0, 0.05, 2), centre]),
                (float(centre[0]), float(centre[1])),
                (long, long * aspect_ratio),
                float(angle),
                rng.normal(0, 0.25),
            )
        )
    return tuple(leaves)


def _sample_seed_coat(rng: np.random.Generator, path: Points, hypocotyl: Points) -> Seed | None:
    if rng.random() < 0.45:
        return None
    line = hypocotyl if rng.random() < 0.4 else path[: max(2, round(len(path) * rng.uniform(0.05, 0.5)))]
    x, y = line[rng.integers(len(line))] + rng.normal(0, rng.choice([0.05, 0.5]), 2)
    return sample_seed(rng, x, y)


def _smooth_noise(rng: np.random.Generator, count: int, sigma: int) -> NDArray[np.float64]:
    kernel = np.exp(-0.5 * (np.arange(-3 * sigma, 3 * sigma + 1) / sigma) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.convolve(rng.standard_normal(count + 6 * sigma), kernel, "valid")[:count]


def _polyline_length(points_N2: Points) -> float:
    return float(np.hypot(*np.diff(points_N2, axis=0).T).sum())
