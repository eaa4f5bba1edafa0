"""Clutter on a plate: felt-tip marks, label, handwriting, dust, fibres, scratches, droplets.

Clutter belongs to the background class. Each kind is rendered, because networks that were trained without it predicted
roots on it.
"""

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thale_models.synthesis.drawing import Colour, PlateCanvas, Points
from thale_models.synthesis.plate_background import PLATE_SIDE_MM, Pose, corner_arc, sample_tone


def draw_corner_marks(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose) -> None:
    """Draw thick felt-tip arcs along the corners of the plate."""
    ink = np.array([10, 8, 35], np.float32) * rng.uniform(0.3, 1.6)
    inset = rng.uniform(2, 4.5)
    for quarter in range(4):
        if rng.random() < 0.3:
            _draw_ink_spot(rng, canvas, pose, ink)
        if rng.random() < 0.15:
            continue
        before, after = rng.uniform(3, 14, 2)
        line = corner_arc(inset + rng.normal(0, 0.2), rng.uniform(9, 14), before, after, quarter)
        line = line + np.cumsum(rng.normal(0, 0.02, line.shape), 0)
        pressure = 1 + 0.15 * np.sin(np.linspace(0, rng.uniform(2, 9), len(line)))
        radius = rng.uniform(0.3, 0.75) * pose.px_per_mm * pressure
        stroke = canvas.rasterise_polyline(pose.to_px(line), radius)
        glow = 1 + rng.uniform(0, 1.5) * np.exp(-((stroke.distance / stroke.radius) ** 2) * 4)
        canvas.paint(stroke, ink * glow[:, None], rng.uniform(0.93, 1.0))


def draw_label(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, right: bool, bright: bool) -> None:
    """Draw a framed label with a barcode and rotated text along one side, under clear tape."""
    px = pose.px_per_mm
    long, across = rng.uniform(50, 85) * px, rng.uniform(6.5, 9.5) * px
    tape = _render_label(rng, round(long), round(across), px)
    turn_deg = rng.choice([90, -90]) - pose.tilt_deg + rng.normal(0, 1)
    turned = tape.rotate(turn_deg, Image.Resampling.BICUBIC, expand=True)
    ink, paper = (np.asarray(channel, np.float32) / 255 for channel in turned.split())
    paper_light = rng.uniform(2.0, 4.0) if bright else rng.uniform(0.88, 1.08)
    ink_light = rng.uniform(0.1, 0.4) if not bright else rng.uniform(0.3, 0.8)
    factor = 1 + paper * (paper_light + ink * (ink_light - paper_light) - 1)
    x = rng.uniform(107, 110) if right else rng.uniform(10, 13)
    canvas.shade_window(Image.fromarray(factor.astype(np.float32)), pose.to_px(np.array([x, rng.uniform(50, 70)])))


def draw_handwriting(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose) -> None:
    """Draw felt-tip handwriting near the lower or upper edge of the plate."""
    ink = np.array([20, 18, 45], np.float32) * rng.uniform(0.3, 2.5)
    x, y = rng.uniform(12, 70), rng.choice([rng.uniform(6, 9), rng.uniform(104, 112)])
    size, radius = rng.uniform(1.5, 5), rng.uniform(0.12, 0.4) * pose.px_per_mm
    for _ in range(rng.integers(2, 12)):
        knots = rng.uniform(-0.5, 0.5, (rng.integers(3, 6), 2)) * [size * 0.8, size] + [x, y]
        canvas.paint(canvas.rasterise_polyline(pose.to_px(_bernstein_curve(knots)), radius), ink, rng.uniform(0.8, 1.0))
        x += size * rng.uniform(0.7, 1.2)


def draw_dust(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, bright: bool) -> None:
    """Draw specks, short curved fibres and long straight scratches over the image, most of them faint."""
    px = pose.px_per_mm
    count = rng.poisson(rng.choice([40, 150, 500]))
    positions = pose.to_px(rng.uniform(-20, PLATE_SIDE_MM + 20, (count, 2)))
    radii = np.clip(rng.exponential(0.04, count) * px, 0.4, 5)
    strengths = rng.exponential(0.12, 4).clip(0.02, 0.9)
    for group, strength in enumerate(strengths):
        stroke = canvas.rasterise_discs(positions[group::4], radii[group::4])
        canvas.shade(stroke, sample_tone(rng, strength, bright, allow_opposite=True))
    for _ in range(rng.poisson(rng.choice([2, 8, 20]))):
        start = rng.uniform(0, PLATE_SIDE_MM, 2)
        knots = start + np.cumsum(rng.normal(0, rng.uniform(0.1, 1.0), (4, 2)), 0)
        stroke = canvas.rasterise_polyline(pose.to_px(_bernstein_curve(knots)), rng.uniform(0.6, 1.6))
        canvas.shade(stroke, sample_tone(rng, rng.uniform(0.01, 0.12), bright, allow_opposite=True))
    for _ in range(rng.poisson(1.0)):
        start, angle = rng.uniform(0, PLATE_SIDE_MM, 2), rng.uniform(0, np.pi)
        ends = start + np.outer(np.linspace(-1, 1, 20) * rng.uniform(2, 30), [np.cos(angle), np.sin(angle)])
        stroke = canvas.rasterise_polyline(pose.to_px(ends), rng.uniform(0.4, 1.0))
        canvas.shade(stroke, sample_tone(rng, rng.uniform(0.01, 0.08), bright, allow_opposite=True))


def draw_condensation(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, bright: bool) -> None:
    """Draw droplets on the lid: rings with a darker edge and a lighter core, in a cluster."""
    centre, spread = rng.uniform(5, 115, 2), rng.uniform(3, 25)
    count = int(rng.integers(5, 90))
    positions = pose.to_px(centre + rng.normal(0, spread, (count, 2)))
    radii = np.clip(rng.exponential(0.35, count), 0.1, 2.5) * pose.px_per_mm
    drops = canvas.rasterise_discs(positions, radii)
    edge = np.exp(-(((drops.distance - drops.radius) / 1.5) ** 2))
    canvas.shade(drops, sample_tone(rng, rng.uniform(0.03, 0.25), bright, False), edge.astype(np.float32))
    canvas.shade(drops, sample_tone(rng, rng.uniform(0.0, 0.05), not bright, False))


def _draw_ink_spot(rng: np.random.Generator, canvas: PlateCanvas, pose: Pose, ink: Colour) -> None:
    position = rng.uniform(-4, PLATE_SIDE_MM + 4), rng.choice([rng.uniform(-4, 5), rng.uniform(115, 124)])
    blots = pose.to_px(np.array(position) + rng.normal(0, 0.2, (6, 2)))
    canvas.paint(
        canvas.rasterise_discs(blots, rng.uniform(0.1, 0.5, 6) * pose.px_per_mm), ink * 2.5, rng.uniform(0.5, 0.9)
    )


def _render_label(rng: np.random.Generator, long: int, across: int, px: float) -> Image.Image:
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


def _bernstein_curve(knots: Points) -> Points:
    """Return a smooth curve through control points (a Bernstein polynomial)."""
    t = np.linspace(0, 1, 24)[:, None]
    curve = [np.repeat(knot[None], 24, 0) for knot in knots]
    while len(curve) > 1:
        curve = [a * (1 - t) + b * t for a, b in pairwise(curve)]
    return np.asarray(curve[0])
