"""Drawn pictures of a laboratory: dishes, wells, microscopes, eyes, leaves, rosettes, gels and soil."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from drawn_negatives.drawing import INK, Colour, as_photograph, centred_square, draw_branch, page


def round_dish(rng: np.random.Generator) -> Image.Image:
    """Return a round dish of agar with the rims of lid and base, with seedlings in some."""
    dark = rng.random() < 0.5
    image = page(rng, (12, 12, 12) if dark else (170, 180, 172))
    draw = ImageDraw.Draw(image)
    radius = min(image.size) * rng.uniform(0.38, 0.47)
    x, y = image.width / 2, image.height / 2
    level = int(rng.integers(45, 80)) if dark else 190
    draw.circle((x, y), radius, (level, level, level), (level + 50,) * 3, 5)
    draw.circle((x, y), radius * 0.965, outline=(level + 25,) * 3, width=3)
    draw.circle((x, y), radius * 0.94, outline=(level - 25,) * 3, width=3)
    if rng.random() < 0.6:
        _draw_seedlings(draw, rng, (x, y, radius), (level + 90,) * 3 if dark else (140, 140, 130))
    return as_photograph(rng, image)


def _draw_seedlings(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, circle: tuple[float, float, float], colour: Colour
) -> None:
    x, y, radius = circle
    for index in range(5):
        start = x + (index - 2) * radius * 0.25
        down = np.linspace(y - radius * 0.45, y + radius * rng.uniform(0.1, 0.5), 50)
        across = start + np.cumsum(rng.normal(0, 2, 50))
        draw.line(list(zip(across, down, strict=True)), colour, 6)
        draw.circle((start - 14, down[0] - 12), 16, (90, 130, 60))
        draw.circle((start + 14, down[0] - 12), 16, (90, 130, 60))


def multiwell_plate(rng: np.random.Generator) -> Image.Image:
    """Return a plate of round wells."""
    image = page(rng, (200, 204, 206))
    draw = ImageDraw.Draw(image)
    left, top, right, _ = box = centred_square(image, rng)
    draw.rounded_rectangle(box, 40, (220, 222, 224), (120, 120, 120), 5)
    count = int(rng.integers(2, 9))
    cell = (right - left - 60) / count
    for row in range(count):
        for column in range(count):
            centre = left + 30 + (column + 0.5) * cell, top + 30 + (row + 0.5) * cell
            draw.circle(centre, cell * 0.44, (205, 210, 200), (110, 110, 110), 4)
    return as_photograph(rng, image)


def retina(rng: np.random.Generator) -> Image.Image:
    """Return a disc with branching vessels, like a photograph of the fundus of an eye."""
    image = page(rng, (4, 3, 3))
    draw = ImageDraw.Draw(image)
    radius = min(image.size) * 0.45
    x, y = image.width / 2, image.height / 2
    draw.circle((x, y), radius, (170, 80, 40))
    start = (x + radius * 0.4, y)
    draw.circle(start, radius * 0.12, (235, 190, 120))
    for angle in rng.uniform(0, 2 * np.pi, 9):
        draw_branch(draw, rng, start, angle, radius, 12, (110, 30, 20))
    return as_photograph(rng, image)


def microscope(rng: np.random.Generator) -> Image.Image:
    """Return a bright round field with cells on black."""
    image = page(rng, (0, 0, 0))
    draw = ImageDraw.Draw(image)
    radius = min(image.size) * 0.46
    x, y = image.width / 2, image.height / 2
    draw.circle((x, y), radius, (205, 200, 215))
    for _ in range(int(rng.integers(60, 400))):
        angle, distance = rng.uniform(0, 2 * np.pi), radius * 0.95 * np.sqrt(rng.random())
        centre = x + distance * np.cos(angle), y + distance * np.sin(angle)
        draw.circle(centre, int(rng.integers(8, 30)), (150, 110, 170), (100, 60, 130), 3)
    return as_photograph(rng, image)


def tissue_section(rng: np.random.Generator) -> Image.Image:
    """Return a square field full of cell walls."""
    image = page(rng, (30, 30, 34))
    left, top, right, _ = centred_square(image, rng)
    side = right - left
    seeds = rng.uniform(0, side, (int(rng.integers(60, 400)), 2))
    y, x = np.mgrid[0:side:4, 0:side:4]
    distance = np.sort(np.stack([np.hypot(x - sx, y - sy) for sx, sy in seeds]), axis=0)
    walls = np.where(distance[1] - distance[0] < 8, 90, 200).astype(np.uint8)
    image.paste(Image.fromarray(walls).resize((side, side)).convert("RGB"), (left, top))
    return as_photograph(rng, image)


def leaf(rng: np.random.Generator, framed: bool = False) -> Image.Image:
    """Return a green leaf with veins, on paper or in a square frame."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    if framed:
        draw.rectangle(centred_square(image, rng), outline=INK, width=8)
    x, y, size = image.width / 2, image.height / 2, min(image.size) * 0.3
    turn = np.linspace(0, 2 * np.pi, 200)
    outline = size * (0.8 + 0.2 * np.cos(2 * turn) + 0.04 * np.sin(rng.integers(5, 12) * turn))
    draw.polygon(list(zip(x + outline * np.cos(turn), y + outline * np.sin(turn), strict=True)), (70, 130, 50))
    draw.line((x - size, y, x + size, y), (170, 200, 140), 8)
    for along in np.linspace(-0.8, 0.8, 12):
        for side in (-1, 1):
            draw.line((x + along * size, y, x + along * size + 60, y + side * size * 0.5), (150, 185, 120), 4)
    return as_photograph(rng, image)


def framed_leaf(rng: np.random.Generator) -> Image.Image:
    """Return a leaf in a square frame."""
    return leaf(rng, framed=True)


def rosettes(rng: np.random.Generator) -> Image.Image:
    """Return a tray of rosettes from above, in square pots."""
    image = page(rng, (90, 70, 55))
    draw = ImageDraw.Draw(image)
    left, top, right, _ = centred_square(image, rng)
    count = int(rng.integers(2, 6))
    cell = (right - left) / count
    for row in range(count):
        for column in range(count):
            x, y = left + (column + 0.5) * cell, top + (row + 0.5) * cell
            draw.rectangle((x - cell / 2, y - cell / 2, x + cell / 2, y + cell / 2), outline=(30, 30, 30), width=10)
            for angle in np.linspace(0, 2 * np.pi, 8)[:-1] + rng.uniform(0, 1):
                tip = x + 0.25 * cell * np.cos(angle), y + 0.25 * cell * np.sin(angle)
                draw.line((x, y, *tip), (110, 150, 80), 10)
                draw.circle(tip, cell * 0.1, (80, 140, 60))
    return as_photograph(rng, image)


def gel(rng: np.random.Generator) -> Image.Image:
    """Return the lanes and bands of an electrophoresis gel."""
    image = page(rng, (20, 20, 20))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, (60, 60, 60), (90, 90, 90), 4)
    lanes = int(rng.integers(6, 14))
    for lane in range(lanes):
        x = left + 40 + lane * (right - left - 80) / lanes
        for y in rng.uniform(top + 60, bottom - 60, int(rng.integers(2, 9))):
            draw.rectangle((x, y, x + (right - left) / lanes * 0.7, y + 12), (int(rng.integers(120, 240)),) * 3)
    return as_photograph(rng, image.filter(ImageFilter.GaussianBlur(3)))


def soil(rng: np.random.Generator) -> Image.Image:
    """Return a square window of soil, as in a rhizotron."""
    image = page(rng, (20, 20, 20))
    left, top, right, _ = centred_square(image, rng)
    side = right - left
    field = sum(ndimage.zoom(rng.normal(0, 12, (side // step + 2,) * 2), step, order=1)[:side, :side]
                for step in (4, 9, 30))  # fmt: skip
    image.paste(Image.fromarray((90 + field).clip(0, 255).astype(np.uint8)).convert("RGB"), (left, top))
    return as_photograph(rng, image)
