"""Overview dashboard: SLO status, traffic, cost and versions, for readers without a background in operations."""

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
        PanelRow("Service level", [*_slo_panels(slo, backend), *_activity_panels()]),
        PanelRow("Traffic and latency", _request_panels(slo, backend)),
        PanelRow("Versions and saturation", _version_panels()),
    ]
    description = "Service level, traffic, cost and versions of thale. The menu links to the other dashboards."
    return build_dashboard("thale-overview", "Overview", description, rows, backend)


def _slo_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        stat_panel(
            "Success rate",
            Query(f"1 - environment:thale_slo_availability:error_ratio_rate1h{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            description="Share of the last hour's requests with an image that succeeded. Client errors do not count.",
            healthy=f"At least {slo.availability:.1%}, the availability objective.",
            thresholds=slo_thresholds.availability_thresholds(slo),
            decimals=2,
            links=backend.log_links(),
        ),
        stat_panel(
            "Within latency objective",
            Query(f"1 - max(environment_size:thale_slo_latency:error_ratio_rate1h{{{ENVIRONMENT}}})", "1 hour"),
            unit="percentunit",
            description="Share of the last hour's responses within the latency objective of their image's size "
            f"({slo_thresholds.describe_latency_slo(slo)}), for the worst size class.",
            healthy="At least 99 %.",
            thresholds=slo_thresholds.latency_slo_thresholds(),
            decimals=1,
            links=backend.log_links(),
        ),
        stat_panel(
            "Error budget remaining",
            Query(
                f"min(environment:thale_slo_availability:error_budget_remaining_30d{{{ENVIRONMENT}}} or "
                f"environment_size:thale_slo_latency:error_budget_remaining_30d{{{ENVIRONMENT}}})",
                "remaining",
            ),
            unit="percentunit",
            description="Remaining share of the 30-day error budget, for the worst objective. Below zero, the "
            "objective is violated.",
            healthy="Above 25 %. Below that, postpone rollouts.",
            thresholds=Thresholds(warning=0.25, critical=0, lower_is_worse=True),
            decimals=0,
        ),
    ]


def _activity_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Firing pages",
            Query(f'count(ALERTS{{{ENVIRONMENT},alertstate="firing",severity="page"}}) or vector(0)', "pages"),
            unit="suffix: firing",
            description="Firing alerts of severity page. The runbooks explain each of them.",
            healthy="None.",
            thresholds=Thresholds(critical=1),
            decimals=0,
        ),
        stat_panel(
            "Plates per hour",
            Query(
                f'sum(rate(thale_facade_requests_total{{{ENVIRONMENT},route="/v1/phenotype",status="200"}}'
                "[$__rate_interval])) * 3600",
                "plates",
            ),
            unit="suffix: / h",
            description="Plates measured per hour, at the current rate.",
            healthy="Depends on the clients' load.",
            decimals=0,
        ),
        stat_panel(
            "Cost per 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{currency}}"),
            unit="suffix: / 1,000",
            description="Current cost per hour, divided by the plates of the last hour, in the currency of "
            "THALE_CURRENCY.",
            healthy="Decreases under load. An increase at night means idle machines.",
            decimals=2,
            show_names=True,
        ),
    ]


def _request_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Request rate",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            description="Requests per second by route, mean over five minutes.",
            healthy="The usual daily pattern. A sudden drop to zero is as bad as a sudden increase.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Error ratio",
            Query(f"environment:thale_slo_availability:error_ratio_rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            description="Share of requests with a 5xx status, mean over five minutes.",
            healthy=f"Up to {1 - slo.availability:.1%} (lower line). The upper line is the threshold of a page.",
            thresholds=slo_thresholds.error_ratio_thresholds(slo),
            links=backend.log_links(),
        ),
        time_series_panel(
            "Latency by image size",
            Query(
                f"max by (size) (size:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})",
                "p99, {{size}}",
            ),
            Query(
                f'max(route:thale_facade_request_duration_seconds:p50_5m{{{ENVIRONMENT},route="/v1/phenotype"}})',
                "p50, all sizes",
            ),
            unit="s",
            description="Duration from request to response: p99 by size class, and p50 of all sizes.",
            healthy=f"p99 within the objective: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            links=backend.slow_trace_links(),
        ),
    ]


def _version_panels() -> list[PanelBuilder]:
    return [*_model_version_panels(), *_process_panels()]


def _model_version_panels() -> list[PanelBuilder]:
    return [
        table_panel(
            "Model versions",
            ["model", "version"],
            Column(
                "Weight",
                f"max by (model, version) (model_version:thale_release_weight:ratio{{{VERSION}}})",
                "percentunit",
            ),
            Column(
                "Workers",
                f"min by (model, version) (model_version:thale_model_ready_workers:min{{{VERSION}}})",
                "suffix: ready",
                Thresholds(warning=1, critical=1, lower_is_worse=True),
            ),
            Column(
                "p99",
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})",
                "s",
            ),
            Column(
                "Error ratio",
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
                "percentunit",
                Thresholds(warning=0.001, critical=0.01),
            ),
            unit="short",
            description="Weight, ready workers, p99 latency and error ratio of every serving version. A version below "
            "100 % takes part in a rollout.",
            healthy="One version per model at 100 %, or two during a rollout. Each has a ready worker and no errors.",
            width=11,
            height=7,
        ),
    ]


def _process_panels() -> list[PanelBuilder]:
    return [
        table_panel(
            "Build info",
            ["job", "version", "commit"],
            Column("Processes", f"count by (job, version, commit) (thale_build_info{{{ENVIRONMENT}}})", "suffix: up"),
            unit="short",
            description="Facades and rollout controllers by version and commit.",
            healthy="One version of each, except for minutes during a deploy.",
            width=7,
            height=7,
        ),
        time_series_panel(
            "Saturation",
            Query(
                f"environment:thale_facade:saturation{{{ENVIRONMENT}}}",
                "{{environment}}",
            ),
            unit="percentunit",
            description="In-flight requests as a share of the admission limits. At 100 %, requests are rejected with "
            "503.",
            healthy="Below 60 %. Autoscaling adds facades before they are full.",
            thresholds=Thresholds(warning=0.6, critical=0.8),
            max_value=1,
            width=6,
            height=7,
        ),
    ]
