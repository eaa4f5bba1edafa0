"""The plate and everything on it that is no plant: light, rims, corner marks, label, dust, fibres, scratches, droplets.

These are what a net takes for roots when it has never seen them, so every kind is drawn, and all are background.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

from thale_models.synthesis.canvas import Canvas, Colour, Points, low_frequency

PLATE_MM = 120.0

_LIGHTS = np.array([[100, 160, 163], [130, 135, 117], [125, 158, 155], [152, 140, 105], [150, 152, 148]], np.float32)
"""Grey levels of the backlight: teal, olive, pale teal, tan, and a neutral table."""


@dataclass(frozen=True)
class Pose:
    """Where the plate lies in the picture: centre and side in source px, clockwise tilt, and corners' radius."""

    centre_xy: tuple[float, float]
    side_px: float
    tilt_deg: float
    corner_mm: float

    @property
    def px_per_mm(self) -> float:
        """Source pixels a millimetre."""
        return self.side_px / PLATE_MM

    def to_px(self, points_mm: Points) -> Points:
        """Return places on the plate (mm from its top left outer corner) in source px."""
        angle = np.deg2rad(self.tilt_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        from_centre = (np.asarray(points_mm, np.float64) - PLATE_MM / 2) * self.px_per_mm
        return np.asarray(from_centre @ turn.T + np.array(self.centre_xy))

    def corners(self) -> Points:
        """Return the outer corners of the square before rounding: top left, top right, bottom right, bottom left."""
        return self.to_px(np.array([[0, 0], [PLATE_MM, 0], [PLATE_MM, PLATE_MM], [0, PLATE_MM]]))


def light_backlit(rng: np.random.Generator, canvas: Canvas, width: int, height: int) -> None:
    """Fill the canvas with the light of a backlight behind a width x height picture, from teal to tan."""
    first, second = _LIGHTS[rng.choice(len(_LIGHTS), 2)] * rng.uniform(0.75, 1.3) * rng.normal(1, 0.03, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5:0.5:24j, -0.5:0.5:24j]
    ramp = 1 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle) - rng.normal(0, 0.2)) * rng.uniform(2, 8)))
    bumps = low_frequency(rng, 24, 24, 4) * rng.uniform(0.0, 0.04)
    vignette = 1 - rng.uniform(0, 0.5) * (x**2 + y**2)
    field = (first + (second - first) * ramp[..., None]) * (vignette * (1 + bumps))[..., None]
    for channel in range(3):
        canvas.picture_HW3[..., channel] = _enlarged(canvas, field[..., channel], width, height)


def light_dark(rng: np.random.Generator, canvas: Canvas, pose: Pose, width: int, height: int) -> None:
    """Fill the canvas with a black surround and a dimly lit plate of agar, in grey, as in a width x height picture."""
    agar = rng.uniform(28, 85)
    field = _enlarged(canvas, agar * (1 + rng.uniform(0.03, 0.15) * low_frequency(rng, 24, 24, 3)), width, height)
    inside = Image.new("L", (canvas.shape[1], canvas.shape[0]))
    outline = [tuple(point) for point in _rounded_square(pose, 0.0) - canvas.origin]
    ImageDraw.Draw(inside).polygon(outline, fill=1)
    surround = rng.uniform(2, 14)
    canvas.picture_HW3[...] = np.where(np.asarray(inside) > 0, field, surround)[..., None]


def rims(rng: np.random.Generator, canvas: Canvas, pose: Pose, bright: bool) -> None:
    """Draw the outer edge of the plate exactly on its square, and the parallel lines of lid and base inside it."""
    insets = [0.0, *np.sort(rng.uniform(0.4, 5.5, rng.integers(3, 8)))]
    for inset in insets:
        width = 0.12 if inset == 0 else rng.choice([rng.uniform(0.06, 0.2), rng.uniform(0.2, 0.9)], p=[0.75, 0.25])
        line = _rounded_square(pose, inset + width / 2)
        strength = rng.uniform(0.06, 0.3) if inset == 0 else rng.uniform(0.02, 0.25)
        if width > 0.25:
            strength *= 0.4
        mark = canvas.stroke(line, width / 2 * pose.px_per_mm)
        canvas.shade(mark, _tone(rng, strength, bright, allow_opposite=inset > 0))
    _rim_texture(rng, canvas, pose, bright)


def corner_marks(rng: np.random.Generator, canvas: Canvas, pose: Pose) -> None:
    """Draw thick felt-tip arcs along the corners of the dish."""
    ink = np.array([10, 8, 35], np.float32) * rng.uniform(0.3, 1.6)
    inset = rng.uniform(2, 4.5)
    for quarter in range(4):
        if rng.random() < 0.3:
            _ink_spot(rng, canvas, pose, ink)
        if rng.random() < 0.15:
            continue
        line = _corner(inset + rng.normal(0, 0.2), rng.uniform(9, 14), rng.uniform(3, 14), rng.uniform(3, 14), quarter)
        line = line + np.cumsum(rng.normal(0, 0.02, line.shape), 0)
        radius = (
            rng.uniform(0.3, 0.75) * pose.px_per_mm * (1 + 0.15 * np.sin(np.linspace(0, rng.uniform(2, 9), len(line))))
        )
        mark = canvas.stroke(pose.to_px(line), radius)
        glow = 1 + rng.uniform(0, 1.5) * np.exp(-((mark.distance / mark.radius) ** 2) * 4)
        canvas.paint(mark, ink * glow[:, None], rng.uniform(0.93, 1.0))


def label(rng: np.random.Generator, canvas: Canvas, pose: Pose, right: bool, bright: bool) -> None:
    """Stick a framed label with a barcode and rotated text along one side, under clear tape."""
    px = pose.px_per_mm
    long, across = rng.uniform(50, 85) * px, rng.uniform(6.5, 9.5) * px
    tape = _label_picture(rng, round(long), round(across), px)
    turned = tape.rotate(
        rng.choice([90, -90]) - pose.tilt_deg + rng.normal(0, 1), Image.Resampling.BICUBIC, expand=True
    )
    ink, paper = (np.asarray(part, np.float32) / 255 for part in turned.split())
    paper_light = rng.uniform(2.0, 4.0) if bright else rng.uniform(0.88, 1.08)
    ink_light = rng.uniform(0.1, 0.4) if not bright else rng.uniform(0.3, 0.8)
    factor = 1 + paper * (paper_light + ink * (ink_light - paper_light) - 1)
    x = rng.uniform(107, 110) if right else rng.uniform(10, 13)
    canvas.shade_picture(Image.fromarray(factor.astype(np.float32)), pose.to_px(np.array([x, rng.uniform(50, 70)])))


def handwriting(rng: np.random.Generator, canvas: Canvas, pose: Pose) -> None:
    """Scribble a word in felt-tip near the lower or upper edge of the dish."""
    ink = np.array([20, 18, 45], np.float32) * rng.uniform(0.3, 2.5)
    x, y = rng.uniform(12, 70), rng.choice([rng.uniform(6, 9), rng.uniform(104, 112)])
    size, radius = rng.uniform(1.5, 5), rng.uniform(0.12, 0.4) * pose.px_per_mm
    for _ in range(rng.integers(2, 12)):
        knots = rng.uniform(-0.5, 0.5, (rng.integers(3, 6), 2)) * [size * 0.8, size] + [x, y]
        canvas.paint(canvas.stroke(pose.to_px(_curve(knots)), radius), ink, rng.uniform(0.8, 1.0))
        x += size * rng.uniform(0.7, 1.2)


def dust(rng: np.random.Generator, canvas: Canvas, pose: Pose, bright: bool) -> None:
    """Scatter specks, short curved fibres and long straight scratches over the picture, most of them faint."""
    px = pose.px_per_mm
    count = rng.poisson(rng.choice([40, 150, 500]))
    places = pose.to_px(rng.uniform(-20, PLATE_MM + 20, (count, 2)))
    radii = np.clip(rng.exponential(0.04, count) * px, 0.4, 5)
    strengths = rng.exponential(0.12, 4).clip(0.02, 0.9)
    for part, strength in enumerate(strengths):
        mark = canvas.spots(places[part::4], radii[part::4])
        canvas.shade(mark, _tone(rng, strength, bright, allow_opposite=True))
    for _ in range(rng.poisson(rng.choice([2, 8, 20]))):
        start = rng.uniform(0, PLATE_MM, 2)
        knots = start + np.cumsum(rng.normal(0, rng.uniform(0.1, 1.0), (4, 2)), 0)
        mark = canvas.stroke(pose.to_px(_curve(knots)), rng.uniform(0.6, 1.6))
        canvas.shade(mark, _tone(rng, rng.uniform(0.01, 0.12), bright, allow_opposite=True))
    for _ in range(rng.poisson(1.0)):
        start, angle = rng.uniform(0, PLATE_MM, 2), rng.uniform(0, np.pi)
        ends = start + np.outer(np.linspace(-1, 1, 20) * rng.uniform(2, 30), [np.cos(angle), np.sin(angle)])
        mark = canvas.stroke(pose.to_px(ends), rng.uniform(0.4, 1.0))
        canvas.shade(mark, _tone(rng, rng.uniform(0.01, 0.08), bright, allow_opposite=True))


def condensation(rng: np.random.Generator, canvas: Canvas, pose: Pose, bright: bool) -> None:
    """Bead the lid with droplets: rings with a darker edge and a lighter core, in a cloud."""
    centre, spread = rng.uniform(5, 115, 2), rng.uniform(3, 25)
    count = int(rng.integers(5, 90))
    places = pose.to_px(centre + rng.normal(0, spread, (count, 2)))
    radii = np.clip(rng.exponential(0.35, count), 0.1, 2.5) * pose.px_per_mm
    drops = canvas.spots(places, radii)
    edge = np.exp(-(((drops.distance - drops.radius) / 1.5) ** 2))
    canvas.shade(drops, _tone(rng, rng.uniform(0.03, 0.25), bright, False), edge.astype(np.float32))
    canvas.shade(drops, _tone(rng, rng.uniform(0.0, 0.05), not bright, False))


def _ink_spot(rng: np.random.Generator, canvas: Canvas, pose: Pose, ink: Colour) -> None:
    place = rng.uniform(-4, PLATE_MM + 4), rng.choice([rng.uniform(-4, 5), rng.uniform(115, 124)])
    blots = pose.to_px(np.array(place) + rng.normal(0, 0.2, (6, 2)))
    canvas.paint(canvas.spots(blots, rng.uniform(0.1, 0.5, 6) * pose.px_per_mm), ink * 2.5, rng.uniform(0.5, 0.9))


def _enlarged(canvas: Canvas, field_hw: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return what the canvas shows of a small field stretched over a width x height picture."""
    rows, cols = canvas.shape
    left, top = canvas.origin
    share = np.array([left, top, left + cols, top + rows]) / [width, height, width, height]
    y, x = (
        np.linspace(a, b, 48) * (size - 1)
        for a, b, size in zip(share[[1, 0]], share[[3, 2]], field_hw.shape, strict=True)
    )
    seen = map_coordinates(field_hw, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest").astype(np.float32)
    return np.asarray(Image.fromarray(seen).resize((cols, rows), Image.Resampling.BICUBIC), np.float32)


def _rim_texture(rng: np.random.Generator, canvas: Canvas, pose: Pose, bright: bool) -> None:
    """Fill the gap between base and lid: beads of water along parts of the rim, and wet lines that come and go."""
    inset, band = rng.uniform(2, 4), rng.uniform(0.3, 1.6)
    ring_mm = _ring_mm(pose, inset + band / 2)
    px = pose.px_per_mm
    for _ in range(rng.integers(0, 5)):
        length = int(rng.uniform(0.05, 0.4) * len(ring_mm))
        stretch = np.roll(ring_mm, -int(rng.integers(len(ring_mm))), axis=0)[:length]
        count = int(length * rng.uniform(0.5, 6))
        beads = stretch[rng.integers(0, length, count)] + rng.uniform(-0.5, 0.5, (count, 2)) * band
        radii = rng.uniform(0.02, 0.12, count) * px
        strengths = rng.uniform(0.04, 0.5, 2)
        for part, strength in enumerate(strengths):
            mark = canvas.spots(pose.to_px(beads[part::2]), radii[part::2])
            canvas.shade(mark, _tone(rng, strength, bright, allow_opposite=True))
    for _ in range(rng.integers(0, 8)):
        length = int(rng.uniform(0.01, 0.15) * len(ring_mm))
        ring = _ring_mm(pose, rng.uniform(0.5, 5.5))
        stretch = np.roll(ring, -int(rng.integers(len(ring))), axis=0)[:length]
        if length < 3:
            continue
        stretch = stretch + np.cumsum(rng.normal(0, 0.01, (length, 2)), 0)
        radius = np.abs(rng.uniform(0.03, 0.15) + 0.05 * np.cumsum(rng.normal(0, 0.3, length)) / np.sqrt(length)) * px
        canvas.shade(canvas.stroke(pose.to_px(stretch), radius), _tone(rng, rng.uniform(0.1, 0.85), bright, True))


def _label_picture(rng: np.random.Generator, long: int, across: int, px: float) -> Image.Image:
    tape = Image.new("LA", (round(long + 12 * px), round(across + 2.5 * px)), (0, 0))
    draw = ImageDraw.Draw(tape)
    draw.rectangle((0, 0, *tape.size), fill=(0, int(rng.choice([0, 60, 130]))))
    x, y = (tape.width - long) // 2, (tape.height - across) // 2
    draw.rectangle((x, y, x + long, y + across), fill=(0, 255))
    if rng.random() < 0.75:
        draw.rectangle(
            (x, y, x + long, y + across), outline=(255, 255), width=max(2, round(rng.uniform(0.3, 1.8) * px))
        )
    bar = x + 4 * px
    top, bottom = y + across * rng.uniform(0.2, 0.3), y + across * rng.uniform(0.5, 0.65)
    while bar < x + long * rng.uniform(0.4, 0.45):
        width = rng.integers(1, 4) * px * 0.25
        draw.rectangle((bar, top, bar + width, bottom), fill=(255, 255))
        bar += width + rng.integers(1, 4) * px * 0.25
    font = ImageFont.load_default(across * rng.uniform(0.2, 0.35))
    digits = "".join(str(digit) for digit in rng.integers(0, 10, 13))
    draw.text((x + 4 * px, bottom), digits, font=font, fill=(255, 255))
    name = (
        str(rng.choice(["Col-0", "Ler", "Col", "Ws-2", "pvd"]))
        + f" {rng.choice([0.5, 1, 5, 10])}mM {rng.integers(1, 9)}"
    )
    big = ImageFont.load_default(min(across * rng.uniform(0.35, 0.6), long * 0.38 / (0.6 * len(name))))
    draw.text((x + long * 0.6, y + across * 0.25), name, font=big, fill=(255, 255))
    return tape


def _tone(rng: np.random.Generator, strength: float, bright: bool, allow_opposite: bool) -> Colour:
    """Return the factor of a faint mark: darker on a light table, brighter in the dark, now and then the opposite."""
    opposite = allow_opposite and rng.random() < 0.2
    lighter = bright != opposite
    tint = rng.uniform(0.9, 1.1, 3) if not bright else np.ones(3)
    factor = 1 + strength * (4.0 if bright else 0.6) * tint if lighter else 1 - strength * tint
    return np.asarray(np.clip(factor, 0.02, 6.0), np.float32)


def _rounded_square(pose: Pose, inset: float) -> Points:
    return pose.to_px(_ring_mm(pose, inset))


def _ring_mm(pose: Pose, inset: float) -> Points:
    radius = max(2.0, pose.corner_mm - inset)
    quarters = [_corner(inset, radius, 0, 0, quarter) for quarter in range(4)]
    return _densify(np.concatenate([*quarters, quarters[0][:1]]), 0.4)


def _corner(inset: float, radius: float, before: float, after: float, quarter: int) -> Points:
    """Return an arc around a corner of the plate in mm, with straight ends, clockwise from the top left corner on."""
    turn = np.linspace(np.pi, 1.5 * np.pi, 24)
    arc = np.stack([np.cos(turn), np.sin(turn)], 1) * radius + inset + radius
    line = np.concatenate([[arc[0] + [0, before]], arc, [arc[-1] + [after, 0]]])
    for _ in range(quarter):
        line = np.stack([PLATE_MM - line[:, 1], line[:, 0]], 1)
    return _densify(line, 0.4)


def _densify(line: Points, step: float) -> Points:
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / step)))
    return np.stack([np.interp(at, lengths, line[:, axis]) for axis in range(2)], 1)


def _curve(knots: Points) -> Points:
    """Return a smooth curve through control points (a Bernstein polynomial)."""
    t = np.linspace(0, 1, 24)[:, None]
    curve = [np.repeat(knot[None], 24, 0) for knot in knots]
    while len(curve) > 1:
        curve = [a * (1 - t) + b * t for a, b in pairwise(curve)]
    return np.asarray(curve[0])
