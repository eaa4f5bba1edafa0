"""A dashboard: rows of panels under the same variables, links and marks everywhere.

Every dashboard has the variables environment, model and version, keeps them and the time when it leads to another, and
shows when a rollout changed something.
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
"""The uid of the dashboard that holds the runbooks, to which all others lead."""

ENVIRONMENT = 'environment=~"$environment"'
MODEL = f'{ENVIRONMENT},model=~"$model"'
VERSION = f'{MODEL},version=~"$version"'
"""Matchers of what the variables choose; in braces behind a metric's name."""


@dataclass(frozen=True)
class PanelRow:
    """A heading and the panels under it; they flow from left to right."""

    heading: str
    panels: Sequence[PanelBuilder]


def build_dashboard(
    uid: str, title: str, description: str, rows: Sequence[PanelRow], backend: Backend, *, period: str = "now-6h"
) -> models.Dashboard:
    """Return a dashboard under a uid that never changes: links and bookmarks hold on to it."""
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
        _external_link("Runbooks", f"/d/{RUNBOOKS_UID}", "What an alert means, and what to do", "doc"),
        _external_link("Traces", backend.traces_url(), "Requests, step by step", "bolt"),
        _external_link("Logs", backend.logs_url(), "What thale says, from warnings on", "info"),
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
