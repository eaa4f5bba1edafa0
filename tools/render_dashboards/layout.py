"""Image of a dashboard in Grafana's grid: 24 columns, rows of 30 px, and a header bar. All lengths are in pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from tools.render_dashboards import theme

WIDTH = 1600
_MARGIN, _HEADER, _DPI = 16, 74, 100
_COLUMNS, _PALETTE_SIZE = 24, 128


@dataclass(frozen=True)
class Box:
    """A rectangle of the image: upper left corner, width and height."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return the rectangle without these margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


class DashboardPage:
    """The image of one dashboard."""

    def __init__(self, dashboard: Mapping[str, Any]) -> None:
        positions = [panel["gridPos"] for panel in dashboard["panels"]]
        self.height = self._row_top_px(max(position["y"] + position["h"] for position in positions)) + _MARGIN
        self._font = theme.find_font()
        self._figure = Figure(figsize=(WIDTH / _DPI, self.height / _DPI), dpi=_DPI, facecolor=theme.CANVAS)
        self._canvas = FigureCanvasAgg(self._figure)
        self._sheet = self._figure.add_axes((0, 0, 1, 1))
        self._sheet.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        self._sheet.axis("off")

    def draw_header(self, title: str, variables: Mapping[str, str], links: list[str], period: str) -> None:
        """Draw the header bar above the grid."""
        self.draw_text(title, _MARGIN, 22, size=12.5, weight="bold")
        self.draw_text(period, WIDTH - _MARGIN, 22, colour=theme.FAINT, align="right")
        x: float = _MARGIN
        for name, value in variables.items():
            x = self._draw_variable(name, value, x) + 10
        x = WIDTH - _MARGIN
        for link in reversed(links):
            x = self.draw_text(link, x, 54, colour=theme.LINK, align="right") - 18

    def _draw_variable(self, name: str, value: str, x: float) -> float:
        end = self.draw_text(name, x + 8, 54, colour=theme.LINK, size=8)
        end = self.draw_text(value, end + 10, 54, size=8)
        self.draw_rectangle(Box(x, 42, end + 8 - x, 24), face=theme.PANEL, edge=theme.BORDER)
        return end + 8

    def panel_box(self, grid: Mapping[str, int]) -> Box:
        """Return the rectangle of a panel in the grid."""
        column = (WIDTH - 2 * _MARGIN + theme.GAP) / _COLUMNS
        return Box(
            _MARGIN + grid["x"] * column,
            self._row_top_px(grid["y"]),
            grid["w"] * column - theme.GAP,
            grid["h"] * (theme.CELL + theme.GAP) - theme.GAP,
        )

    @staticmethod
    def _row_top_px(row: int) -> int:
        return _HEADER + row * (theme.CELL + theme.GAP)

    def draw_row_heading(self, title: str, box: Box) -> None:
        """Draw the heading of a row."""
        y = box.y + box.height / 2 + 2
        self._sheet.plot([box.x + 3, box.x + 7, box.x + 11], [y - 3, y + 1, y - 3], color=theme.TEXT, linewidth=1.2)
        self.draw_text(title, box.x + 20, y, size=10.5, weight="bold")

    def draw_panel_frame(self, title: str, box: Box) -> Box:
        """Draw a panel's frame and title. Returns the rectangle for its content."""
        self.draw_rectangle(box, face=theme.PANEL, edge=theme.BORDER)
        end = self.draw_text(title, box.x + theme.PADDING, box.y + 16, size=9, weight="bold")
        self.draw_text("i", end + 10, box.y + 16, size=7, colour=theme.FAINT, weight="bold")
        self._sheet.plot(
            end + 11.5, box.y + 16, "o", markersize=7.5, fillstyle="none", color=theme.FAINT, markeredgewidth=0.7
        )
        return box.inset(theme.PADDING, 32, theme.PADDING, 8)

    def add_axes(self, box: Box) -> Axes:
        """Return axes that fill a rectangle."""
        height = max(box.height, 1.0)
        position = (box.x / WIDTH, 1 - (box.y + height) / self.height, box.width / WIDTH, height / self.height)
        axes = self._figure.add_axes(position, facecolor="none")
        axes.tick_params(colors=theme.FAINT, labelsize=7.5, length=0, pad=4, labelfontfamily=self._font)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def draw_rectangle(self, box: Box, *, face: str, edge: str = "none", radius: float = 3) -> None:
        """Draw a rectangle with rounded corners, behind all text."""
        shape = FancyBboxPatch(
            (box.x, box.y),
            max(box.width, 0.1),
            box.height,
            boxstyle=f"round,pad=0,rounding_size={radius}",
            facecolor=face,
            edgecolor=edge,
            linewidth=0.8,
            zorder=0.5,
        )
        self._sheet.add_patch(shape)

    def draw_text(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = 8.5,
        colour: str = theme.TEXT,
        align: str = "left",
        weight: str = "normal",
        max_width: float | None = None,
    ) -> float:
        """Draw a vertically centred line of text, truncated to `max_width`.

        Returns:
            The x coordinate of its end, or of its start if it is aligned to the right.
        """
        text_artist = self._sheet.text(
            x, y, text, fontsize=size, color=colour, ha=align, va="center", weight=weight, parse_math=False,
            family=self._font,
        )  # fmt: skip
        width = self._text_width(text_artist)
        while max_width is not None and width > max_width and len(text) > 1:
            text = text[: max(1, int(len(text) * max_width / width) - 1)]
            text_artist.set_text(text + "…")
            if (width := self._text_width(text_artist)) <= max_width:
                break
        return x - width if align == "right" else x + width

    def _text_width(self, text_artist: Any) -> float:
        return float(text_artist.get_window_extent(self._canvas.get_renderer()).width)

    def draw_legend_marker(self, x: float, y: float, colour: str) -> None:
        """Draw the short line at the start of a legend entry."""
        self._sheet.plot([x, x + 10], [y, y], color=colour, linewidth=2.6, solid_capstyle="round")

    def save(self, path: Path) -> None:
        """Write the image as a PNG with a palette, which is a third as large as one with full colours."""
        self._canvas.draw()
        image = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")
        image.quantize(_PALETTE_SIZE, dither=Image.Dither.NONE).save(path, optimize=True)
