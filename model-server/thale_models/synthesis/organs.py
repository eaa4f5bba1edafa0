"""Rendering of the organs of a seedling: roots, hypocotyl, leaves and seeds, in image and mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thale_models.synthesis.drawing import Colour, PlateCanvas, Points, StrokeMask
from thale_models.synthesis.plate_spec import PlateSpec
from thale_models.synthesis.seedling import GrownRoot, Leaf, Seed, Seedling

ROOT, SHOOT, SEED = 1, 2, 3
"""Class indices of the mask; 0 is background."""

MIN_ROOT_RADIUS_PX = 1.25
"""Minimum radius of a root in the mask, so that even a 2 px root stays connected."""

_MIN_CONTRAST = {"backlit": 0.03, "dark": 0.2}
"""Minimum contrast of a root, as a fraction of the light: the mask must not label invisible roots."""

_OVERLAP_FACTOR = {"backlit": 0.5, "dark": 0.15}
"""Factor on the contrast of an organ over another one: branches and crossings do not change the light twice."""


class OrganRenderer:
    """Renders the organs of the plants of one plate, in its style and illumination.

    Backlit organs are translucent: their colours are factors of the background. On dark agar organs are bright.
    """

    def __init__(self, rng: np.random.Generator, canvas: PlateCanvas, spec: PlateSpec) -> None:
        self.rng, self.canvas, self.spec = rng, canvas, spec
        self.pose = spec.pose
        self.dark = spec.style == "dark"
        self.root_tint: Colour = np.ones(3, np.float32) if self.dark else rng.normal(1, 0.15, 3).astype(np.float32)
        self.clear_core = rng.uniform(0.0, 0.1 if self.dark else 0.5)
        self.leaf_light = _sample_leaf_light(rng, self.dark)

    def draw_root(self, root: GrownRoot, points: Points, contrast: float) -> float:
        """Draw a root along `points` (px) with varying contrast, and return its width in px."""
        width = float(np.clip(root.width_mm * self.spec.px_per_mm, 2.0, 13.0))
        swelling = 1 + 0.08 * np.sin(np.linspace(0, len(points) / self.rng.uniform(4, 15), len(points)))
        radius = width / 2 * swelling
        radius[-2:] *= [0.95, 0.75]
        stroke = self.canvas.rasterise_polyline(points, radius)
        blur = self.canvas.blur_px
        # A root is a translucent cylinder: with a backlight its middle is brighter than its edges.
        coverage = stroke.coverage(blur) - self.clear_core * stroke.coverage(blur, 0.45)
        strength = max(contrast * (1 - root.paleness), _MIN_CONTRAST[self.spec.style]) * self._strength_variation(
            stroke, points
        )
        sign = 1 if self.dark else -1
        self.canvas.shade(stroke, 1 + sign * strength[:, None] * self.root_tint, self._reduce_overlap(stroke, coverage))
        self.canvas.set_class(stroke, ROOT, MIN_ROOT_RADIUS_PX)
        return width

    def draw_shoot(self, seedling: Seedling, contrast: float) -> int:
        """Draw hypocotyl and leaves over the root, and return the number of visible leaves.

        A leaf is visible if later leaves of the plant cover less than half of its blade.
        """
        rng = self.rng
        radius = seedling.hypocotyl_width_mm / 2 * self.pose.px_per_mm
        stem = self.canvas.rasterise_polyline(self.pose.to_px(seedling.hypocotyl_mm), radius)
        blur = self.canvas.blur_px
        coverage = stem.coverage(blur) - rng.uniform(0, 0.6) * stem.coverage(blur, 0.5)
        depth = contrast * rng.uniform(0.8, 2.5)
        tone = 1 + depth if self.dark else np.clip(1 - depth * np.array([1.3, 0.5, 1.9]), 0.25, 1)
        self.canvas.shade(stem, np.asarray(tone * np.ones(3), np.float32), self._reduce_overlap(stem, coverage))
        self.canvas.set_class(stem, SHOOT, MIN_ROOT_RADIUS_PX)
        blades = [
            self._draw_leaf(leaf, young=number >= 2 and rng.random() < 0.5)
            for number, leaf in enumerate(seedling.leaves)
        ]
        return count_visible(blades)

    def draw_seed(self, seed: Seed) -> None:
        """Draw a seed or a shed seed coat: brown, darker at its edge, sometimes empty in the middle."""
        rng, px = self.rng, self.pose.px_per_mm
        semi_axes = (seed.semi_axes_mm[0] * px, seed.semi_axes_mm[1] * px)
        stroke = self.canvas.rasterise_ellipse(self.pose.to_px(np.array(seed.centre_mm)), semi_axes, seed.angle)
        core = np.exp(-((stroke.distance / np.maximum(stroke.radius * 0.5, 0.5)) ** 2))[:, None] * rng.uniform(0, 0.6)
        if self.dark:
            self.canvas.paint(stroke, np.full(3, rng.uniform(70, 200)) * (1 - core), rng.uniform(0.75, 1.0))
        else:
            brown = np.array([0.6, 0.32, 0.27]) * rng.uniform(0.5, 1.3)
            self.canvas.shade(stroke, brown + core * (1 - brown) * [0.8, 0.5, 0.4])
        self.canvas.set_class(stroke, SEED)

    def _reduce_overlap(self, stroke: StrokeMask, coverage: Colour) -> Colour:
        """Return the coverage of a stroke, reduced on pixels of another organ."""
        is_occupied = self.canvas.mask_HW.reshape(-1)[stroke.flat] > 0
        return np.where(is_occupied, coverage * np.float32(_OVERLAP_FACTOR[self.spec.style]), coverage)

    def _strength_variation(self, stroke: StrokeMask, points: Points) -> Colour:
        """Return a contrast factor for each pixel of a root: slow changes along it, often darker towards its tip."""
        rng = self.rng
        low, high = points.min(0), points.max(0)
        columns = self.canvas.shape[1]
        x = (stroke.flat % columns + self.canvas.origin[0] - low[0]) / max(high[0] - low[0], 1.0)
        y = (stroke.flat // columns + self.canvas.origin[1] - low[1]) / max(high[1] - low[1], 1.0)
        waves = np.sin(y * rng.uniform(3, 25) + rng.uniform(0, 6)) + np.sin(x * rng.uniform(2, 9) + rng.uniform(0, 6))
        return np.asarray(1 + rng.uniform(-0.1, 0.35) * (y - 0.5) + rng.uniform(0, 0.15) * waves, np.float32)

    def _draw_leaf(self, leaf: Leaf, young: bool) -> NDArray[np.intp]:
        """Draw a leaf and return the flat pixel indices of its blade."""
        rng, px = self.rng, self.pose.px_per_mm
        light = self.leaf_light * rng.uniform(0.85, 1.2)
        pale = np.clip(light * (1.0 if self.dark else np.array([2.0, 1.5, 1.7])), 0, 235 if self.dark else 1.05)
        petiole = self.canvas.rasterise_polyline(
            self.pose.to_px(leaf.petiole_mm), max(1.2, rng.uniform(0.08, 0.16) * px)
        )
        self._fill_shoot(petiole, pale[None, :])
        size = 0.55 if young else 1.0
        semi_axes = (leaf.semi_axes_mm[0] * px * size, leaf.semi_axes_mm[1] * px * size)
        angle = leaf.angle + np.deg2rad(self.pose.tilt_deg)
        blade = self.canvas.rasterise_ellipse(self.pose.to_px(np.array(leaf.centre_mm)), semi_axes, angle, leaf.bend)
        middle = np.clip(1 - blade.distance / np.maximum(blade.radius, 1), 0, 1)[:, None]
        tone = (pale if young else light) * (1 + rng.uniform(-0.25, 0.25) * (middle - 0.4))
        self._fill_shoot(blade, tone)
        return blade.covered_pixels()

    def _fill_shoot(self, stroke: StrokeMask, tone: NDArray[np.floating]) -> None:
        if self.dark:
            self.canvas.paint(stroke, np.clip(tone, 0, 250), 0.95)
        else:
            self.canvas.shade(stroke, np.clip(tone, 0.05, 1.1).astype(np.float32))
        self.canvas.set_class(stroke, SHOOT)


def count_visible(blades: Sequence[NDArray[np.intp]]) -> int:
    """Return the number of blades that later blades cover by less than half. Blades outside the image do not count."""
    visible_count, covered = 0, np.empty(0, np.intp)
    for blade in reversed(blades):
        visible_count += int(2 * np.count_nonzero(np.isin(blade, covered)) < len(blade))
        covered = np.union1d(covered, blade)
    return visible_count


def _sample_leaf_light(rng: np.random.Generator, dark: bool) -> Colour:
    """Sample the leaf colour of a plate: grey levels on dark agar, else the transmittance of each channel."""
    if dark:
        return np.full(3, rng.uniform(90, 210), np.float32)
    return np.array([rng.uniform(0.3, 0.6), rng.uniform(0.5, 0.75), rng.uniform(0.12, 0.4)], np.float32)
