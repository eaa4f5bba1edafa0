"""Drawing of panels: one function per panel type, which imitates Grafana's rendering of the same query results."""

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
from tools.render_dashboards.layout import Box, DashboardPage
from tools.render_dashboards.queries import Exemplar, Json, Period, Series
from tools.render_dashboards.units import format_value

Floats = NDArray[np.float64]
QueryResults = Mapping[str, Sequence[Series]]
"""Series by the reference ID of their query."""

_LINE_HEIGHT_PX, _CHARACTER_WIDTH_PX, _SECONDS_PER_DAY = 17, 5.9, 86400.0
_MAX_EXEMPLARS = 150
_MAX_LEGEND_FRACTION = 0.42
_HEAT = ListedColormap([to_hex(colormaps["Oranges_r"](share)) for share in np.linspace(0.0, 0.85, 64)])


def draw_panel(
    page: DashboardPage, panel: Json, results: QueryResults, exemplars: Sequence[Exemplar], period: Period
) -> None:
    """Draw a panel with its query results. Exemplars are drawn over the lines."""
    area = page.draw_panel_frame(panel["title"], page.panel_box(panel["gridPos"]))
    if not any(len(series) for series in results.values()):
        page.draw_text("No data", area.x + area.width / 2, area.y + area.height / 2, colour=theme.FAINT, align="center")
        return
    axes = _PLOTS[panel["type"]](page, panel, area, results, period)
    if axes is not None:
        visible = [exemplar for exemplar in exemplars if exemplar.value <= axes.get_ylim()[1]]
        sampled = visible[:: max(1, len(visible) // _MAX_EXEMPLARS)]
        days, values = (
            [exemplar.time / _SECONDS_PER_DAY for exemplar in sampled],
            [exemplar.value for exemplar in sampled],
        )
        axes.plot(days, values, "D", markersize=2.6, color=theme.EXEMPLAR, alpha=0.8, markeredgewidth=0)


def _draw_time_series(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> Axes:
    defaults = panel["fieldConfig"]["defaults"]
    series = [item for series_list in results.values() for item in series_list]
    legend_height = _draw_legend(page, area, series, defaults["unit"])
    axes = _add_time_axes(page, area.inset(50, 4, 4, legend_height + 22), period)
    times_T, gap_ms = _sample_times(period), defaults["custom"]["spanNulls"]
    values_ST = np.array([join_gaps(_align_to_period(item, times_T, period), period, gap_ms) for item in series])
    stacked = "stacking" in defaults["custom"]
    if stacked:
        values_ST = np.nancumsum(values_ST, axis=0)
    for index in reversed(range(len(series))) if stacked else range(len(series)):
        colour, values_T = _series_colour(index), values_ST[index]
        axes.plot(_to_days(times_T), values_T, color=colour, linewidth=1.5, solid_joinstyle="round")
        floor_T = values_ST[index - 1] if stacked and index else np.zeros_like(values_T)
        axes.fill_between(
            _to_days(times_T),
            floor_T,
            values_T,
            color=colour,
            alpha=defaults["custom"]["fillOpacity"] / 100,
            linewidth=0,
        )
    _set_value_axis(axes, values_ST, defaults)
    _draw_thresholds(axes, defaults)
    return axes


def _to_days(seconds: float | Floats) -> Floats:
    """Return times in matplotlib's unit, days since 1970."""
    return np.asarray(seconds, np.float64) / _SECONDS_PER_DAY


def _sample_times(period: Period) -> Floats:
    return np.arange(period.start, period.end + period.step / 2, period.step)


def _align_to_period(item: Series, times_T: Floats, period: Period) -> Floats:
    """Return the values of a series at the steps of the period, with NaN for missing ones."""
    values_T = np.full(len(times_T), np.nan)
    indices = np.rint((item.times_T - period.start) / period.step).astype(int)
    is_within = (indices >= 0) & (indices < len(times_T))
    values_T[indices[is_within]] = item.values_T[is_within]
    return np.where(np.isfinite(values_T), values_T, np.nan)


def join_gaps(values_T: Floats, period: Period, gap_ms: float) -> Floats:
    """Return the values with linear interpolation over gaps up to `gap_ms`."""
    joined_T = values_T.copy()
    for before, after in pairwise(np.flatnonzero(np.isfinite(values_T))):
        if 1 < after - before <= gap_ms / 1000 / period.step:
            joined_T[before : after + 1] = np.linspace(values_T[before], values_T[after], after - before + 1)
    return joined_T


def _add_time_axes(page: DashboardPage, box: Box, period: Period) -> Axes:
    axes = page.add_axes(box)
    axes.set_xlim(period.start / _SECONDS_PER_DAY, period.end / _SECONDS_PER_DAY)
    locator = AutoDateLocator(minticks=3, maxticks=max(3, int(box.width / 90)))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False, zero_formats=[""] + ["%H:%M"] * 5))
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _set_value_axis(axes: Axes, values_ST: Floats, defaults: Json) -> None:
    finite = values_ST[np.isfinite(values_ST)]
    highest = float(finite.max()) if finite.size else 0.0
    highest = max(highest, defaults["custom"].get("axisSoftMax", 0.0))
    top = defaults.get("max", highest * 1.08 if highest > 0 else 1.0)
    axes.set_ylim(defaults.get("min", 0), top)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value, _axis_unit(defaults["unit"]))))


def _axis_unit(unit: str) -> str:
    """Return the unit of an axis. It omits suffixes, which the title states."""
    return "short" if unit.startswith("suffix:") else unit


def _draw_thresholds(axes: Axes, defaults: Json) -> None:
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") != "dashed":
        return
    low, high = axes.get_ylim()
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None and low < step["value"] <= high:
            axes.axhline(
                step["value"], color=_threshold_line_colour(step, defaults), linewidth=1.1, linestyle=(0, (5, 4))
            )


def _threshold_line_colour(step: Json, defaults: Json) -> str:
    """Return the colour of the worse side of a threshold."""
    steps = defaults["thresholds"]["steps"]
    index = steps.index(step)
    lower_is_worse = steps[-1]["color"] == "green"
    return theme.NAMED_COLOURS[steps[index - 1]["color"] if lower_is_worse else step["color"]]


def _draw_legend(page: DashboardPage, area: Box, series: Sequence[Series], unit: str) -> float:
    """Write the table below the lines: name, last, highest. Returns its height."""
    visible_count = max(1, int(area.height * _MAX_LEGEND_FRACTION / _LINE_HEIGHT_PX) - 1)
    if len(series) > visible_count:
        visible_count -= 1
    value_texts = [_format_last_and_max(item, unit) for item in series[:visible_count]]
    column = _CHARACTER_WIDTH_PX * max(len(text) for row in [("Last *", "Max"), *value_texts] for text in row) + 14
    height = (len(value_texts) + 1 + (len(series) > visible_count)) * _LINE_HEIGHT_PX
    y, right = area.y + area.height - height + _LINE_HEIGHT_PX / 2, area.x + area.width
    page.draw_text("Last *", right - column, y, colour=theme.LINK, size=7.5, align="right", weight="bold")
    page.draw_text("Max", right, y, colour=theme.LINK, size=7.5, align="right", weight="bold")
    for index, (item, (last, highest)) in enumerate(zip(series, value_texts, strict=False)):
        y += _LINE_HEIGHT_PX
        page.draw_legend_marker(area.x, y, _series_colour(index))
        page.draw_text(item.legend, area.x + 16, y, size=7.8, max_width=area.width - 2 * column - 16)
        page.draw_text(last, right - column, y, size=7.8, align="right")
        page.draw_text(highest, right, y, size=7.8, align="right")
    if len(series) > visible_count:
        page.draw_text(
            f"and {len(series) - visible_count} more", area.x + 16, y + _LINE_HEIGHT_PX, size=7.5, colour=theme.FAINT
        )
    return height


def _format_last_and_max(item: Series, unit: str) -> tuple[str, str]:
    known = item.values_T[np.isfinite(item.values_T)]
    return (format_value(float(known[-1]), unit), format_value(float(known.max()), unit)) if known.size else ("-", "-")


def _series_colour(index: int) -> str:
    return theme.PALETTE[index % len(theme.PALETTE)]


def _threshold_steps(defaults: Json) -> list[tuple[float | None, str]]:
    return [(step["value"], step["color"]) for step in defaults["thresholds"]["steps"]]


def _draw_stat(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> None:
    """Draw the last value of each series, side by side, with a sparkline below."""
    defaults, series = panel["fieldConfig"]["defaults"], results["A"]
    show_names = len(series) > 1 or panel["options"]["textMode"] == "value_and_name"
    width = area.width / len(series)
    for index, item in enumerate(series):
        box = Box(area.x + index * width, area.y, width, area.height)
        known = item.values_T[np.isfinite(item.values_T)]
        value = float(known[-1]) if known.size else np.nan
        colour = theme.threshold_colour(value, _threshold_steps(defaults))
        text = format_value(value, defaults["unit"], defaults.get("decimals"))
        size = min(21.0, 1.35 * box.width / max(len(text), 4))
        middle, up = box.x + box.width / 2, 0.38 if show_names else 0.34
        if known.size > 1:
            _draw_sparkline(page, box, item, period, colour)
        page.draw_text(text, middle, box.y + box.height * up, size=size, colour=colour, align="center", weight="bold")
        if show_names:
            page.draw_text(item.legend, middle, box.y + box.height * 0.06, size=8, colour=theme.FAINT, align="center")


def _draw_sparkline(page: DashboardPage, box: Box, item: Series, period: Period, colour: str) -> None:
    axes = page.add_axes(Box(box.x, box.y + box.height * 0.62, box.width, box.height * 0.38))
    axes.axis("off")
    times_T = _sample_times(period)
    values_T = _align_to_period(item, times_T, period)
    low, high = float(np.nanmin(values_T)), float(np.nanmax(values_T))
    value_range = (high - low) or max(abs(high), 1.0)
    axes.set(xlim=(period.start, period.end), ylim=(low - 0.15 * value_range, high + 0.1 * value_range))
    axes.plot(times_T, values_T, color=colour, linewidth=1.2)
    axes.fill_between(times_T, low - 0.15 * value_range, values_T, color=colour, alpha=0.18, linewidth=0)


def _draw_bar_gauge(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> None:
    defaults, series = panel["fieldConfig"]["defaults"], results["A"]
    values = [float(item.values_T[-1]) for item in series]
    top = defaults.get("max", max([*values, 1e-9]))
    label_width, value_width = 0.45 * area.width, 76.0
    line = min(26.0, area.height / max(len(series), 1))
    for index, (item, value) in enumerate(zip(series, values, strict=True)):
        y = area.y + (index + 0.5) * line
        page.draw_text(item.legend, area.x + label_width - 10, y, size=8, align="right", max_width=label_width - 10)
        bar = Box(area.x + label_width, y - line * 0.36, area.width - label_width - value_width, line * 0.72)
        page.draw_rectangle(bar, face="#22252b", radius=2)
        colour = theme.threshold_colour(value, _threshold_steps(defaults))
        length = bar.width * min(max(value / top, 0), 1)
        page.draw_rectangle(Box(bar.x, bar.y, length, bar.height), face=colour, radius=min(2.0, length / 2))
        page.draw_text(
            format_value(value, defaults["unit"], defaults.get("decimals")),
            area.x + area.width,
            y,
            colour=colour,
            align="right",
        )


def _draw_heatmap(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> None:
    """Draw a heatmap with a row for each bucket. Brighter cells have higher counts."""
    unit, times_T = panel["fieldConfig"]["defaults"]["unit"], _sample_times(period)
    rows = sorted(results["A"], key=lambda item: float(item.labels["le"]))
    totals_BT = np.array([np.nan_to_num(_align_to_period(item, times_T, period)) for item in rows])
    counts_BT = np.diff(totals_BT, axis=0, prepend=0).clip(min=0)
    filled = np.flatnonzero(counts_BT.sum(axis=1) > 1e-9)
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, 0)
    first, last = max(0, first - 1), min(len(rows) - 1, last + 1)
    visible_BT = np.ma.masked_less_equal(counts_BT[first : last + 1], 1e-9)
    axes = _add_time_axes(page, area.inset(46, 4, 4, 24), period)
    axes.grid(visible=False)
    edges = _to_days(np.append(times_T, period.end + period.step) - period.step / 2)
    axes.pcolormesh(edges, np.arange(len(visible_BT) + 1), visible_BT, cmap=_HEAT, shading="flat", vmin=0)
    names = [_bucket_label(item, unit) for item in rows[first : last + 1]]
    every = max(1, len(names) // 8)
    axes.set_yticks(np.arange(len(names))[::every] + 1.0, names[::every])


def _bucket_label(item: Series, unit: str) -> str:
    limit = float(item.labels["le"])
    return "more" if np.isinf(limit) else format_value(limit, unit)


def _draw_state_timeline(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> None:
    """Draw a band for each series, in the colour of its state."""
    state_mappings = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    label_width = 0.4 * area.width
    axes = _add_time_axes(page, area.inset(label_width, 4, 4, 44), period)
    times_T, series = _sample_times(period), results["A"]
    axes.set(ylim=(len(series), 0), yticks=[])
    axes.grid(visible=False)
    for index, item in enumerate(series):
        height = (area.height - 48) / len(series)
        page.draw_text(
            item.legend,
            area.x + label_width - 8,
            area.y + 4 + (index + 0.5) * height,
            size=8,
            align="right",
            max_width=label_width - 8,
        )
        values_T = _align_to_period(item, times_T, period)
        for value, state in state_mappings.items():
            in_state_T = values_T == float(value)
            colour = theme.NAMED_COLOURS[state["color"]]
            axes.fill_between(
                _to_days(times_T), index + 0.08, index + 0.92, where=in_state_T, color=colour, alpha=0.7, linewidth=0
            )
    x = area.x
    for state in state_mappings.values():
        page.draw_legend_marker(x, area.y + area.height - 8, theme.NAMED_COLOURS[state["color"]])
        x = page.draw_text(state["text"], x + 16, area.y + area.height - 8, size=8) + 16


def _draw_table(page: DashboardPage, panel: Json, area: Box, results: QueryResults, period: Period) -> None:
    """Draw a table with a row for each combination of labels, and a column for each query."""
    organize_options = panel["transformations"][1]["options"]
    names = [name for _, name in sorted(organize_options["renameByName"].items())]
    headings = dict(zip(results, names, strict=True))
    order = sorted(organize_options["indexByName"], key=organize_options["indexByName"].__getitem__)
    keys = [name for name in order if name not in organize_options["renameByName"]]
    column_properties = {
        item["matcher"]["options"]: {p["id"]: p["value"] for p in item["properties"]}
        for item in panel["fieldConfig"]["overrides"]
    }
    rows = sorted(
        {tuple(item.labels.get(key, "") for key in keys) for series_list in results.values() for item in series_list}
    )
    cells = {
        (letter, tuple(item.labels.get(key, "") for key in keys)): float(item.values_T[-1])
        for letter, series_list in results.items()
        for item in series_list
    }
    columns = [*keys, *headings.values()]
    width, line = area.width / len(columns), 34.0
    for index, name in enumerate(columns):
        page.draw_text(
            name,
            area.x + index * width + 6,
            area.y + 10,
            colour=theme.LINK,
            size=8.3,
            weight="bold",
            max_width=width - 8,
        )
    for number, row in enumerate(rows):
        y = area.y + 22 + (number + 0.5) * line
        if y > area.y + area.height:
            break
        page.draw_rectangle(Box(area.x, y - line / 2, area.width, 1), face=theme.GRID, radius=0)
        for index, text in enumerate(row):
            page.draw_text(text, area.x + index * width + 6, y)
        for index, (letter, name) in enumerate(headings.items(), len(keys)):
            value = cells.get((letter, row), np.nan)
            colour = theme.TEXT
            if "thresholds" in column_properties[name] and np.isfinite(value):
                colour = theme.threshold_colour(value, _threshold_steps(column_properties[name]))
            page.draw_text(
                format_value(value, column_properties[name]["unit"]), area.x + index * width + 6, y, colour=colour
            )


_PLOTS: Mapping[str, Callable[[DashboardPage, Json, Box, QueryResults, Period], Axes | None]] = {
    "timeseries": _draw_time_series,
    "stat": _draw_stat,
    "bargauge": _draw_bar_gauge,
    "heatmap": _draw_heatmap,
    "state-timeline": _draw_state_timeline,
    "table": _draw_table,
}
