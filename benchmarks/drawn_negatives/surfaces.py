"""Drawn surfaces: noise, gradients, walls, floors, windows, circuit boards and metal."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from drawn_negatives.drawing import as_photograph, centred_square, page, vivid_colour


def noise(rng: np.random.Generator) -> Image.Image:
    """Return random grey levels."""
    image = page(rng)
    return Image.fromarray(rng.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8))


def framed_noise(rng: np.random.Generator) -> Image.Image:
    """Return a square screen of noise on a dark wall."""
    image = page(rng, (40, 40, 44))
    left, top, right, _ = centred_square(image, rng)
    pixels = rng.integers(60, 200, (right - left, right - left), dtype=np.uint8)
    image.paste(Image.fromarray(pixels).convert("RGB"), (left, top))
    return image


def gradient(rng: np.random.Generator) -> Image.Image:
    """Return a smooth gradient."""
    image = page(rng)
    ramp = np.linspace(rng.uniform(0, 80), rng.uniform(150, 255), image.width)
    return as_photograph(rng, Image.fromarray(np.tile(ramp.astype(np.uint8), (image.height, 1))).convert("RGB"))


def empty(rng: np.random.Generator) -> Image.Image:
    """Return one colour."""
    return page(rng, vivid_colour(rng))


def circuit(rng: np.random.Generator) -> Image.Image:
    """Return a square circuit board with tracks and pads."""
    image = page(rng, (225, 225, 222))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, (20, 90, 50), (10, 50, 30), 6)
    for _ in range(int(rng.integers(25, 90))):
        x, y = int(rng.integers(left + 40, right - 40)), int(rng.integers(top + 40, bottom - 40))
        for _ in range(int(rng.integers(2, 6))):
            length = int(rng.integers(-300, 300))
            x2, y2 = (x + length, y) if rng.random() < 0.5 else (x, y + length)
            x2, y2 = int(np.clip(x2, left + 30, right - 30)), int(np.clip(y2, top + 30, bottom - 30))
            draw.line((x, y, x2, y2), (90, 160, 90), 7)
            x, y = x2, y2
        draw.circle((x, y), 12, (210, 180, 90))
    return as_photograph(rng, image)


def brick_wall(rng: np.random.Generator) -> Image.Image:
    """Return a wall of bricks."""
    image = page(rng, (190, 185, 175))
    draw = ImageDraw.Draw(image)
    height = int(rng.integers(50, 160))
    for row, y in enumerate(range(0, image.height, height)):
        for x in range(-height * (row % 2), image.width, 2 * height):
            red = int(rng.integers(120, 180))
            draw.rectangle((x, y, x + 2 * height - 10, y + height - 10), (red, red // 2, red // 3))
    return as_photograph(rng, image)


def tiled_floor(rng: np.random.Generator) -> Image.Image:
    """Return large square tiles with joints."""
    image = page(rng, (205, 205, 200))
    draw = ImageDraw.Draw(image)
    side = int(min(image.size) * rng.uniform(0.42, 0.8))
    for offset in range(int(rng.integers(20, side)), max(image.size), side):
        draw.line((offset, 0, offset, image.height), (120, 120, 118), 8)
        draw.line((0, offset, image.width, offset), (120, 120, 118), 8)
    return as_photograph(rng, image)


def window(rng: np.random.Generator) -> Image.Image:
    """Return a window with a cross of bars."""
    image = page(rng, (120, 110, 100))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, (180, 205, 230), (240, 240, 240), 26)
    bars = int(rng.integers(2, 5))
    for share in np.linspace(0, 1, bars + 1)[1:-1]:
        x, y = left + share * (right - left), top + share * (bottom - top)
        draw.rectangle((x - 12, top, x + 12, bottom), (240, 240, 240))
        draw.rectangle((left, y - 12, right, y + 12), (240, 240, 240))
    return as_photograph(rng, image)


def scratched_metal(rng: np.random.Generator) -> Image.Image:
    """Return a square sheet of brushed metal with scratches."""
    image = page(rng, (60, 55, 50))
    left, top, right, _ = centred_square(image, rng)
    side = right - left
    brushed = ndimage.gaussian_filter1d(rng.normal(150, 60, (side, side)), 25, axis=int(rng.integers(0, 2)))
    sheet = Image.fromarray(brushed.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(10, 60))):
        draw.line([int(value) for value in rng.uniform(0, side, 4)], int(rng.integers(90, 220)), 3)
    image.paste(sheet.convert("RGB"), (left, top))
    return as_photograph(rng, image)
