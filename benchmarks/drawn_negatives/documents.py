"""Drawn documents: charts, tables, grids, printed words, screens and maps."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drawn_negatives.drawing import INK, centred_square, draw_branch, page, vivid_colour


def printed_grid(rng: np.random.Generator) -> Image.Image:
    """Return squared paper with a frame."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = centred_square(image, rng)
    for position in np.linspace(0, right - left, int(rng.integers(6, 40))):
        draw.line((left + position, top, left + position, bottom), INK, int(rng.integers(1, 4)))
        draw.line((left, top + position, right, top + position), INK, int(rng.integers(1, 4)))
    return image


def dot_grid(rng: np.random.Generator) -> Image.Image:
    """Return a framed page of dots, as in a bullet journal."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, outline=INK, width=4)
    step = int(rng.integers(25, 70))
    for x in range(left + step, right, step):
        for y in range(top + step, bottom, step):
            draw.circle((x, y), 3, INK)
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
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, outline=INK, width=int(rng.integers(3, 14)))
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
            draw.text((x, y), word, INK, font)
            x += draw.textlength(word + " ", font)


def bar_chart(rng: np.random.Generator) -> Image.Image:
    """Return a bar chart in a square frame."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    count = int(rng.integers(4, 14))
    width = (right - left) / count
    for index in range(count):
        x = left + index * width
        draw.rectangle((x + width * 0.15, bottom - (bottom - top) * rng.uniform(0.1, 0.9), x + width * 0.85, bottom),
                       vivid_colour(rng))  # fmt: skip
    draw.rectangle(box, outline=INK, width=3)
    return image


def line_chart(rng: np.random.Generator) -> Image.Image:
    """Return curves in a square frame, drawn from the top to the bottom like roots."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    draw.rectangle(box, outline=INK, width=3)
    for index in range(int(rng.integers(3, 7))):
        y = np.linspace(top + 80, bottom - 80, 60)
        x = left + (right - left) * (index + 1) / 8 + np.cumsum(rng.normal(0, 5, 60))
        draw.line(list(zip(x, y, strict=True)), vivid_colour(rng), int(rng.integers(2, 7)))
    return image


def table(rng: np.random.Generator) -> Image.Image:
    """Return a table of numbers."""
    image = page(rng, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = centred_square(image, rng)
    columns, rows = int(rng.integers(3, 7)), int(rng.integers(6, 16))
    font = ImageFont.load_default(26)
    for column in np.linspace(left, right, columns + 1):
        draw.line((column, top, column, bottom), INK, 2)
    for row in np.linspace(top, bottom, rows + 1):
        draw.line((left, row, right, row), INK, 2)
        for column in np.linspace(left, right, columns + 1)[:-1]:
            draw.text((column + 15, row + 10), f"{rng.uniform(0, 99):.2f}", INK, font)
    return image


def screenshot(rng: np.random.Generator) -> Image.Image:
    """Return a window with a title bar, a square panel and buttons."""
    image = page(rng, (236, 238, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, image.width, 60), (40, 60, 90))
    left, top, right, bottom = box = centred_square(image, rng, 0.8)
    draw.rectangle(box, (255, 255, 255), (150, 150, 160), 3)
    for index in range(int(rng.integers(3, 9))):
        y = top + 60 + index * (bottom - top - 100) // 9
        draw.rounded_rectangle((left + 60, y, right - int(rng.integers(100, 500)), y + 46), 12, vivid_colour(rng))
    return image


def chessboard(rng: np.random.Generator) -> Image.Image:
    """Return a board of squares."""
    image = page(rng)
    draw = ImageDraw.Draw(image)
    left, top, right, _ = centred_square(image, rng)
    count = int(rng.integers(6, 12))
    cell = (right - left) / count
    for row in range(count):
        for column in range(count):
            if (row + column) % 2:
                x, y = left + column * cell, top + row * cell
                draw.rectangle((x, y, x + cell, y + cell), INK)
    return image


def matrix_code(rng: np.random.Generator) -> Image.Image:
    """Return a two-dimensional barcode."""
    image = page(rng, (250, 250, 250))
    left, top, right, _ = centred_square(image, rng)
    cells = (rng.random((29, 29)) < 0.5).astype(np.uint8) * 230
    cells[[0, -1]] = 0
    cells[:, [0, -1]] = 0
    code = Image.fromarray(cells).resize((right - left, right - left), Image.Resampling.NEAREST)
    image.paste(code.convert("RGB"), (left, top))
    return image


def map_of_roads(rng: np.random.Generator) -> Image.Image:
    """Return winding roads in a square frame."""
    image = page(rng, (240, 236, 225))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box = centred_square(image, rng)
    for _ in range(int(rng.integers(15, 50))):
        start = (float(rng.uniform(left + 40, right - 40)), float(rng.uniform(top + 40, bottom - 40)))
        draw_branch(draw, rng, start, rng.uniform(0, 6), 400, 7, vivid_colour(rng))
    draw.rectangle(box, outline=INK, width=6)
    return image


def empty_box(rng: np.random.Generator) -> Image.Image:
    """Return a drawing of an empty square."""
    image = page(rng)
    ImageDraw.Draw(image).rectangle(centred_square(image, rng), outline=INK, width=int(rng.integers(3, 12)))
    return image
