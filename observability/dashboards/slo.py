"""SLO dashboard: objectives, remaining error budgets and burn rates, to read before a rollout and after an incident."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import (
    Column,
    PanelBuilder,
    Query,
    Thresholds,
    bar_gauge_panel,
    stat_panel,
    table_panel,
    time_series_panel,
)
from thale.slo import Slo
from tools.generate.slo_rules import BURN_RATE_WINDOWS

_AVAILABILITY = "environment:thale_slo_availability"
_LATENCY = "environment_size:thale_slo_latency"
_BUDGET_THRESHOLDS = Thresholds(warning=0.25, critical=0, lower_is_worse=True)
_LONG_WINDOWS = [burn.long_window for burn in BURN_RATE_WINDOWS]
_ALERTS = ", ".join(
    f"{burn.factor:g} over {burn.long_window} and {burn.short_window}: {burn.severity}" for burn in BURN_RATE_WINDOWS
)


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("Error budgets of 30 days", _budget_panels(slo)),
        PanelRow("Availability: burn rate", _availability_panels(slo, backend)),
        PanelRow("Latency: burn rate by image size", _latency_panels(slo, backend)),
        PanelRow("Causes", _cause_panels(slo, backend)),
    ]
    description = "Objectives of services/thale/slo/slo.toml, their remaining error budgets, and their burn rates."
    return build_dashboard("thale-slo", "SLO and error budget", description, rows, backend, period="now-24h")


def _budget_panels(slo: Slo) -> list[PanelBuilder]:
    return [
        stat_panel(
            "Availability: error budget remaining",
            Query(f"min({_AVAILABILITY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "remaining"),
            unit="percentunit",
            description=f"Remaining share of the error budget: {1 - slo.availability:.1%} of the requests of 30 days.",
            healthy="Above 25 %. Below zero, the objective is violated: no rollouts until it recovers.",
            thresholds=_BUDGET_THRESHOLDS,
            decimals=1,
            width=6,
        ),
        bar_gauge_panel(
            "Latency: error budget remaining",
            Query(f"min by (size) ({_LATENCY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "{{size}}"),
            unit="percentunit",
            description="Remaining share of the error budget by size class: 1 % of the responses of 30 days.",
            healthy="Above 25 % for every size class.",
            thresholds=_BUDGET_THRESHOLDS,
            max_value=1,
            height=4,
            width=6,
        ),
        stat_panel(
            "Success rate",
            Query(f"1 - max({_AVAILABILITY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            description="Share of the requests of the last three days that succeeded. Client errors do not count.",
            healthy=f"At least {slo.availability:.1%}.",
            thresholds=slo_thresholds.availability_thresholds(slo),
            decimals=3,
            width=6,
        ),
        stat_panel(
            "Within latency objective",
            Query(f"1 - max({_LATENCY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            description="Share of the responses of the last three days within the latency objective, worst size class.",
            healthy=f"At least {slo_thresholds.LATENCY_SLO_RATIO:.0%}.",
            thresholds=slo_thresholds.latency_slo_thresholds(),
            decimals=2,
            width=6,
        ),
    ]


def _availability_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    budget = slo_thresholds.round_ratio(1 - slo.availability)
    return [
        time_series_panel(
            "Burn rate",
            *(
                Query(f"max({_AVAILABILITY}:error_ratio_rate{window}{{{ENVIRONMENT}}}) / {budget}", f"over {window}")
                for window in ("5m", *_LONG_WINDOWS)
            ),
            unit="suffix: x",
            description="Burn rate over several windows. At 1, the error budget lasts exactly 30 days. Alerts by burn "
            f"rate: {_ALERTS}.",
            healthy="Below 1 over the long windows. Peaks over 5 minutes are normal.",
            thresholds=slo_thresholds.burn_rate_thresholds(),
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Requests of the objective",
            Query(f"sum by (environment) ({_AVAILABILITY}:requests_rate5m{{{ENVIRONMENT}}})", "{{environment}}: all"),
            Query(f"sum by (environment) ({_AVAILABILITY}:bad_rate5m{{{ENVIRONMENT}}})", "{{environment}}: failed"),
            unit="reqps",
            description="Requests with an image, without client errors, and the failed ones among them.",
            healthy="No failures. Alerts require at least ten of them within their window.",
            width=12,
            links=backend.log_links(),
        ),
    ]


def _latency_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    budget = slo_thresholds.round_ratio(1 - slo_thresholds.LATENCY_SLO_RATIO)
    return [
        time_series_panel(
            "Burn rate over one hour, by size",
            Query(f"max by (size) ({_LATENCY}:error_ratio_rate1h{{{ENVIRONMENT}}}) / {budget}", "{{size}}"),
            unit="suffix: x",
            description=f"Burn rate of the latency objective by size class. Alerts by burn rate: {_ALERTS}.",
            healthy="Below 1.",
            thresholds=slo_thresholds.burn_rate_thresholds(),
            links=backend.log_links(),
        ),
        time_series_panel(
            "p99 latency by image size",
            Query(f"max by (size) (size:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="s",
            description="99th percentile of the request duration by size class.",
            healthy=f"Within the objective: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Responses of the objective, by size",
            Query(f"sum by (size) ({_LATENCY}:requests_rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            description="Responses per second for each size class with an objective.",
            healthy="Enough for a stable ratio. At one response per minute, a single slow one is a high burn rate.",
            stacked=True,
        ),
    ]


def _cause_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
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
                "Error ratio",
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
                "percentunit",
                slo_thresholds.error_ratio_thresholds(slo),
            ),
            Column(
                "p50",
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p50_5m{{{VERSION}}})",
                "s",
            ),
            Column(
                "p99",
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})",
                "s",
            ),
            unit="short",
            description="Weight, error ratio and latency of each model version, to identify the cause of a violation.",
            healthy="Similar values for all versions. For an outlier, see the dashboard Rollout.",
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Problems by code",
            Query(f"sum by (code) (code:thale_facade_problems:rate5m{{{ENVIRONMENT}}})", "{{code}}"),
            unit="reqps",
            description="Responses with a problem, by its code. Problems with images are client errors and do not "
            "count.",
            healthy="Problems with images only.",
            stacked=True,
            width=12,
            links=backend.log_links(),
        ),
    ]
