"""Transparent drawing layer over the photograph, drawn at twice its size and downsampled for smooth thin lines."""

import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

XY = tuple[float, float]
RGB = tuple[int, int, int]

_SUPERSAMPLING = 2

WHITE: RGB = (255, 255, 255)
DARK: RGB = (24, 26, 28)

PALETTE: tuple[RGB, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (0, 158, 115),
)
"""Okabe and Ito 2008, Color Universal Design. The order separates adjacent colours, also in greyscale."""


def color_of(plant: int) -> RGB:
    """Return the colour of a plant. Plants are numbered from 1."""
    return PALETTE[(plant - 1) % len(PALETTE)]


def contrasting_text_color(color: RGB) -> RGB:
    """Return the text colour, dark or white, with more contrast to a background colour (ITU-R BT.601 luma)."""
    return DARK if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140 else WHITE


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the default font of Pillow, which needs no font file."""
    return ImageFont.load_default(size)


class OverlayCanvas:
    """Drawing surface with positions in source pixels, and widths and sizes in output pixels.

    Args:
        width: Width of the output in pixels.
        height: Height of the output in pixels.
        factor: Output pixels per source pixel.
        unit: Base length for widths and text sizes, in output pixels. The default is 1 for an image of 2000 px.
    """

    def __init__(self, width: int, height: int, factor: float, unit: float | None = None) -> None:
        self.width, self.height = width, height
        self._factor = factor
        self.unit = min(1.6, max(0.6, max(width, height) / 2000)) if unit is None else unit
        self._layer = Image.new("RGBA", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._layer)

    def image(self) -> Image.Image:
        """Return the layer as an RGBA image at the output size."""
        return self._layer.reduce(_SUPERSAMPLING)

    def to_canvas_xy(self, point: Sequence[float]) -> XY | None:
        """Return the output position of a source position, or None if it is far outside or not finite."""
        x, y = ((value + 0.5) * self._factor for value in point[:2])
        is_near = math.isfinite(x) and math.isfinite(y)
        is_near = is_near and -self.width <= x <= 2 * self.width and -self.height <= y <= 2 * self.height
        return (x, y) if is_near else None

    def line(self, points: Iterable[Sequence[float]], width: float, color: RGB, alpha: int) -> None:
        """Draw a polyline with round ends. Alpha 0 erases what is below it."""
        points_xy = [point for point in map(self.to_canvas_xy, points) if point is not None]
        scaled = [(x * _SUPERSAMPLING, y * _SUPERSAMPLING) for x, y in points_xy]
        thickness = max(1, round(width * _SUPERSAMPLING))
        if len(scaled) > 1:
            self._draw.line(scaled, (*color, alpha), thickness, joint="curve")
        for x, y in {*scaled[:1], *scaled[-1:]}:
            radius = thickness / 2
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), (*color, alpha))

    def dashed_line(self, start: XY, end: XY, dash: float, width: float, color: RGB, alpha: int) -> None:
        """Draw a dashed line between two source positions. `dash` is the length of dashes and gaps in output pixels."""
        first, last = self.to_canvas_xy(start), self.to_canvas_xy(end)
        if first is None or last is None:
            return
        count = max(1, round(math.dist(first, last) / dash))
        for index in range(0, count, 2):
            ends = [
                tuple((a + (b - a) * min(count, at) / count) * _SUPERSAMPLING for a, b in zip(first, last, strict=True))
                for at in (index, index + 1)
            ]
            self._draw.line([(end[0], end[1]) for end in ends], (*color, alpha), max(1, round(width * _SUPERSAMPLING)))

    def circle(self, at: Sequence[float], radius: float, width: float, color: RGB, alpha: int) -> None:
        """Draw a circle around a source position."""
        if (center := self.to_canvas_xy(at)) is not None:
            box = tuple(_SUPERSAMPLING * value for value in _bounding_box(center, radius))
            self._draw.ellipse(box, outline=(*color, alpha), width=max(1, round(width * _SUPERSAMPLING)))

    def polygon(self, at: Sequence[float], corners: Iterable[XY], fill: RGB, alpha: int, edge: RGB = DARK) -> None:
        """Fill a polygon. Its corners are offsets in output pixels from a source position."""
        if (center := self.to_canvas_xy(at)) is not None:
            points = [((center[0] + dx) * _SUPERSAMPLING, (center[1] + dy) * _SUPERSAMPLING) for dx, dy in corners]
            self._draw.polygon(points, fill=(*fill, alpha), outline=(*edge, alpha), width=_SUPERSAMPLING)

    def text(self, at: XY, text: str, size: float, color: RGB, anchor: str = "lm") -> None:
        """Draw text at an output position. `anchor` is Pillow's text anchor (lm: left middle)."""
        self._draw.text(
            (at[0] * _SUPERSAMPLING, at[1] * _SUPERSAMPLING),
            text,
            (*color, 255),
            font(size * _SUPERSAMPLING),
            anchor=anchor,
        )

    def label(self, at: XY, text: str, size: float, fill: RGB) -> None:
        """Draw text in a filled box centred at an output position. The box is moved to lie inside the image."""
        label_font = font(size * _SUPERSAMPLING)
        left, top, right, bottom = self._draw.textbbox((0, 0), text, font=label_font, anchor="mm")
        half_width = max((right - left) / 2 + 0.45 * size * _SUPERSAMPLING, 0.75 * size * _SUPERSAMPLING)
        half_height = 0.75 * size * _SUPERSAMPLING
        x = _clamp_inside(at[0] * _SUPERSAMPLING, half_width, self._layer.width)
        y = _clamp_inside(at[1] * _SUPERSAMPLING, half_height, self._layer.height)
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        self._draw.rounded_rectangle(
            box, half_height * 0.6, (*fill, 235), outline=(*contrasting_text_color(fill), 235), width=_SUPERSAMPLING
        )
        self._draw.text(
            (x, y - (top + bottom) / 2), text, (*contrasting_text_color(fill), 255), label_font, anchor="mm"
        )


def _bounding_box(center: XY, radius: float) -> tuple[float, float, float, float]:
    return center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius


def _clamp_inside(value: float, half: float, length: float) -> float:
    return min(max(value, half + 1), max(half + 1, length - half - 1))
