"""Small drawings of dishes and of other things with straight or round edges, as a camera would show them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tests.support import sample_images


def photograph(image: Image.Image, seed: int, noise: float = 1.5) -> NDArray[np.uint8]:
    """Return a drawing with blur and sensor noise, uint8 HW3."""
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), float)
    noisy = pixels + np.random.default_rng(seed).normal(0, noise, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def blank(width: int, height: int, level: int = 150) -> Image.Image:
    """Return an empty picture."""
    return Image.new("RGB", (width, height), (level, level, level - 10))


def draw_dish(image: Image.Image, left: int, top: int, side: int, corner_share: float = 0.11) -> None:
    """Draw the outer edge and four rims of a square dish, with rounded corners by default."""
    draw = ImageDraw.Draw(image)
    for inset_share, level in ((0, 95), (0.012, 175), (0.022, 110), (0.034, 170), (0.045, 120)):
        inset = round(inset_share * side)
        box = (left + inset, top + inset, left + side - inset, top + side - inset)
        draw.rounded_rectangle(box, max(0, round(corner_share * side) - inset), outline=(level,) * 3, width=2)


def draw_roots(image: Image.Image, left: int, top: int, side: int, count: int = 3) -> None:
    """Draw thin vertical roots of different lengths into a dish."""
    draw = ImageDraw.Draw(image)
    for index in range(count):
        x = left + side * (index + 1) / (count + 1)
        y = np.linspace(top + 0.2 * side, top + (0.5 + 0.12 * index) * side, 30)
        draw.line(list(zip(x + 4 * np.sin(y / 25 + index), y, strict=True)), (120, 125, 110), 3)


def dish() -> bytes:
    """Return the PNG of a dish with roots."""
    image = blank(570, 560)
    draw_dish(image, 40, 45, 470)
    draw_roots(image, 40, 45, 470)
    return sample_images.encode(Image.fromarray(photograph(image, 1)), "PNG")
