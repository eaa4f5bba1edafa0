"""Is it well, what is it doing, and what does it cost: for anybody, without a glossary."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import (
    Column,
    PanelBuilder,
    Query,
    Thresholds,
    stat_panel,
    table_panel,
    time_series_panel,
)
from thale.slo import Slo


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("Is it well?", [*_slo_panels(slo, backend), *_activity_panels()]),
        PanelRow("What people ask for, and how long they wait", _request_panels(slo, backend)),
        PanelRow("Who answers", _version_panels()),
    ]
    description = "Whether thale is well, what it is doing and what that costs. Start here; the menu leads to the rest."
    return build_dashboard("thale-overview", "Overview", description, rows, backend)


def _slo_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        stat_panel(
            "Requests that succeed",
            Query(f"1 - environment:thale_slo_availability:error_ratio_rate1h{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            description="Share of the last hour's images that thale did not fail. Unreadable images do not count.",
            healthy=f"{slo.availability:.1%} or more.",
            thresholds=slo_thresholds.availability_thresholds(slo),
            decimals=2,
            links=backend.log_links(),
        ),
        stat_panel(
            "Answers in time",
            Query(f"1 - max(environment_size:thale_slo_latency:error_ratio_rate1h{{{ENVIRONMENT}}})", "in time"),
            unit="percentunit",
            description=f"Share of the last hour's answers that came within the promise for their image's size "
            f"({slo_thresholds.describe_latency_slo(slo)}); the worst class of size counts.",
            healthy="99 % or more.",
            thresholds=slo_thresholds.latency_slo_thresholds(),
            decimals=1,
            links=backend.log_links(),
        ),
        stat_panel(
            "Error budget left",
            Query(
                f"min(environment:thale_slo_availability:error_budget_remaining_30d{{{ENVIRONMENT}}} or "
                f"environment_size:thale_slo_latency:error_budget_remaining_30d{{{ENVIRONMENT}}})",
                "left",
            ),
            unit="percentunit",
            description="What 30 days may have of failures and late answers, less what they had; the worst promise counts. "
            "Below zero the promise is broken.",
            healthy="More than is left of the 30 days; above a quarter there is room for rollouts.",
            thresholds=Thresholds(warning=0.25, critical=0, lower_is_worse=True),
            decimals=0,
        ),
    ]


def _activity_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Alerts that wake somebody",
            Query(f'count(ALERTS{{{ENVIRONMENT},alertstate="firing",severity="page"}}) or vector(0)', "pages"),
            unit="suffix: firing",
            description="Alerts of severity page that are firing. What each means stands in the runbooks.",
            healthy="None.",
            thresholds=Thresholds(critical=1),
            decimals=0,
        ),
        stat_panel(
            "Plates measured",
            Query(
                f'sum(rate(thale_facade_requests_total{{{ENVIRONMENT},route="/v1/phenotype",status="200"}}'
                "[$__rate_interval])) * 3600",
                "plates",
            ),
            unit="suffix: per hour",
            description="Photographs that became a table of traits, at the present rate.",
            healthy="As many as people send: nothing to compare with.",
            decimals=0,
        ),
        stat_panel(
            "Cost of 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{currency}}"),
            unit="suffix: per 1,000",
            description="Price of all that runs over the plates of the last hour, in the currency of the setting.",
            healthy="Falls when there is work to do; a rise at night means that idle machines are paid for.",
            decimals=2,
            show_names=True,
        ),
    ]


def _request_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Requests",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            description="Requests a second by kind, mean of five minutes.",
            healthy="The day's usual course. A sudden zero is as bad as a sudden rise.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Failed requests",
            Query(f"environment:thale_slo_availability:error_ratio_rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            description="Share of requests that thale failed, mean of five minutes.",
            healthy=f"At most {1 - slo.availability:.1%} (lower line); at the upper line somebody is woken.",
            thresholds=slo_thresholds.error_ratio_thresholds(slo),
            links=backend.log_links(),
        ),
        time_series_panel(
            "Time to an answer, by size of the image",
            Query(
                f"max by (size) (size:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})",
                "99 of 100 within, {{size}}",
            ),
            Query(
                f'max(route:thale_facade_request_duration_seconds:p50_5m{{{ENVIRONMENT},route="/v1/phenotype"}})',
                "half within, all sizes",
            ),
            unit="s",
            description="How long people wait from sending an image to the answer.",
            healthy=f"99 of 100 within the promise: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            links=backend.slow_trace_links(),
        ),
    ]


def _version_panels() -> list[PanelBuilder]:
    return [
        table_panel(
            "Model versions",
            ["model", "version"],
            Column(
                "Requests",
                f"max by (model, version) (model_version:thale_release_weight:ratio{{{VERSION}}})",
                "percent",
            ),
            Column(
                "Workers",
                f"min by (model, version) (model_version:thale_model_ready_workers:min{{{VERSION}}})",
                "suffix: ready",
                Thresholds(warning=1, critical=1, lower_is_worse=True),
            ),
            Column(
                "99 of 100 within",
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})",
                "s",
            ),
            Column(
                "Failing",
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
                "percentunit",
                Thresholds(warning=0.001, critical=0.01),
            ),
            unit="short",
            description="Every version that serves: its share of the requests, its ready workers, how fast it answers and "
            "how often it fails. A version below 100 % is on trial.",
            healthy="One version a model with 100 %, or two while a rollout is on; a worker each; none failing.",
            width=11,
            height=7,
        ),
        table_panel(
            "What runs",
            ["job", "version", "commit"],
            Column("Processes", f"count by (job, version, commit) (thale_build_info{{{ENVIRONMENT}}})", "suffix: up"),
            unit="short",
            description="Facades and watchers by the version and commit that they were built from.",
            healthy="One version of each, but for minutes during a deploy.",
            width=7,
            height=7,
        ),
        time_series_panel(
            "Room that is taken",
            Query(
                f"environment:thale_facade:saturation{{{ENVIRONMENT}}}",
                "{{environment}}",
            ),
            unit="percentunit",
            description="Images at work or waiting, over the places for them. When all are taken, more are turned away.",
            healthy="Below 60 %: autoscaling adds facades before it is full.",
            thresholds=Thresholds(warning=0.6, critical=0.8),
            max_value=1,
            width=6,
            height=7,
        ),
    ]
