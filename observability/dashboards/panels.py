"""Functions that build panels. Each requires a title, queries, a unit, a description, and its healthy values.

Widths are in columns of Grafana's 24-column grid, heights in rows of 30 px.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Required, Self, TypedDict, TypeVar, Unpack

from grafana_foundation_sdk.builders import bargauge, heatmap, prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

PanelBuilder = Builder[models.Panel]
DataLinks = Sequence[Builder[models.DashboardLink]]

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="${prometheus}")
GREEN, YELLOW, RED = "green", "yellow", "red"
_NEUTRAL = "blue"


@dataclass(frozen=True)
class Query:
    """A PromQL query. The legend is a template of labels, such as `{{model}} {{version}}`."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Thresholds:
    """The values from which a metric is in warning and critical state, upwards or downwards."""

    warning: float | None = None
    critical: float | None = None
    lower_is_worse: bool = False

    def first_threshold(self) -> float:
        """Return the threshold that a deteriorating metric crosses first."""
        return next((value for value in (self.warning, self.critical) if value is not None), 0.0)

    def to_grafana(self) -> Builder[models.ThresholdsConfig]:
        """Return Grafana's thresholds: colours with their lower bounds. The first bound is minus infinity."""
        levels = [(self.warning, YELLOW), (self.critical, RED)]
        defined = [(value, colour) for value, colour in levels if value is not None]
        if self.lower_is_worse:
            values, colours = [value for value, _ in reversed(defined)], [colour for _, colour in reversed(defined)]
            steps = list(zip([None, *values], [*colours, GREEN], strict=True))
        else:
            steps = [(None, GREEN if defined else _NEUTRAL), *defined]
        return (
            ThresholdsConfig()
            .mode(models.ThresholdsMode.ABSOLUTE)
            .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
        )


NO_THRESHOLDS = Thresholds()


class _SdkPanel(Protocol):
    """The common methods of the SDK's panel builders."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: models.DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def thresholds(self, thresholds: Builder[models.ThresholdsConfig]) -> Self: ...
    def targets(self, targets: list[Builder[Dataquery]]) -> Self: ...
    def data_links(self, links: list[Builder[models.DashboardLink]]) -> Self: ...


SdkPanel = TypeVar("SdkPanel", bound=_SdkPanel)


class PanelOptions(TypedDict, total=False):
    """Options of every panel."""

    unit: Required[str]
    """One of Grafana's units, or `suffix:` with a text."""
    description: Required[str]
    healthy: Required[str]
    """Description of healthy values, shown below the description."""
    width: int
    height: int
    thresholds: Thresholds
    links: DataLinks


def _with_options(panel: SdkPanel, title: str, options: PanelOptions, width: int, height: int) -> SdkPanel:
    configured = (
        panel.title(title)
        .description(f"{options['description']}\n\n**Healthy:** {options['healthy']}")
        .datasource(PROMETHEUS)
        .unit(options["unit"])
        .span(options.get("width", width))
        .height(options.get("height", height))
        .thresholds(options.get("thresholds", NO_THRESHOLDS).to_grafana())
    )
    links = options.get("links", ())
    return configured.data_links(list(links)) if links else configured


def _query_targets(
    queries: Sequence[Query], *, instant: bool = False, exemplars: bool = False
) -> list[Builder[Dataquery]]:
    targets: list[Builder[Dataquery]] = []
    for letter, query in zip(string.ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        targets.append(target.instant() if instant else target.range().exemplar(exemplars))
    return targets


def time_series_panel(
    title: str,
    *queries: Query,
    stacked: bool = False,
    max_value: float | None = None,
    exemplars: bool = False,
    **options: Unpack[PanelOptions],
) -> PanelBuilder:
    """Return a time series panel from zero upwards. Thresholds are dashed lines, and the first one is always visible.

    Only the buckets of a histogram have exemplars. Series of recording rules have none.
    """
    panel = (
        timeseries.Panel()
        .targets(_query_targets(queries, exemplars=exemplars))
        .line_width(1.5)
        .fill_opacity(35 if stacked else 8)
        .gradient_mode(common_models.GraphGradientMode.NONE if stacked else common_models.GraphGradientMode.OPACITY)
        .show_points(common_models.VisibilityMode.NEVER)
        .span_nulls(60_000.0)
        .min(0)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if max_value is not None:
        panel.max(max_value)
    if "thresholds" in options:
        panel.axis_soft_max(1.25 * options["thresholds"].first_threshold())
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    return _with_options(panel, title, options, 8, 8)


def stat_panel(
    title: str, query: Query, *, decimals: int | None = None, show_names: bool = False, **options: Unpack[PanelOptions]
) -> PanelBuilder:
    """Return a stat panel: the last value, coloured by the thresholds, with a sparkline.

    Args:
        title: Title of the panel.
        query: The query.
        decimals: Number of decimals; None for automatic.
        show_names: Show the legend of each series below its value.
        **options: Options of every panel.
    """
    panel = (
        stat.Panel()
        .targets(_query_targets([query]))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .text_mode(common_models.BigValueTextMode.VALUE_AND_NAME if show_names else common_models.BigValueTextMode.AUTO)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel.decimals(decimals)
    return _with_options(panel, title, options, 4, 4)


def bar_gauge_panel(
    title: str,
    query: Query,
    *,
    max_value: float | None = None,
    decimals: int | None = None,
    **options: Unpack[PanelOptions],
) -> PanelBuilder:
    """Return a bar gauge panel: horizontal bars with the last value of each series."""
    panel = (
        bargauge.Panel()
        .targets(_query_targets([query], instant=True))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .min(0)
    )
    if max_value is not None:
        panel.max(max_value)
    if decimals is not None:
        panel.decimals(decimals)
    return _with_options(panel, title, options, 8, 8)


def heatmap_panel(
    title: str, query: Query, *, exemplars: bool = False, **options: Unpack[PanelOptions]
) -> PanelBuilder:
    """Return a heatmap of a histogram's buckets: `sum by (le) (increase(…_bucket))`, legend `{{le}}`."""
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id("A").range()
    panel = (
        heatmap.Panel()
        .targets([target.format(PromQueryFormat.HEATMAP).exemplar(exemplars)])
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").fill("dark-orange").steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(options["unit"]).axis_placement(common_models.AxisPlacement.LEFT))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .show_legend()
    )
    return _with_options(panel, title, options, 8, 8)


def state_timeline_panel(
    title: str, query: Query, state_labels: Mapping[int, tuple[str, str]], **options: Unpack[PanelOptions]
) -> PanelBuilder:
    """Return a state timeline with a row for each series. `state_labels` has text and colour of each value."""
    value_mappings = {
        str(value): models.ValueMappingResult(text=label, color=colour, index=index)
        for index, (value, (label, colour)) in enumerate(state_labels.items())
    }
    panel = (
        statetimeline.Panel()
        .targets(_query_targets([query]))
        .mappings([models.ValueMap(options=value_mappings)])
        .color_scheme(FieldColor().mode(models.FieldColorModeId.FIXED))
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(True)
        .fill_opacity(70)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
        )
    )
    return _with_options(panel, title, options, 8, 8)


@dataclass(frozen=True)
class Column:
    """A column of a table: heading, query, unit and thresholds."""

    heading: str
    expr: str
    unit: str
    thresholds: Thresholds = NO_THRESHOLDS


def table_panel(
    title: str, label_names: Sequence[str], *columns: Column, **options: Unpack[PanelOptions]
) -> PanelBuilder:
    """Return a table with a row for each combination of `label_names`, and a column for each query."""
    targets: list[Builder[Dataquery]] = []
    headings: dict[str, str] = {}
    for letter, column in zip(string.ascii_uppercase, columns, strict=False):
        target = prometheus.Dataquery().expr(column.expr).legend_format(column.heading).ref_id(letter)
        targets.append(target.instant().format(PromQueryFormat.TABLE))
        headings[f"Value #{letter}" if len(columns) > 1 else "Value"] = column.heading  # Grafana's field names
    order = {name: index for index, name in enumerate([*label_names, *headings])}
    organize_options = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": headings}
    panel = (
        table.Panel()
        .targets(targets)
        .transformations(
            [
                models.DataTransformerConfig(id_val="merge", options={}),
                models.DataTransformerConfig(id_val="organize", options=organize_options),
            ]
        )
        .color_scheme(FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    for column in columns:
        panel.override_by_name(column.heading, _column_overrides(column))
    return _with_options(panel, title, options, 12, 8)


def text_panel(title: str, markdown: str, *, height: int) -> PanelBuilder:
    """Return a text panel with half the width of the dashboard."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).span(12).height(height)


def _column_overrides(column: Column) -> list[models.DynamicConfigValue]:
    properties = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.thresholds != NO_THRESHOLDS:
        properties.append(models.DynamicConfigValue(id_val="thresholds", value=column.thresholds.to_grafana().build()))
        properties.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    return properties
