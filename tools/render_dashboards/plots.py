"""A function for each kind of panel: what Grafana would draw of the same answers."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from tools.render_dashboards import theme
from tools.render_dashboards.layout import Box, Page
from tools.render_dashboards.queries import Exemplar, Json, Period, Series
from tools.render_dashboards.units import written

Floats = NDArray[np.float64]
Answers = Mapping[str, Sequence[Series]]
"""Series by the query's letter."""

_LINE, _LETTER, _DAY_S = 17, 5.9, 86400.0
_MOST_EXEMPLARS = 150
_LEGEND_SHARE = 0.42
_HEAT = ListedColormap([to_hex(colormaps["Oranges_r"](share)) for share in np.linspace(0.0, 0.85, 64)])


def draw(page: Page, panel: Json, answers: Answers, exemplars: Sequence[Exemplar], period: Period) -> None:
    """Draw a panel with what Prometheus answered; exemplars are drawn over lines."""
    room = page.frame(panel["title"], page.place(panel["gridPos"]))
    if not any(len(series) for series in answers.values()):
        page.write("No data", room.x + room.width / 2, room.y + room.height / 2, colour=theme.FAINT, align="center")
        return
    axes = _PLOTS[panel["type"]](page, panel, room, answers, period)
    if axes is not None:
        within = [one for one in exemplars if one.value <= axes.get_ylim()[1]]
        shown = within[:: max(1, len(within) // _MOST_EXEMPLARS)]
        days, values = [one.time / _DAY_S for one in shown], [one.value for one in shown]
        axes.plot(days, values, "D", markersize=2.6, color=theme.EXEMPLAR, alpha=0.8, markeredgewidth=0)


def _lines(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> Axes:
    defaults = panel["fieldConfig"]["defaults"]
    series = [one for many in answers.values() for one in many]
    below = _legend(page, room, series, defaults["unit"])
    axes = _time_axes(page, room.inside(50, 4, 4, below + 22), period)
    times_T, gap_ms = _times(period), defaults["custom"]["spanNulls"]
    values_ST = np.array([bridged(_aligned(one, times_T, period), period, gap_ms) for one in series])
    stacked = "stacking" in defaults["custom"]
    if stacked:
        values_ST = np.nancumsum(values_ST, axis=0)
    for place in reversed(range(len(series))) if stacked else range(len(series)):
        colour, values_T = _colour(place), values_ST[place]
        axes.plot(_days(times_T), values_T, color=colour, linewidth=1.5, solid_joinstyle="round")
        floor_T = values_ST[place - 1] if stacked and place else np.zeros_like(values_T)
        axes.fill_between(
            _days(times_T), floor_T, values_T, color=colour, alpha=defaults["custom"]["fillOpacity"] / 100, linewidth=0
        )
    _value_scale(axes, values_ST, defaults)
    _thresholds(axes, defaults)
    return axes


def _days(seconds: float | Floats) -> Floats:
    """Return times as matplotlib counts them: days since 1970."""
    return np.asarray(seconds, np.float64) / _DAY_S


def _times(period: Period) -> Floats:
    return np.arange(period.start, period.end + period.step / 2, period.step)


def _aligned(one: Series, times_T: Floats, period: Period) -> Floats:
    """Return a series' values at the period's steps, NaN where it has none."""
    values_T = np.full(len(times_T), np.nan)
    places = np.rint((one.times_T - period.start) / period.step).astype(int)
    within = (places >= 0) & (places < len(times_T))
    values_T[places[within]] = one.values_T[within]
    return np.where(np.isfinite(values_T), values_T, np.nan)


def bridged(values_T: Floats, period: Period, gap_ms: float) -> Floats:
    """Return the values with straight lines over gaps that are no longer than that."""
    bridged_T = values_T.copy()
    for before, after in pairwise(np.flatnonzero(np.isfinite(values_T))):
        if 1 < after - before <= gap_ms / 1000 / period.step:
            bridged_T[before : after + 1] = np.linspace(values_T[before], values_T[after], after - before + 1)
    return bridged_T


def _time_axes(page: Page, box: Box, period: Period) -> Axes:
    axes = page.axes(box)
    axes.set_xlim(period.start / _DAY_S, period.end / _DAY_S)
    locator = AutoDateLocator(minticks=3, maxticks=max(3, int(box.width / 90)))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False, zero_formats=[""] + ["%H:%M"] * 5))
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _value_scale(axes: Axes, values_ST: Floats, defaults: Json) -> None:
    finite = values_ST[np.isfinite(values_ST)]
    highest = float(finite.max()) if finite.size else 0.0
    highest = max(highest, defaults["custom"].get("axisSoftMax", 0.0))
    top = defaults.get("max", highest * 1.08 if highest > 0 else 1.0)
    axes.set_ylim(defaults.get("min", 0), top)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, _short(defaults["unit"]))))


def _short(unit: str) -> str:
    """Return the unit for an axis: words that the title says already are left out."""
    return "short" if unit.startswith("suffix:") else unit


def _thresholds(axes: Axes, defaults: Json) -> None:
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") != "dashed":
        return
    low, high = axes.get_ylim()
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None and low < step["value"] <= high:
            axes.axhline(step["value"], color=_limit_colour(step, defaults), linewidth=1.1, linestyle=(0, (5, 4)))


def _limit_colour(step: Json, defaults: Json) -> str:
    """Return the colour on the bad side of a limit."""
    steps = defaults["thresholds"]["steps"]
    place = steps.index(step)
    downwards = steps[-1]["color"] == "green"
    return theme.NAMED[steps[place - 1]["color"] if downwards else step["color"]]


def _legend(page: Page, room: Box, series: Sequence[Series], unit: str) -> float:
    """Write the table below the lines: name, last, highest. Returns its height."""
    shown = max(1, int(room.height * _LEGEND_SHARE / _LINE) - 1)
    if len(series) > shown:
        shown -= 1
    figures = [_last_and_highest(one, unit) for one in series[:shown]]
    column = _LETTER * max(len(text) for row in [("Last *", "Max"), *figures] for text in row) + 14
    height = (len(figures) + 1 + (len(series) > shown)) * _LINE
    y, right = room.y + room.height - height + _LINE / 2, room.x + room.width
    page.write("Last *", right - column, y, colour=theme.LINK, size=7.5, align="right", weight="bold")
    page.write("Max", right, y, colour=theme.LINK, size=7.5, align="right", weight="bold")
    for place, (one, (last, highest)) in enumerate(zip(series, figures, strict=False)):
        y += _LINE
        page.dot(room.x, y, _colour(place))
        page.write(one.legend, room.x + 16, y, size=7.8, room=room.width - 2 * column - 16)
        page.write(last, right - column, y, size=7.8, align="right")
        page.write(highest, right, y, size=7.8, align="right")
    if len(series) > shown:
        page.write(f"and {len(series) - shown} more", room.x + 16, y + _LINE, size=7.5, colour=theme.FAINT)
    return height


def _last_and_highest(one: Series, unit: str) -> tuple[str, str]:
    known = one.values_T[np.isfinite(one.values_T)]
    return (written(float(known[-1]), unit), written(float(known.max()), unit)) if known.size else ("-", "-")


def _colour(place: int) -> str:
    return theme.PALETTE[place % len(theme.PALETTE)]


def _steps(defaults: Json) -> list[tuple[float | None, str]]:
    return [(step["value"], step["color"]) for step in defaults["thresholds"]["steps"]]


def _figure(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> None:
    """Draw one large figure for each series, side by side, with its course below."""
    defaults, series = panel["fieldConfig"]["defaults"], answers["A"]
    named = len(series) > 1 or panel["options"]["textMode"] == "value_and_name"
    width = room.width / len(series)
    for place, one in enumerate(series):
        box = Box(room.x + place * width, room.y, width, room.height)
        known = one.values_T[np.isfinite(one.values_T)]
        value = float(known[-1]) if known.size else np.nan
        colour = theme.colour_of(value, _steps(defaults))
        text = written(value, defaults["unit"], defaults.get("decimals"))
        size = min(21.0, 1.35 * box.width / max(len(text), 4))
        middle, up = box.x + box.width / 2, 0.38 if named else 0.34
        if known.size > 1:
            _sparkline(page, box, one, period, colour)
        page.write(text, middle, box.y + box.height * up, size=size, colour=colour, align="center", weight="bold")
        if named:
            page.write(one.legend, middle, box.y + box.height * 0.06, size=8, colour=theme.FAINT, align="center")


def _sparkline(page: Page, box: Box, one: Series, period: Period, colour: str) -> None:
    axes = page.axes(Box(box.x, box.y + box.height * 0.62, box.width, box.height * 0.38))
    axes.axis("off")
    times_T = _times(period)
    values_T = _aligned(one, times_T, period)
    low, high = float(np.nanmin(values_T)), float(np.nanmax(values_T))
    room = (high - low) or max(abs(high), 1.0)
    axes.set(xlim=(period.start, period.end), ylim=(low - 0.15 * room, high + 0.1 * room))
    axes.plot(times_T, values_T, color=colour, linewidth=1.2)
    axes.fill_between(times_T, low - 0.15 * room, values_T, color=colour, alpha=0.18, linewidth=0)


def _bars(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> None:
    defaults, series = panel["fieldConfig"]["defaults"], answers["A"]
    values = [float(one.values_T[-1]) for one in series]
    top = defaults.get("max", max([*values, 1e-9]))
    names, figures = 0.45 * room.width, 76.0
    line = min(26.0, room.height / max(len(series), 1))
    for place, (one, value) in enumerate(zip(series, values, strict=True)):
        y = room.y + (place + 0.5) * line
        page.write(one.legend, room.x + names - 10, y, size=8, align="right", room=names - 10)
        bar = Box(room.x + names, y - line * 0.36, room.width - names - figures, line * 0.72)
        page.rectangle(bar, face="#22252b", radius=2)
        colour = theme.colour_of(value, _steps(defaults))
        length = bar.width * min(max(value / top, 0), 1)
        page.rectangle(Box(bar.x, bar.y, length, bar.height), face=colour, radius=min(2.0, length / 2))
        page.write(
            written(value, defaults["unit"], defaults.get("decimals")),
            room.x + room.width,
            y,
            colour=colour,
            align="right",
        )


def _density(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> None:
    """Draw a heatmap: a row a bucket, brighter where more fell into it."""
    unit, times_T = panel["fieldConfig"]["defaults"]["unit"], _times(period)
    rows = sorted(answers["A"], key=lambda one: float(one.labels["le"]))
    totals_BT = np.array([np.nan_to_num(_aligned(one, times_T, period)) for one in rows])
    counts_BT = np.diff(totals_BT, axis=0, prepend=0).clip(min=0)
    filled = np.flatnonzero(counts_BT.sum(axis=1) > 1e-9)
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, 0)
    first, last = max(0, first - 1), min(len(rows) - 1, last + 1)
    shown_BT = np.ma.masked_less_equal(counts_BT[first : last + 1], 1e-9)
    axes = _time_axes(page, room.inside(46, 4, 4, 24), period)
    axes.grid(visible=False)
    edges = _days(np.append(times_T, period.end + period.step) - period.step / 2)
    axes.pcolormesh(edges, np.arange(len(shown_BT) + 1), shown_BT, cmap=_HEAT, shading="flat", vmin=0)
    names = [_bucket(one, unit) for one in rows[first : last + 1]]
    every = max(1, len(names) // 8)
    axes.set_yticks(np.arange(len(names))[::every] + 1.0, names[::every])


def _bucket(one: Series, unit: str) -> str:
    limit = float(one.labels["le"])
    return "more" if np.isinf(limit) else written(limit, unit)


def _states(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> None:
    """Draw a band for each series, in the colour and with the word of its state."""
    words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    names = 0.4 * room.width
    axes = _time_axes(page, room.inside(names, 4, 4, 44), period)
    times_T, series = _times(period), answers["A"]
    axes.set(ylim=(len(series), 0), yticks=[])
    axes.grid(visible=False)
    for place, one in enumerate(series):
        height = (room.height - 48) / len(series)
        page.write(
            one.legend, room.x + names - 8, room.y + 4 + (place + 0.5) * height, size=8, align="right", room=names - 8
        )
        values_T = _aligned(one, times_T, period)
        for value, word in words.items():
            is_so_T = values_T == float(value)
            colour = theme.NAMED[word["color"]]
            axes.fill_between(
                _days(times_T), place + 0.08, place + 0.92, where=is_so_T, color=colour, alpha=0.7, linewidth=0
            )
    x = room.x
    for word in words.values():
        page.dot(x, room.y + room.height - 8, theme.NAMED[word["color"]])
        x = page.write(word["text"], x + 16, room.y + room.height - 8, size=8) + 16


def _table(page: Page, panel: Json, room: Box, answers: Answers, period: Period) -> None:
    """Draw a row for each set of labels, a column for each query."""
    arranged = panel["transformations"][1]["options"]
    named = [name for _, name in sorted(arranged["renameByName"].items())]
    headings = dict(zip(answers, named, strict=True))
    order = sorted(arranged["indexByName"], key=arranged["indexByName"].__getitem__)
    keys = [name for name in order if name not in arranged["renameByName"]]
    looks = {
        one["matcher"]["options"]: {p["id"]: p["value"] for p in one["properties"]}
        for one in panel["fieldConfig"]["overrides"]
    }
    rows = sorted({tuple(one.labels.get(key, "") for key in keys) for many in answers.values() for one in many})
    cells = {
        (letter, tuple(one.labels.get(key, "") for key in keys)): float(one.values_T[-1])
        for letter, many in answers.items()
        for one in many
    }
    columns = [*keys, *headings.values()]
    width, line = room.width / len(columns), 34.0
    for place, name in enumerate(columns):
        page.write(
            name, room.x + place * width + 6, room.y + 10, colour=theme.LINK, size=8.3, weight="bold", room=width - 8
        )
    for number, row in enumerate(rows):
        y = room.y + 22 + (number + 0.5) * line
        if y > room.y + room.height:
            break
        page.rectangle(Box(room.x, y - line / 2, room.width, 1), face=theme.GRID, radius=0)
        for place, text in enumerate(row):
            page.write(text, room.x + place * width + 6, y)
        for place, (letter, name) in enumerate(headings.items(), len(keys)):
            value = cells.get((letter, row), np.nan)
            colour = theme.TEXT
            if "thresholds" in looks[name] and np.isfinite(value):
                colour = theme.colour_of(value, _steps(looks[name]))
            page.write(written(value, looks[name]["unit"]), room.x + place * width + 6, y, colour=colour)


_PLOTS: Mapping[str, Callable[[Page, Json, Box, Answers, Period], Axes | None]] = {
    "timeseries": _lines,
    "stat": _figure,
    "bargauge": _bars,
    "heatmap": _density,
    "state-timeline": _states,
    "table": _table,
}
