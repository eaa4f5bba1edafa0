"""A transparent sheet over the photograph: drawn at twice its size and halved, so that thin lines are smooth."""

import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

XY = tuple[float, float]
RGB = tuple[int, int, int]

_SMOOTH = 2

WHITE: RGB = (255, 255, 255)
INK: RGB = (24, 26, 28)

PALETTE: tuple[RGB, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (0, 158, 115),
)
"""Okabe and Ito 2008, Color Universal Design; in an order that sets neighbours far apart, also in grey."""


def color_of(plant: int) -> RGB:
    """Return the colour of a plant by its number, from 1."""
    return PALETTE[(plant - 1) % len(PALETTE)]


def ink_on(color: RGB) -> RGB:
    """Return black or white, whichever is read more easily on the colour (ITU-R BT.601 luma)."""
    return INK if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140 else WHITE


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which needs no file."""
    return ImageFont.load_default(size)


class Canvas:
    """Draws in source-image pixels for places and in pixels of the finished picture for widths and sizes.

    `unit` is the size that reads well on the picture: 1 for one of 2000 px.
    """

    def __init__(self, width: int, height: int, factor: float, unit: float | None = None) -> None:
        self.width, self.height = width, height
        self._factor = factor
        self.unit = min(1.6, max(0.6, max(width, height) / 2000)) if unit is None else unit
        self._sheet = Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._sheet)

    def finished(self) -> Image.Image:
        """Return the sheet at the photograph's size, RGBA."""
        return self._sheet.reduce(_SMOOTH)

    def place(self, point: Sequence[float]) -> XY | None:
        """Return where a source pixel lies in the finished picture; None for a place far outside or not known."""
        x, y = ((value + 0.5) * self._factor for value in point[:2])
        near = math.isfinite(x) and math.isfinite(y)
        near = near and -self.width <= x <= 2 * self.width and -self.height <= y <= 2 * self.height
        return (x, y) if near else None

    def line(self, points: Iterable[Sequence[float]], width: float, color: RGB, alpha: int) -> None:
        """Draw a polyline with round ends; alpha 0 rubs out what is below it."""
        places = [place for place in map(self.place, points) if place is not None]
        scaled = [(x * _SMOOTH, y * _SMOOTH) for x, y in places]
        thickness = max(1, round(width * _SMOOTH))
        if len(scaled) > 1:
            self._draw.line(scaled, (*color, alpha), thickness, joint="curve")
        for x, y in {*scaled[:1], *scaled[-1:]}:
            radius = thickness / 2
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*color, alpha))

    def dashes(self, start: XY, end: XY, dash: float, width: float, color: RGB, alpha: int) -> None:
        """Draw a dashed line between two source pixels; `dash` is the length of a dash and of a gap, finished."""
        first, last = self.place(start), self.place(end)
        if first is None or last is None:
            return
        count = max(1, round(math.dist(first, last) / dash))
        for index in range(0, count, 2):
            ends = [
                tuple((a + (b - a) * min(count, at) / count) * _SMOOTH for a, b in zip(first, last, strict=True))
                for at in (index, index + 1)
            ]
            self._draw.line([(end[0], end[1]) for end in ends], (*color, alpha), max(1, round(width * _SMOOTH)))

    def ring(self, at: Sequence[float], radius: float, width: float, color: RGB, alpha: int) -> None:
        """Draw a circle around a place."""
        if (place := self.place(at)) is not None:
            box = tuple(_SMOOTH * value for value in _around(place, radius))
            self._draw.ellipse(box, outline=(*color, alpha), width=max(1, round(width * _SMOOTH)))

    def disc(self, at: Sequence[float], radius: float, color: RGB, alpha: int) -> None:
        """Fill a circle around a place."""
        if (place := self.place(at)) is not None:
            self._draw.ellipse(tuple(_SMOOTH * value for value in _around(place, radius)), (*color, alpha))

    def shape(self, at: Sequence[float], corners: Iterable[XY], fill: RGB, alpha: int, edge: RGB = INK) -> None:
        """Fill a polygon whose corners are given in finished pixels from a place."""
        if (place := self.place(at)) is not None:
            points = [((place[0] + dx) * _SMOOTH, (place[1] + dy) * _SMOOTH) for dx, dy in corners]
            self._draw.polygon(points, fill=(*fill, alpha), outline=(*edge, alpha), width=_SMOOTH)

    def text(self, at: XY, text: str, size: float, color: RGB, anchor: str = "lm") -> None:
        """Write at a place given in finished pixels; `anchor` is Pillow's (lm: the left middle of the text)."""
        self._draw.text((at[0] * _SMOOTH, at[1] * _SMOOTH), text, (*color, 255), font(size * _SMOOTH), anchor=anchor)

    def label(self, at: XY, text: str, size: float, fill: RGB) -> None:
        """Write in a filled box whose middle is `at`, in finished pixels; it is moved inside the picture."""
        face = font(size * _SMOOTH)
        left, top, right, bottom = self._draw.textbbox((0, 0), text, font=face, anchor="mm")
        half_width = max((right - left) / 2 + 0.45 * size * _SMOOTH, 0.75 * size * _SMOOTH)
        half_height = 0.75 * size * _SMOOTH
        x = _inside(at[0] * _SMOOTH, half_width, self._sheet.width)
        y = _inside(at[1] * _SMOOTH, half_height, self._sheet.height)
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self._draw.rounded_rectangle(box, half_height * 0.6, (*fill, 235), outline=(*ink_on(fill), 235), width=_SMOOTH)
        self._draw.text((x, y - (top + bottom) / 2), text, (*ink_on(fill), 255), face, anchor="mm")


def _around(place: XY, radius: float) -> tuple[float, float, float, float]:
    return place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius


def _inside(value: float, half: float, length: float) -> float:
    return min(max(value, half + 1), max(half + 1, length - half - 1))
