"""Panels as functions: a title, queries, a unit, and what is shown and what good looks like. None can be left out.

Widths count in the grid's 24 columns, heights in its rows of 30 px.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Required, Self, TypedDict, TypeVar, Unpack

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

Drawn = Builder[models.Panel]
Links = Sequence[Builder[models.DashboardLink]]

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="${prometheus}")
GREEN, YELLOW, RED = "green", "yellow", "red"
_NEUTRAL = "blue"


@dataclass(frozen=True)
class Query:
    """A question to Prometheus; the legend is a template of labels: `{{model}} {{version}}`."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Limits:
    """From which value on a figure is worth a look, and from which on it is bad: upwards, or downwards."""

    look: float | None = None
    bad: float | None = None
    downwards: bool = False

    def first(self) -> float:
        """Return the value that comes first where a figure gets worse."""
        return next((value for value in (self.look, self.bad) if value is not None), 0.0)

    def thresholds(self) -> Builder[models.ThresholdsConfig]:
        """Return Grafana's thresholds: a colour from a value on, the first one from minus infinity on."""
        marks = [(self.look, YELLOW), (self.bad, RED)]
        given = [(value, colour) for value, colour in marks if value is not None]
        if self.downwards:
            values, colours = [value for value, _ in reversed(given)], [colour for _, colour in reversed(given)]
            steps = list(zip([None, *values], [*colours, GREEN], strict=True))
        else:
            steps = [(None, GREEN if given else _NEUTRAL), *given]
        return (
            ThresholdsConfig()
            .mode(models.ThresholdsMode.ABSOLUTE)
            .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
        )


NO_LIMITS = Limits()


class _Panel(Protocol):
    """What the SDK's panel builders have in common."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: models.DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def thresholds(self, thresholds: Builder[models.ThresholdsConfig]) -> Self: ...
    def targets(self, targets: list[Builder[Dataquery]]) -> Self: ...
    def data_links(self, links: list[Builder[models.DashboardLink]]) -> Self: ...


AnyPanel = TypeVar("AnyPanel", bound=_Panel)


class Frame(TypedDict, total=False):
    """What every panel is given."""

    unit: Required[str]
    """One of Grafana's units, or `suffix:` and a word."""
    shows: Required[str]
    good: Required[str]
    """What good looks like, so that nobody has to remember it."""
    width: int
    height: int
    limits: Limits
    links: Links


def _framed(panel: AnyPanel, title: str, frame: Frame, width: int, height: int) -> AnyPanel:
    framed = (
        panel.title(title)
        .description(f"{frame['shows']}\n\n**Good:** {frame['good']}")
        .datasource(PROMETHEUS)
        .unit(frame["unit"])
        .span(frame.get("width", width))
        .height(frame.get("height", height))
        .thresholds(frame.get("limits", NO_LIMITS).thresholds())
    )
    links = frame.get("links", ())
    return framed.data_links(list(links)) if links else framed


def _asked(queries: Sequence[Query], *, instant: bool = False, exemplars: bool = False) -> list[Builder[Dataquery]]:
    targets: list[Builder[Dataquery]] = []
    for letter, query in zip(string.ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        targets.append(target.instant() if instant else target.range().exemplar(exemplars))
    return targets


def lines(
    title: str,
    *queries: Query,
    stacked: bool = False,
    top: float | None = None,
    exemplars: bool = False,
    **frame: Unpack[Frame],
) -> Drawn:
    """Return a panel of lines over time, from zero up; limits are dashed, and the first of them is always in sight.

    Exemplars are kept by histograms' own buckets; records of them have none.
    """
    panel = (
        timeseries.Panel()
        .targets(_asked(queries, exemplars=exemplars))
        .line_width(1.5)
        .fill_opacity(35 if stacked else 8)
        .gradient_mode(words.GraphGradientMode.NONE if stacked else words.GraphGradientMode.OPACITY)
        .show_points(words.VisibilityMode.NEVER)
        .span_nulls(60_000.0)
        .min(0)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            looks.VizLegendOptions()
            .show_legend(True)
            .display_mode(words.LegendDisplayMode.TABLE)
            .placement(words.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(looks.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI).sort(words.SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(looks.StackingConfig().mode(words.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel.max(top)
    if "limits" in frame:
        panel.axis_soft_max(1.25 * frame["limits"].first())
        panel.thresholds_style(looks.GraphThresholdsStyleConfig().mode(words.GraphThresholdsStyleMode.DASHED))
    return _framed(panel, title, frame, 8, 8)


def figure(
    title: str, query: Query, *, decimals: int | None = None, named: bool = False, **frame: Unpack[Frame]
) -> Drawn:
    """Return a panel of one large figure, its colour by the limits, its course behind it. Several have names."""
    panel = (
        stat.Panel()
        .targets(_asked([query]))
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_mode(words.BigValueColorMode.VALUE)
        .graph_mode(words.BigValueGraphMode.AREA)
        .text_mode(words.BigValueTextMode.VALUE_AND_NAME if named else words.BigValueTextMode.AUTO)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return _framed(panel, title, frame, 4, 4)


def bars(
    title: str, query: Query, *, top: float | None = None, decimals: int | None = None, **frame: Unpack[Frame]
) -> Drawn:
    """Return a panel of horizontal bars, the newest value of each series."""
    panel = (
        bargauge.Panel()
        .targets(_asked([query], instant=True))
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .display_mode(words.BarGaugeDisplayMode.BASIC)
        .orientation(words.VizOrientation.HORIZONTAL)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .min(0)
    )
    if top is not None:
        panel.max(top)
    if decimals is not None:
        panel.decimals(decimals)
    return _framed(panel, title, frame, 8, 8)


def density(title: str, query: Query, *, exemplars: bool = False, **frame: Unpack[Frame]) -> Drawn:
    """Return a heatmap of a histogram's buckets: `sum by (le) (increase(…_bucket))`, legend `{{le}}`."""
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id("A").range()
    panel = (
        heatmap.Panel()
        .targets([target.format(PromQueryFormat.HEATMAP).exemplar(exemplars)])
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").fill("dark-orange").steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(frame["unit"]).axis_placement(words.AxisPlacement.LEFT))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
    )
    return _framed(panel, title, frame, 8, 8)


def states(title: str, query: Query, names: Mapping[int, tuple[str, str]], **frame: Unpack[Frame]) -> Drawn:
    """Return a timeline of states, a row a series; `names` gives a value's word and colour."""
    mapping = {
        str(value): models.ValueMappingResult(text=word, color=colour, index=place)
        for place, (value, (word, colour)) in enumerate(names.items())
    }
    panel = (
        statetimeline.Panel()
        .targets(_asked([query]))
        .mappings([models.ValueMap(options=mapping)])
        .color_scheme(FieldColor().mode(models.FieldColorModeId.FIXED))
        .show_value(words.VisibilityMode.AUTO)
        .merge_values(True)
        .fill_opacity(70)
        .legend(
            looks.VizLegendOptions()
            .show_legend(True)
            .display_mode(words.LegendDisplayMode.LIST)
            .placement(words.LegendPlacement.BOTTOM)
        )
    )
    return _framed(panel, title, frame, 8, 8)


@dataclass(frozen=True)
class Column:
    """A column of figures in a table: its heading, its query, its unit and its limits."""

    heading: str
    expr: str
    unit: str
    limits: Limits = NO_LIMITS


def figures(title: str, keys: Sequence[str], *columns: Column, **frame: Unpack[Frame]) -> Drawn:
    """Return a table, a row for each set of the labels in `keys`, a column for each query by those labels."""
    targets: list[Builder[Dataquery]] = []
    headings: dict[str, str] = {}
    for letter, column in zip(string.ascii_uppercase, columns, strict=False):
        target = prometheus.Dataquery().expr(column.expr).legend_format(column.heading).ref_id(letter)
        targets.append(target.instant().format(PromQueryFormat.TABLE))
        headings[f"Value #{letter}" if len(columns) > 1 else "Value"] = column.heading  # as Grafana calls them
    order = {name: place for place, name in enumerate([*keys, *headings])}
    arranged = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": headings}
    panel = (
        table.Panel()
        .targets(targets)
        .transformations(
            [
                models.DataTransformerConfig(id_val="merge", options={}),
                models.DataTransformerConfig(id_val="organize", options=arranged),
            ]
        )
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    for column in columns:
        panel.override_by_name(column.heading, _shown(column))
    return _framed(panel, title, frame, 12, 8)


def prose(title: str, markdown: str, *, height: int) -> Drawn:
    """Return a panel of text, half as wide as the dashboard."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).span(12).height(height)


def _shown(column: Column) -> list[models.DynamicConfigValue]:
    shown = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.limits != NO_LIMITS:
        shown.append(models.DynamicConfigValue(id_val="thresholds", value=column.limits.thresholds().build()))
        shown.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    return shown
