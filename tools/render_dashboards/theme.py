"""Colours and sizes of Grafana's dark theme. Sizes are in pixels."""

from collections.abc import Sequence

from matplotlib.font_manager import get_font_names

CANVAS, PANEL, BORDER, GRID = "#111217", "#181b1f", "#26292f", "#2c3036"
TEXT, FAINT, LINK = "#d5d5e0", "#9a9aa6", "#6e9fff"
EXEMPLAR = "#6ed0e0"
PALETTE = (
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0",
    "#37872d", "#fade2a", "#447ebc", "#c15c17", "#e02f44", "#1f60c4", "#8f3bb8", "#96d98d",
)  # fmt: skip
NAMED_COLOURS = {"green": "#73bf69", "yellow": "#fade2a", "red": "#f2495c", "blue": "#5794f2", "purple": "#b877d9"}
_FONTS = ("Inter", "Roboto", "DejaVu Sans")  # Grafana's own first; matplotlib contains the last one

CELL, GAP, PADDING = 30, 8, 10
"""Height of a grid row, gap between panels, padding inside of panels."""


def find_font() -> str:
    """Return the first of the fonts that is installed."""
    available = set(get_font_names())
    return next(name for name in _FONTS if name in available)


def threshold_colour(value: float, steps: Sequence[tuple[float | None, str]]) -> str:
    """Return the colour of a value by ascending thresholds."""
    colour = steps[0][1]
    for limit, name in steps[1:]:
        if limit is not None and value >= limit:
            colour = name
    return NAMED_COLOURS.get(colour, colour)
