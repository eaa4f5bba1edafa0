"""Background of a plate: its pose in the image, the illumination, and the lines of its rims.

Rims are several parallel lines with rounded corners and beads of water. A network that was trained without rims
predicts roots on them. All of this belongs to the background class.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import map_coordinates

from thale_models.synthesis.drawing import Colour, PlateCanvas, Points, sample_smooth_field

PLATE_SIDE_MM = 120.0

_LIGHTS = np.array([[100, 160, 163], [130, 135, 117], [125, 158, 155], [152, 140, 105], [150, 152, 148]], np.float32)
"""Grey levels of the backlight: teal, olive, pale teal, tan, and a neutral table."""


@dataclass(frozen=True)
class Pose:
    """Pose of a plate in the image: centre and side in source px, clockwise tilt, and corner radius."""

    centre_xy: tuple[float, float]
    side_px: float
    tilt_deg: float
    corner_mm: float

    @property
    def px_per_mm(self) -> float:
        """Source pixels per millimetre."""
        return self.side_px / PLATE_SIDE_MM

    def to_px(self, points_mm: Points) -> Points:
        """Return positions on the plate (mm from its top left outer corner) in source px."""
        angle = np.deg2rad(self.tilt_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        from_centre = (np.asarray(points_mm, np.float64) - PLATE_SIDE_MM / 2) * self.px_per_mm
        return np.asarray(from_centre @ turn.T + np.array(self.centre_xy))

    def corners(self) -> Points:
        """Return the outer corners of the square before rounding: top left, top right, bottom right, bottom left."""
        return self.to_px(np.array([[0, 0], [PLATE_SIDE_MM, 0], [PLATE_SIDE_MM, PLATE_SIDE_MM], [0, PLATE_SIDE_MM]]))


def draw_backlit_background(rng: np.random.Generator, canvas: PlateCanvas, width: int, height: int) -> None:
    """Fill the canvas with a backlight, from teal to tan, as in an image of width x height."""
    first, second = _LIGHTS[rng.choice(len(_LIGHTS), 2)] * rng.uniform(0.75, 1.3) * rng.normal(1, 0.03, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5:0.5:24j, -0.5:0.5:24j]
    ramp = 1 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle) - rng.normal(0, 0.2)) * rng.uniform(2, 8)))
    bumps = sample_smooth_field(rng, 24, 24, 4) * rng.uniform(0.0, 0.04)
    vignette = 1 - rng.uniform(0, 0.5) * (x**2 + y**2)
    field = (first + (second - first) * ramp[..., None]) * (vignette * (1 + bumps))[..., None]
    for channel in range(3):
        canvas.image_HW3[..., channel] = _upsample_field(canvas, field[..., channel], width, height)


def draw_dark_background(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, width: int, height: int) -> None:
    """Fill the canvas with a black surround and a dim agar plate, in grey, as in an image of width x height."""
    agar = rng.uniform(28, 85)
    field = _upsample_field(
        canvas, agar * (1 + rng.uniform(0.03, 0.15) * sample_smooth_field(rng, 24, 24, 3)), width, height
    )
    inside = Image.new("L", (canvas.shape[1], canvas.shape[0]))
    outline = [tuple(point) for point in pose.to_px(_rounded_square_mm(pose.corner_mm, 0.0)) - canvas.origin]
    ImageDraw.Draw(inside).polygon(outline, fill=1)
    surround = rng.uniform(2, 14)
    canvas.image_HW3[...] = np.where(np.asarray(inside) > 0, field, surround)[..., None]


def draw_rims(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, bright: bool, many: bool = False) -> None:
    """Draw the outer edge of the plate exactly on its square, and the parallel lines of lid and base within it.

    `many` draws up to 13 lines instead of 8, up to 9 mm from the edge.
    """
    edge_mm = 0.12
    edge = canvas.rasterise_polyline(
        pose.to_px(_rounded_square_mm(pose.corner_mm, edge_mm / 2)), edge_mm / 2 * pose.px_per_mm
    )
    canvas.shade(edge, sample_tone(rng, rng.uniform(0.06, 0.3), bright, allow_opposite=False))
    base = _sample_base_pose(rng, pose)
    for inset in np.sort(rng.uniform(0.4, 9.0 if many else 5.5, rng.integers(3, 14 if many else 9))):
        broad = rng.random() < 0.3
        width = rng.uniform(0.25, 1.3) if broad else rng.uniform(0.06, 0.2)
        strength = rng.uniform(0.01, 0.1) if broad else rng.uniform(0.02, 0.25)
        ring_pose = pose if inset < 2.0 else base
        stroke = canvas.rasterise_polyline(
            ring_pose.to_px(_rounded_square_mm(pose.corner_mm, inset)), width / 2 * pose.px_per_mm
        )
        canvas.shade(stroke, sample_tone(rng, strength, bright, allow_opposite=True))
    _draw_rim_water(rng, canvas, base, bright)
    for _ in range(rng.integers(0, 4)):
        _draw_moulding(rng, canvas, pose, bright)


def _sample_base_pose(rng: np.random.Generator, pose: Pose) -> Pose:
    """Return the pose of the base of the dish. It is loose in the lid, whose edge is the edge of the plate."""
    x, y = np.array(pose.centre_xy) + rng.normal(0, 0.25, 2) * pose.px_per_mm
    return replace(pose, centre_xy=(float(x), float(y)), tilt_deg=pose.tilt_deg + rng.normal(0, 0.3))


def _draw_moulding(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, bright: bool) -> None:
    """Draw a faint clip or notch, moulded into the middle of a side."""
    along, half = rng.uniform(40, 80), rng.choice([rng.uniform(0.3, 1.5), rng.uniform(5, 22)])
    inset, depth = rng.uniform(0.2, 2.0), rng.uniform(1.0, 5.0)
    left, right, top, bottom = along - half, along + half, inset, inset + depth
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    for _ in range(rng.integers(4)):
        box = np.stack([PLATE_SIDE_MM - box[:, 1], box[:, 0]], 1)
    outline = canvas.rasterise_polyline(pose.to_px(_densify(box, 0.4)), rng.uniform(0.5, 1.2))
    canvas.shade(outline, sample_tone(rng, rng.uniform(0.02, 0.2), bright, allow_opposite=True))


def _upsample_field(canvas: PlateCanvas, field_hw: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return the window of the canvas in a small field that is stretched over an image of width x height."""
    rows, cols = canvas.shape
    left, top = canvas.origin
    extent = np.array([left, top, left + cols, top + rows]) / [width, height, width, height]
    y, x = (
        np.linspace(a, b, 48) * (size - 1)
        for a, b, size in zip(extent[[1, 0]], extent[[3, 2]], field_hw.shape, strict=True)
    )
    visible_field = map_coordinates(field_hw, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest").astype(
        np.float32
    )
    return np.asarray(Image.fromarray(visible_field).resize((cols, rows), Image.Resampling.BICUBIC), np.float32)


def _draw_rim_water(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, bright: bool) -> None:
    """Draw water between base and lid: beads along parts of the rim, and interrupted wet lines."""
    inset, band = rng.uniform(2, 4), rng.uniform(0.3, 1.6)
    ring_mm = _rounded_square_mm(pose.corner_mm, inset + band / 2)
    px = pose.px_per_mm
    for _ in range(rng.integers(0, 5)):
        length = int(rng.uniform(0.05, 0.4) * len(ring_mm))
        stretch = np.roll(ring_mm, -int(rng.integers(len(ring_mm))), axis=0)[:length]
        count = int(length * rng.uniform(0.5, 6))
        beads = stretch[rng.integers(0, length, count)] + rng.uniform(-0.5, 0.5, (count, 2)) * band
        radii = rng.uniform(0.02, 0.12, count) * px
        strengths = rng.uniform(0.04, 0.5, 2)
        for group, strength in enumerate(strengths):
            stroke = canvas.rasterise_discs(pose.to_px(beads[group::2]), radii[group::2])
            canvas.shade(stroke, sample_tone(rng, strength, bright, allow_opposite=True))
    for _ in range(rng.integers(0, 8)):
        length = int(rng.uniform(0.01, 0.15) * len(ring_mm))
        ring = _rounded_square_mm(pose.corner_mm, rng.uniform(0.5, 5.5))
        stretch = np.roll(ring, -int(rng.integers(len(ring))), axis=0)[:length]
        if length < 3:
            continue
        stretch = stretch + np.cumsum(rng.normal(0, 0.01, (length, 2)), 0)
        radius = np.abs(rng.uniform(0.03, 0.15) + 0.05 * np.cumsum(rng.normal(0, 0.3, length)) / np.sqrt(length)) * px
        canvas.shade(
            canvas.rasterise_polyline(pose.to_px(stretch), radius),
            sample_tone(rng, rng.uniform(0.1, 0.85), bright, True),
        )


def sample_tone(rng: np.random.Generator, strength: float, bright: bool, allow_opposite: bool) -> Colour:
    """Return the factor of a faint stroke: darker on a light table, brighter on dark agar, sometimes the opposite."""
    opposite = allow_opposite and rng.random() < 0.2
    lighter = bright != opposite
    tint = rng.uniform(0.9, 1.1, 3) if not bright else np.ones(3)
    factor = 1 + strength * (4.0 if bright else 0.6) * tint if lighter else 1 - strength * tint
    return np.asarray(np.clip(factor, 0.02, 6.0), np.float32)


def _rounded_square_mm(corner_mm: float, inset: float) -> Points:
    """Return a closed rounded square, `inset` mm within the edge of the plate."""
    radius = max(2.0, corner_mm - inset)
    quarters = [corner_arc(inset, radius, 0, 0, quarter) for quarter in range(4)]
    return _densify(np.concatenate([*quarters, quarters[0][:1]]), 0.4)


def corner_arc(inset: float, radius: float, before: float, after: float, quarter: int) -> Points:
    """Return an arc around a corner of the plate in mm, with straight ends. Corner 0 is top left, then clockwise."""
    turn = np.linspace(np.pi, 1.5 * np.pi, 24)
    arc = np.stack([np.cos(turn), np.sin(turn)], 1) * radius + inset + radius
    line = np.concatenate([[arc[0] + [0, before]], arc, [arc[-1] + [after, 0]]])
    for _ in range(quarter):
        line = np.stack([PLATE_SIDE_MM - line[:, 1], line[:, 0]], 1)
    return _densify(line, 0.4)


def _densify(line: Points, step: float) -> Points:
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    positions = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / step)))
    return np.stack([np.interp(positions, lengths, line[:, axis]) for axis in range(2)], 1)
