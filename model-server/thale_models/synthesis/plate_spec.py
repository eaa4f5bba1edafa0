"""Specification of a synthetic plate: camera, illumination, pose, number and habit of plants."""

from dataclasses import dataclass, replace
from typing import Literal, TypedDict, Unpack, cast

import numpy as np

from thale_models.synthesis.plate_background import PLATE_SIDE_MM, Pose
from thale_models.synthesis.seedling import Habit

Style = Literal["backlit", "dark"]
LabelSide = Literal["none", "left", "right"]

_MIN_SIZE_PX = 64


@dataclass(frozen=True)
class PlateSpec:
    """Specification of a plate, in source pixels of the whole image. `draw_plate` accepts every field.

    Raises:
        ValueError: If the image is too small, the scale is not positive, or a style, label or number is invalid.
    """

    style: Style
    """"backlit": dark roots on a light table, in colour; "dark": bright roots on dark agar, black surround, grey."""
    width: int
    height: int
    px_per_mm: float
    tilt_deg: float
    corner_mm: float
    """Radius of the rounded outer corners of the plate."""
    centre_xy: tuple[float, float]
    plants: int
    habit: Habit
    label: LabelSide
    contrast: float
    """Contrast of a root, as a fraction of the background light."""
    blur_px: float
    noise: float
    """Standard deviation of the sensor noise in grey levels."""
    jpeg_quality: int | None
    """None if the camera writes PNG."""
    hard: bool = False
    """Denser root systems that touch their neighbours, paler laterals, roots along the rim, leaves over roots."""

    def __post_init__(self) -> None:
        if self.style not in ("backlit", "dark") or self.label not in ("none", "left", "right"):
            raise ValueError(f"unknown style or label: {self.style!r}, {self.label!r}")
        if min(self.width, self.height) < _MIN_SIZE_PX:
            raise ValueError(
                f"a plate needs at least {_MIN_SIZE_PX} x {_MIN_SIZE_PX} px, not {self.width} x {self.height}"
            )
        if self.plants < 0 or not self.px_per_mm > 0:
            raise ValueError(f"plants ({self.plants}) must be 0 or more and px_per_mm ({self.px_per_mm}) above 0")

    @property
    def pose(self) -> Pose:
        """Pose of the plate in the image."""
        return Pose(self.centre_xy, self.px_per_mm * PLATE_SIDE_MM, self.tilt_deg, self.corner_mm)


class Overrides(TypedDict, total=False):
    """Fields of `PlateSpec` that a caller may set. Other fields are sampled."""

    style: Style
    width: int
    height: int
    px_per_mm: float
    tilt_deg: float
    corner_mm: float
    centre_xy: tuple[float, float]
    plants: int
    habit: Habit
    label: LabelSide
    contrast: float
    blur_px: float
    noise: float
    jpeg_quality: int | None
    hard: bool


def sample_spec(rng: np.random.Generator, **overrides: Unpack[Overrides]) -> PlateSpec:
    """Sample a specification over the ranges of real cameras and plants. A given size reduces the plate to fit."""
    sampled_style: Style = "dark" if rng.random() < 0.3 else "backlit"
    style = overrides.get("style", sampled_style)
    dark = style == "dark"
    tilt = overrides.get("tilt_deg", float(np.clip(rng.normal(0, 1.7), -5, 5)))
    corner = overrides.get("corner_mm", rng.uniform(8, 18))
    extent_mm = 2 * _half_extent_mm(tilt, corner)
    width, height, camera_px_per_mm = _sample_camera(rng, dark, extent_mm)
    width, height = overrides.get("width", width), overrides.get("height", height)
    px_per_mm = overrides.get("px_per_mm", min(camera_px_per_mm, (min(width, height) - 2) / extent_mm))
    spec = PlateSpec(
        style=style,
        width=width,
        height=height,
        px_per_mm=px_per_mm,
        tilt_deg=tilt,
        corner_mm=corner,
        centre_xy=(0.0, 0.0),
        plants=int(rng.choice(9, p=[0.03, 0.03, 0.05, 0.07, 0.12, 0.45, 0.12, 0.08, 0.05])),
        habit=Habit.sample(rng, camera_px_per_mm),
        label=cast(LabelSide, str(rng.choice(["none", "left", "right"], p=[0.4, 0.15, 0.45]))),
        contrast=rng.uniform(0.04, 0.18) if not dark else rng.uniform(0.35, 2.5),
        blur_px=rng.uniform(0.6, 1.5),
        noise=rng.uniform(0.8, 2.2),
        jpeg_quality=None if dark and rng.random() < 0.7 else int(rng.integers(70, 97)),
    )
    if overrides.get("hard", False):
        spec = _sample_hard(rng, spec)
    slack_px = np.maximum((np.array([width, height]) - extent_mm * px_per_mm) / 2 - 1, 0)
    x, y = (np.array([width, height]) - 1) / 2 + rng.uniform(-1, 1, 2) * slack_px
    return replace(replace(spec, centre_xy=(float(x), float(y))), **overrides)


def _sample_hard(rng: np.random.Generator, spec: PlateSpec) -> PlateSpec:
    """Return a specification with fainter roots and, on half of the plates, a denser root system."""
    habit = spec.habit
    if rng.random() < 0.5:
        habit = habit.densify(rng)
    if rng.random() < 0.5:
        habit = replace(habit, lateral_paleness=rng.uniform(0.4, 0.85))
    if rng.random() < 0.5:
        habit = replace(habit, leaf_mm=habit.leaf_mm * rng.uniform(1.3, 2.2), leaves=habit.leaves + 2)
    contrast = spec.contrast * rng.uniform(0.6, 1.0)
    return replace(spec, habit=habit, contrast=contrast, plants=max(spec.plants, 2), hard=True)


def _sample_camera(rng: np.random.Generator, dark: bool, extent_mm: float) -> tuple[int, int, float]:
    """Sample width, height and scale of an image: 60 % cropped close to the plate, else the full view of a camera."""
    px_per_mm = rng.uniform(15, 23) if dark else rng.uniform(14.5, 19.7)
    cropped_size_px = rng.uniform([1.01, 1.01], [1.3, 1.15]) * extent_mm * px_per_mm
    if rng.random() < 0.6:
        return round(cropped_size_px[0]), round(cropped_size_px[1]), px_per_mm
    return (4200, 3000, px_per_mm) if dark else (4288, 2848, px_per_mm)


def _half_extent_mm(tilt_deg: float, corner_mm: float) -> float:
    """Return half the width of the tilted plate with its rounded corners."""
    angle = np.deg2rad(abs(tilt_deg))
    return float((PLATE_SIDE_MM / 2 - corner_mm) * (np.cos(angle) + np.sin(angle)) + corner_mm)
