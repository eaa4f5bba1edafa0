"""Drawn pictures of anything but a square plate: charts, pages, grids, round dishes, eyes, leaves, walls and noise.

Many of them contain a square with four long edges, because such pictures are the ones that a search for squares takes
for a plate. `as_photograph` adds the noise, the blur and the uneven light of a camera to a drawing.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

Drawing = Callable[[np.random.Generator], Image.Image]
Colour = tuple[int, int, int]
_INK: Colour = (20, 20, 24)


def page(rng: np.random.Generator, colour: Colour | None = None) -> Image.Image:
    """Return an empty page of a random size in one colour."""
    size = (int(rng.integers(900, 1500)), int(rng.integers(900, 1400)))
    return Image.new("RGB", size, colour or _pale(rng))


def _pale(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(215, 256, 3))
    return red, green, blue


def _vivid(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(0, 220, 3))
    return red, green, blue


def _centred_square(image: Image.Image, rng: np.random.Generator, share: float = 0.85) -> tuple[int, int, int, int]:
    side = int(min(image.size) * share * rng.uniform(0.85, 1.0))
    left = int(rng.integers(10, image.width - side - 9))
    top = int(rng.integers(10, image.height - side - 9))
    return left, top, left + side, top + side


def printed_grid(rng: np.random.Generator) -> Image.Image:
    """Return squared paper with a frame."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = _centred_square(image, rng)
    for position in np.linspace(0, right - left, int(rng.integers(6, 40))):
        draw.line((left + position, top, left + position, bottom), _INK, int(rng.integers(1, 4)))
        draw.line((left, top + position, right, top + position), _INK, int(rng.integers(1, 4)))
    return image


def dot_grid(rng: np.random.Generator) -> Image.Image:
    """Return a framed page of dots, as in a bullet journal."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    draw.rectangle(box, outline=_INK, width=4)
    step = int(rng.integers(25, 70))
    for x in range(left + step, right, step):
        for y in range(top + step, bottom, step):
            draw.circle((x, y), 3, _INK)
    return image


def text_page(rng: np.random.Generator) -> Image.Image:
    """Return a page of printed words."""
    image = page(rng)
    _write_words(ImageDraw.Draw(image), rng, (60, 60, image.width - 60, image.height - 60), int(rng.integers(18, 44)))
    return image


def framed_text(rng: np.random.Generator) -> Image.Image:
    """Return a notice: words in a square frame."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    draw.rectangle(box, outline=_INK, width=int(rng.integers(3, 14)))
    _write_words(draw, rng, (left + 70, top + 70, right - 70, bottom - 70), int(rng.integers(20, 50)))
    return image


def _write_words(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[int, int, int, int], size: int
) -> None:
    font = ImageFont.load_default(size)
    left, top, right, bottom = box
    for y in range(top, bottom - size, int(size * 1.4)):
        x = float(left)
        while x < right - 5 * size:
            word = "".join(chr(97 + int(code)) for code in rng.integers(0, 26, int(rng.integers(2, 9))))
            draw.text((x, y), word, _INK, font)
            x += draw.textlength(word + " ", font)


def bar_chart(rng: np.random.Generator) -> Image.Image:
    """Return a bar chart in a square frame."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    count = int(rng.integers(4, 14))
    width = (right - left) / count
    for index in range(count):
        x = left + index * width
        draw.rectangle((x + width * 0.15, bottom - (bottom - top) * rng.uniform(0.1, 0.9), x + width * 0.85, bottom),
                       _vivid(rng))  # fmt: skip
    draw.rectangle(box, outline=_INK, width=3)
    return image


def line_chart(rng: np.random.Generator) -> Image.Image:
    """Return curves in a square frame, drawn from the top to the bottom like roots."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    draw.rectangle(box, outline=_INK, width=3)
    for index in range(int(rng.integers(3, 7))):
        y = np.linspace(top + 80, bottom - 80, 60)
        x = left + (right - left) * (index + 1) / 8 + np.cumsum(rng.normal(0, 5, 60))
        draw.line(list(zip(x, y, strict=True)), _vivid(rng), int(rng.integers(2, 7)))
    return image


def table(rng: np.random.Generator) -> Image.Image:
    """Return a table of numbers."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = _centred_square(image, rng)
    columns, rows = int(rng.integers(3, 7)), int(rng.integers(6, 16))
    font = ImageFont.load_default(26)
    for column in np.linspace(left, right, columns + 1):
        draw.line((column, top, column, bottom), _INK, 2)
    for row in np.linspace(top, bottom, rows + 1):
        draw.line((left, row, right, row), _INK, 2)
        for column in np.linspace(left, right, columns + 1)[:-1]:
            draw.text((column + 15, row + 10), f"{rng.uniform(0, 99):.2f}", _INK, font)
    return image


def screenshot(rng: np.random.Generator) -> Image.Image:
    """Return a window with a title bar, a square panel and buttons."""
    image = page(rng, (236, 238, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, image.width, 60), (40, 60, 90))
    left, top, right, bottom = box = _centred_square(image, rng, 0.8)
    draw.rectangle(box, (255, 255, 255), (150, 150, 160), 3)
    for index in range(int(rng.integers(3, 9))):
        y = top + 60 + index * (bottom - top - 100) // 9
        draw.rounded_rectangle((left + 60, y, right - int(rng.integers(100, 500)), y + 46), 12, _vivid(rng))
    return image


def chessboard(rng: np.random.Generator) -> Image.Image:
    """Return a board of squares."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, _ = _centred_square(image, rng)
    count = int(rng.integers(6, 12))
    cell = (right - left) / count
    for row in range(count):
        for column in range(count):
            if (row + column) % 2:
                x, y = left + column * cell, top + row * cell
                draw.rectangle((x, y, x + cell, y + cell), _INK)
    return image


def matrix_code(rng: np.random.Generator) -> Image.Image:
    """Return a two-dimensional barcode."""
    image = page(rng, (250, 250, 250))
    left, top, right, _ = _centred_square(image, rng)
    cells = (rng.random((29, 29)) < 0.5).astype(np.uint8) * 230
    cells[[0, -1]] = 0
    cells[:, [0, -1]] = 0
    code = Image.fromarray(cells).resize((right - left, right - left), Image.Resampling.NEAREST)
    image.paste(code.convert("RGB"), (left, top))
    return image


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
    left, top, right, _ = box = _centred_square(image, rng)
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
        _draw_branch(draw, rng, start, angle, radius, 12, (110, 30, 20))
    return as_photograph(rng, image)


def _draw_branch(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: int,
    colour: Colour,
) -> None:
    point = start
    for step in range(int(length / 15)):
        angle += rng.normal(0, 0.12)
        following = (point[0] + 15 * np.cos(angle), point[1] + 15 * np.sin(angle))
        draw.line((*point, *following), colour, width)
        point = following
        if width > 3 and step % 9 == 8:
            _draw_branch(draw, rng, point, angle + rng.choice([-0.7, 0.7]), length * 0.5, width // 2, colour)


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
    left, top, right, _ = _centred_square(image, rng)
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
        draw.rectangle(_centred_square(image, rng), outline=_INK, width=8)
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
    left, top, right, _ = _centred_square(image, rng)
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


def noise(rng: np.random.Generator) -> Image.Image:
    """Return random grey levels."""
    image = page(rng)
    return Image.fromarray(rng.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8))


def framed_noise(rng: np.random.Generator) -> Image.Image:
    """Return a square screen of noise on a dark wall."""
    image = page(rng, (40, 40, 44))
    left, top, right, _ = _centred_square(image, rng)
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
    return page(rng, _vivid(rng))


def empty_box(rng: np.random.Generator) -> Image.Image:
    """Return a drawing of an empty square."""
    image = page(rng)
    ImageDraw.Draw(image).rectangle(_centred_square(image, rng), outline=_INK, width=int(rng.integers(3, 12)))
    return image


def circuit(rng: np.random.Generator) -> Image.Image:
    """Return a square circuit board with tracks and pads."""
    image = page(rng, (225, 225, 222))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
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
    left, top, right, bottom = box = _centred_square(image, rng)
    draw.rectangle(box, (180, 205, 230), (240, 240, 240), 26)
    bars = int(rng.integers(2, 5))
    for share in np.linspace(0, 1, bars + 1)[1:-1]:
        x, y = left + share * (right - left), top + share * (bottom - top)
        draw.rectangle((x - 12, top, x + 12, bottom), (240, 240, 240))
        draw.rectangle((left, y - 12, right, y + 12), (240, 240, 240))
    return as_photograph(rng, image)


def gel(rng: np.random.Generator) -> Image.Image:
    """Return the lanes and bands of an electrophoresis gel."""
    image = page(rng, (20, 20, 20))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    draw.rectangle(box, (60, 60, 60), (90, 90, 90), 4)
    lanes = int(rng.integers(6, 14))
    for lane in range(lanes):
        x = left + 40 + lane * (right - left - 80) / lanes
        for y in rng.uniform(top + 60, bottom - 60, int(rng.integers(2, 9))):
            draw.rectangle((x, y, x + (right - left) / lanes * 0.7, y + 12), (int(rng.integers(120, 240)),) * 3)
    return as_photograph(rng, image.filter(ImageFilter.GaussianBlur(3)))


def map_of_roads(rng: np.random.Generator) -> Image.Image:
    """Return winding roads in a square frame."""
    image = page(rng, (240, 236, 225))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = _centred_square(image, rng)
    for _ in range(int(rng.integers(15, 50))):
        start = (float(rng.uniform(left + 40, right - 40)), float(rng.uniform(top + 40, bottom - 40)))
        _draw_branch(draw, rng, start, rng.uniform(0, 6), 400, 7, _vivid(rng))
    draw.rectangle(box, outline=_INK, width=6)
    return image


def scratched_metal(rng: np.random.Generator) -> Image.Image:
    """Return a square sheet of brushed metal with scratches."""
    image = page(rng, (60, 55, 50))
    left, top, right, _ = _centred_square(image, rng)
    side = right - left
    brushed = ndimage.gaussian_filter1d(rng.normal(150, 60, (side, side)), 25, axis=int(rng.integers(0, 2)))
    sheet = Image.fromarray(brushed.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(10, 60))):
        draw.line([int(value) for value in rng.uniform(0, side, 4)], int(rng.integers(90, 220)), 3)
    image.paste(sheet.convert("RGB"), (left, top))
    return as_photograph(rng, image)


def soil(rng: np.random.Generator) -> Image.Image:
    """Return a square window of soil, as in a rhizotron."""
    image = page(rng, (20, 20, 20))
    left, top, right, _ = _centred_square(image, rng)
    side = right - left
    field = sum(ndimage.zoom(rng.normal(0, 12, (side // step + 2,) * 2), step, order=1)[:side, :side]
                for step in (4, 9, 30))  # fmt: skip
    image.paste(Image.fromarray((90 + field).clip(0, 255).astype(np.uint8)).convert("RGB"), (left, top))
    return as_photograph(rng, image)


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


def photographed(drawing: Drawing) -> Drawing:
    """Return a drawing that is photographed."""

    def draw(rng: np.random.Generator) -> Image.Image:
        return as_photograph(rng, drawing(rng))

    return draw


_FLAT = (
    *(printed_grid, dot_grid, text_page, framed_text, bar_chart, line_chart, table, screenshot, chessboard),
    *(matrix_code, map_of_roads, empty_box),
)
NEGATIVES: Mapping[str, Drawing] = {
    **{drawing.__name__: drawing for drawing in _FLAT},
    **{f"photographed_{drawing.__name__}": photographed(drawing) for drawing in _FLAT},
    **{
        drawing.__name__: drawing
        for drawing in (
            *(round_dish, multiwell_plate, retina, microscope, tissue_section, leaf, framed_leaf, rosettes, noise),
            *(framed_noise, gradient, empty, circuit, brick_wall, tiled_floor, window, gel, scratched_metal, soil),
        )
    },
}
"""All drawings by name. Each takes a random generator, so that every seed gives another picture."""


def draw_negative(name: str, seed: int) -> NDArray[np.uint8]:
    """Return one drawing as uint8 HW3."""
    return np.asarray(NEGATIVES[name](np.random.default_rng(seed)).convert("RGB"))
