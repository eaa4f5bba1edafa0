"""Frame of a dashboard: rows of panels, with the same variables, links and annotations everywhere.

Every dashboard has the variables environment, model and version. Links to other dashboards preserve them and the time
range. Annotations mark the changes of a rollout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from observability.dashboards.links import Backend
from observability.dashboards.panels import PROMETHEUS, PanelBuilder

TAG = "thale"
RUNBOOKS_UID = "thale-runbooks"
"""UID of the dashboard with the runbooks, to which all others link."""

ENVIRONMENT = 'environment=~"$environment"'
MODEL = f'{ENVIRONMENT},model=~"$model"'
VERSION = f'{MODEL},version=~"$version"'
"""Label matchers for the variables, to put in braces after a metric name."""


@dataclass(frozen=True)
class PanelRow:
    """A heading and the panels below it, from left to right."""

    heading: str
    panels: Sequence[PanelBuilder]


def build_dashboard(
    uid: str, title: str, description: str, rows: Sequence[PanelRow], backend: Backend, *, period: str = "now-6h"
) -> models.Dashboard:
    """Return a dashboard. Its UID must never change, since links and bookmarks refer to it."""
    builder = (
        sdk.Dashboard(f"thale / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time(period, "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .variables(_template_variables(backend))
        .links(_dashboard_links(backend))
        .annotations(_annotations())
    )
    for row in rows:
        builder.with_row(sdk.Row(row.heading))
        for panel in row.panels:
            builder.with_panel(panel)
    dashboard = builder.build()
    for number, built_panel in enumerate(dashboard.panels or [], 1):
        built_panel.id_val = number
    return dashboard


def _template_variables(backend: Backend) -> list[Builder[models.VariableModel]]:
    return [
        sdk.DatasourceVariable("prometheus").label("Metrics").type("prometheus"),
        sdk.DatasourceVariable("traces").label("Traces").type(backend.traces),
        sdk.DatasourceVariable("logs").label("Logs").type(backend.logs),
        _template_variable("environment", "label_values(thale_build_info, environment)"),
        _template_variable("model", f"label_values(thale_model_requests_total{{{ENVIRONMENT}}}, model)"),
        _template_variable("version", f"label_values(thale_model_requests_total{{{MODEL}}}, version)"),
    ]


def _template_variable(name: str, query: str) -> sdk.QueryVariable:
    return (
        sdk.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(PROMETHEUS)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _dashboard_links(backend: Backend) -> list[Builder[models.DashboardLink]]:
    return [
        sdk.DashboardLink("thale")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True),
        _external_link("Runbooks", f"/d/{RUNBOOKS_UID}", "Meaning of each alert, and its mitigation", "doc"),
        _external_link("Traces", backend.traces_url(), "Requests, step by step", "bolt"),
        _external_link("Logs", backend.logs_url(), "Warnings and errors of thale", "info"),
    ]


def _external_link(title: str, url: str, tooltip: str, icon: str) -> sdk.DashboardLink:
    return (
        sdk.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(url)
        .tooltip(tooltip)
        .icon(icon)
        .target_blank(True)
    )


def _annotations() -> list[Builder[models.AnnotationQuery]]:
    changes = f"changes(model_version:thale_release_weight:ratio{{{VERSION}}}[1m]) > 0"
    return [
        sdk.AnnotationQuery().name("Rollouts").datasource(PROMETHEUS).enable(True).icon_color("purple").expr(changes),
    ]
