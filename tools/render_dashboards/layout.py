"""A sheet in Grafana's grid: 24 columns, rows of 30 px, a bar with variables and links above. Everything in pixels."""

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
_COLUMNS, _COLOURS = 24, 128


@dataclass(frozen=True)
class Box:
    """A rectangle of the sheet: its upper left corner, its width and height."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return what is left after these margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


class Page:
    """The sheet of one dashboard."""

    def __init__(self, board: Mapping[str, Any]) -> None:
        places = [panel["gridPos"] for panel in board["panels"]]
        self.height = self._top(max(place["y"] + place["h"] for place in places)) + _MARGIN
        self._font = theme.font()
        self._figure = Figure(figsize=(WIDTH / _DPI, self.height / _DPI), dpi=_DPI, facecolor=theme.CANVAS)
        self._canvas = FigureCanvasAgg(self._figure)
        self._sheet = self._figure.add_axes((0, 0, 1, 1))
        self._sheet.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        self._sheet.axis("off")

    def header(self, title: str, chosen: Mapping[str, str], links: list[str], period: str) -> None:
        """Write the bar above the grid."""
        self.write(title, _MARGIN, 22, size=12.5, weight="bold")
        self.write(period, WIDTH - _MARGIN, 22, colour=theme.FAINT, align="right")
        x: float = _MARGIN
        for name, value in chosen.items():
            x = self._label(name, value, x) + 10
        x = WIDTH - _MARGIN
        for link in reversed(links):
            x = self.write(link, x, 54, colour=theme.LINK, align="right") - 18

    def _label(self, name: str, value: str, x: float) -> float:
        end = self.write(name, x + 8, 54, colour=theme.LINK, size=8)
        end = self.write(value, end + 10, 54, size=8)
        self.rectangle(Box(x, 42, end + 8 - x, 24), face=theme.PANEL, edge=theme.BORDER)
        return end + 8

    def place(self, grid: Mapping[str, int]) -> Box:
        """Return where a panel of the grid lies."""
        column = (WIDTH - 2 * _MARGIN + theme.GAP) / _COLUMNS
        return Box(
            _MARGIN + grid["x"] * column,
            self._top(grid["y"]),
            grid["w"] * column - theme.GAP,
            grid["h"] * (theme.CELL + theme.GAP) - theme.GAP,
        )

    @staticmethod
    def _top(row: int) -> int:
        return _HEADER + row * (theme.CELL + theme.GAP)

    def heading(self, title: str, box: Box) -> None:
        """Write the heading of a row."""
        y = box.y + box.height / 2 + 2
        self._sheet.plot([box.x + 3, box.x + 7, box.x + 11], [y - 3, y + 1, y - 3], color=theme.TEXT, linewidth=1.2)
        self.write(title, box.x + 20, y, size=10.5, weight="bold")

    def frame(self, title: str, box: Box) -> Box:
        """Draw a panel's frame and title; return the room in it."""
        self.rectangle(box, face=theme.PANEL, edge=theme.BORDER)
        end = self.write(title, box.x + theme.PADDING, box.y + 16, size=9, weight="bold")
        self.write("i", end + 10, box.y + 16, size=7, colour=theme.FAINT, weight="bold")
        self._sheet.plot(
            end + 11.5, box.y + 16, "o", markersize=7.5, fillstyle="none", color=theme.FAINT, markeredgewidth=0.7
        )
        return box.inside(theme.PADDING, 32, theme.PADDING, 8)

    def axes(self, box: Box) -> Axes:
        """Return axes that fill a box."""
        height = max(box.height, 1.0)
        place = (box.x / WIDTH, 1 - (box.y + height) / self.height, box.width / WIDTH, height / self.height)
        made = self._figure.add_axes(place, facecolor="none")
        made.tick_params(colors=theme.FAINT, labelsize=7.5, length=0, pad=4, labelfontfamily=self._font)
        for spine in made.spines.values():
            spine.set_visible(False)
        return made

    def rectangle(self, box: Box, *, face: str, edge: str = "none", radius: float = 3) -> None:
        """Draw a rectangle with round corners, behind all writing."""
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

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = 8.5,
        colour: str = theme.TEXT,
        align: str = "left",
        weight: str = "normal",
        room: float | None = None,
    ) -> float:
        """Write a line, vertically centred, cut where there is no room; return its end, or its start from the right."""
        written = self._sheet.text(
            x, y, text, fontsize=size, color=colour, ha=align, va="center", weight=weight, parse_math=False,
            family=self._font,
        )  # fmt: skip
        width = self._width(written)
        while room is not None and width > room and len(text) > 1:
            text = text[: max(1, int(len(text) * room / width) - 1)]
            written.set_text(text + "…")
            if (width := self._width(written)) <= room:
                break
        return x - width if align == "right" else x + width

    def _width(self, written: Any) -> float:
        return float(written.get_window_extent(self._canvas.get_renderer()).width)

    def dot(self, x: float, y: float, colour: str) -> None:
        """Draw the short line that a legend's entry begins with."""
        self._sheet.plot([x, x + 10], [y, y], color=colour, linewidth=2.6, solid_capstyle="round")

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG of few colours, which is a third as large."""
        self._canvas.draw()
        drawn = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")
        drawn.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
