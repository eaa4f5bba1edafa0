"""Parts of the drawings: pages, colours, squares and branches, and the noise and uneven light of a camera."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
INK: Colour = (20, 20, 24)


def page(rng: np.random.Generator, colour: Colour | None = None) -> Image.Image:
    """Return an empty page of a random size in one colour."""
    size = (int(rng.integers(900, 1500)), int(rng.integers(900, 1400)))
    return Image.new("RGB", size, colour or pale_colour(rng))


def pale_colour(rng: np.random.Generator) -> Colour:
    """Return a random pale colour."""
    red, green, blue = (int(value) for value in rng.integers(215, 256, 3))
    return red, green, blue


def vivid_colour(rng: np.random.Generator) -> Colour:
    """Return a random colour that contrasts with a page."""
    red, green, blue = (int(value) for value in rng.integers(0, 220, 3))
    return red, green, blue


def centred_square(image: Image.Image, rng: np.random.Generator, share: float = 0.85) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of a large square inside an image."""
    side = int(min(image.size) * share * rng.uniform(0.85, 1.0))
    left = int(rng.integers(10, image.width - side - 9))
    top = int(rng.integers(10, image.height - side - 9))
    return left, top, left + side, top + side


def draw_branch(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: int,
    colour: Colour,
) -> None:
    """Draw a winding line of a length in pixels, with branches of half its width."""
    point = start
    for step in range(int(length / 15)):
        angle += rng.normal(0, 0.12)
        following = (point[0] + 15 * np.cos(angle), point[1] + 15 * np.sin(angle))
        draw.line((*point, *following), colour, width)
        point = following
        if width > 3 and step % 9 == 8:
            draw_branch(draw, rng, point, angle + rng.choice([-0.7, 0.7]), length * 0.5, width // 2, colour)


def as_photograph(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Return a drawing as a camera would show it: blurred, unevenly lit, and with noise."""
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.5))), float)
    height, width = blurred.shape[:2]
    light = (
        np.linspace(1, rng.uniform(0.8, 1.0), width)[None, :, None]
        * np.linspace(1, rng.uniform(0.8, 1.0), height)[:, None, None]
    )
    exposed = blurred * light + rng.normal(0, rng.uniform(0.8, 2.2), blurred.shape)
    return Image.fromarray(exposed.clip(0, 255).astype(np.uint8))
