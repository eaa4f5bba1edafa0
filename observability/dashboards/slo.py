"""What is promised, how much of it is left, and how fast it goes: read before a rollout, and after every incident."""

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
    f"{burn.factor:g}x over {burn.long_window} and {burn.short_window} makes a {burn.severity}"
    for burn in BURN_RATE_WINDOWS
)


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("What is left of 30 days", _budget_panels(slo)),
        PanelRow("Availability: how fast the budget goes", _availability_panels(slo, backend)),
        PanelRow("Latency: how fast the budget goes, by size of the image", _latency_panels(slo, backend)),
        PanelRow("Where to look next", _cause_panels(slo, backend)),
    ]
    description = "The promises of services/thale/slo.toml, what is left of their error budgets, and how fast it goes."
    return build_dashboard("thale-slo", "SLO and error budget", description, rows, backend, period="now-24h")


def _budget_panels(slo: Slo) -> list[PanelBuilder]:
    return [
        stat_panel(
            "Availability: budget left",
            Query(f"min({_AVAILABILITY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "left"),
            unit="percentunit",
            description=f"Of 30 days' requests {1 - slo.availability:.1%} may fail; this is what is left of it.",
            healthy="Above a quarter. Below zero the promise is broken: no rollouts until it recovers.",
            thresholds=_BUDGET_THRESHOLDS,
            decimals=1,
            width=6,
        ),
        bar_gauge_panel(
            "Latency: budget left, by size",
            Query(f"min by (size) ({_LATENCY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "{{size}}"),
            unit="percentunit",
            description="Of 30 days' answers 1 % may be later than promised for their size; this is what is left of it.",
            healthy="Above a quarter for every size.",
            thresholds=_BUDGET_THRESHOLDS,
            max_value=1,
            height=4,
            width=6,
        ),
        stat_panel(
            "Requests that succeed",
            Query(f"1 - max({_AVAILABILITY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            description="Share of requests of the last three days that thale did not fail.",
            healthy=f"{slo.availability:.1%} and more.",
            thresholds=slo_thresholds.availability_thresholds(slo),
            decimals=3,
            width=6,
        ),
        stat_panel(
            "Answers in time",
            Query(f"1 - max({_LATENCY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            description="Share of answers of the last three days that came in time; the worst class of size counts.",
            healthy=f"{slo_thresholds.LATENCY_SLO_RATIO:.0%} and more.",
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
            description=f"How many times faster than it may the budget goes, over several windows. {_ALERTS}.",
            healthy="Below 1 over the long windows; peaks over 5 minutes are what the budget is for.",
            thresholds=slo_thresholds.burn_rate_thresholds(),
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Requests that count",
            Query(f"sum by (environment) ({_AVAILABILITY}:requests_rate5m{{{ENVIRONMENT}}})", "{{environment}}: all"),
            Query(f"sum by (environment) ({_AVAILABILITY}:bad_rate5m{{{ENVIRONMENT}}})", "{{environment}}: failed"),
            unit="reqps",
            description="Requests with an image that are not at fault themselves, and those of them that failed.",
            healthy="Enough to judge by: alerts also ask for ten failures within their window.",
            width=12,
            links=backend.log_links(),
        ),
    ]


def _latency_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    budget = slo_thresholds.round_ratio(1 - slo_thresholds.LATENCY_SLO_RATIO)
    return [
        time_series_panel(
            "Burn rate over an hour, by size",
            Query(f"max by (size) ({_LATENCY}:error_ratio_rate1h{{{ENVIRONMENT}}}) / {budget}", "{{size}}"),
            unit="suffix: x",
            description=f"How many times faster than it may the budget of late answers goes. {_ALERTS}.",
            healthy="Below 1.",
            thresholds=slo_thresholds.burn_rate_thresholds(),
            links=backend.log_links(),
        ),
        time_series_panel(
            "p99 by size of the image",
            Query(f"max by (size) (size:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="s",
            description="Within this time 99 of 100 answers come.",
            healthy=f"As promised: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Answers that count, by size",
            Query(f"sum by (size) ({_LATENCY}:requests_rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            description="Answers a second for each class of size that a promise is given for.",
            healthy="Enough to judge by: with one answer a minute, a single late one is a high rate.",
            stacked=True,
        ),
    ]


def _cause_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        table_panel(
            "Versions behind it",
            ["model", "version"],
            Column(
                "Share", f"max by (model, version) (model_version:thale_release_weight:ratio{{{VERSION}}})", "percent"
            ),
            Column(
                "Failing",
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
            description="Model versions with their share, failures and latency: does a promise break because of one of them?",
            healthy="All alike. If one stands out, see the dashboard Rollout.",
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Failures by reason",
            Query(f"sum by (code) (code:thale_facade_problems:rate5m{{{ENVIRONMENT}}})", "{{code}}"),
            unit="reqps",
            description="Errors by their stable name. Those about images are not thale's and do not count.",
            healthy="Errors about images alone.",
            stacked=True,
            width=12,
            links=backend.log_links(),
        ),
    ]
