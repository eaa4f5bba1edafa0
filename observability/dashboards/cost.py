"""Cost dashboard: cost per hour and per plate, and the overhead of shadow traffic and fallbacks."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, stat_panel, time_series_panel
from thale.slo import Slo

_HOURS_PER_MONTH = 730
_COST_PER_HOUR = f"sum by (currency) (environment:thale_cost:per_hour{{{ENVIRONMENT}}})"
_WORKER_BUSY_RATE = f'rate(thale_model_stage_duration_seconds_sum{{{VERSION},stage!="queue"}}[$__rate_interval])'
_PLATE_RATE = f'rate(thale_facade_requests_total{{{ENVIRONMENT},route="/v1/phenotype",status="200"}}[$__rate_interval])'


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("Now", _current_cost_panels()),
        PanelRow("Over time", _cost_history_panels()),
        PanelRow("Cost drivers", _workload_panels()),
    ]
    description = "Cost of thale by the setting THALE_COST_PER_HOUR of each facade, and the work that it pays for."
    return build_dashboard("thale-cost", "Cost", description, rows, backend, period="now-24h")


def _current_cost_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Cost per hour",
            Query(_COST_PER_HOUR, "{{currency}}"),
            unit="suffix: / h",
            description="Cost of all running facades and model servers per hour, in the currency of THALE_CURRENCY.",
            healthy="Within the budget, and lower at night.",
            decimals=2,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "Monthly cost",
            Query(f"{_COST_PER_HOUR} * {_HOURS_PER_MONTH}", "{{currency}}"),
            unit="suffix: / month",
            description=f"The current cost per hour for {_HOURS_PER_MONTH} hours.",
            healthy="Below the budget of `terraform/azure/budget.tf`, which sends its own alerts.",
            decimals=0,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "Cost per 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            description="Current cost per hour, divided by the plates of the last hour.",
            healthy="Near the cost at full load (`thale capacity`). A much higher value means idle machines.",
            decimals=2,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "Worker utilisation",
            Query(f"sum({_WORKER_BUSY_RATE}) / sum(thale_model_ready_workers{{{VERSION}}})", "busy"),
            unit="percentunit",
            description="Share of time in which the model workers are busy.",
            healthy="30 to 70 % by day. Below that, capacity is wasted. Above that, requests are queued.",
            thresholds=Thresholds(warning=0.3, critical=0.05, lower_is_worse=True),
            decimals=0,
            width=6,
        ),
    ]


def _cost_history_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Cost per hour over time",
            Query(f"environment:thale_cost:per_hour{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / h",
            description="Cost per hour by environment. It follows the autoscaler.",
            healthy="Steps that follow the load, and decrease at night.",
            stacked=True,
        ),
        time_series_panel(
            "Cost per 1,000 plates over time",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            description="Cost per hour, divided by the plates of the last hour.",
            healthy="Flat by day. It rises without bound when there are no requests.",
        ),
        time_series_panel(
            "Plates per hour",
            Query(f"sum by (environment) ({_PLATE_RATE}) * 3600", "{{environment}}"),
            unit="suffix: / h",
            description="Plates measured per hour: successful requests to `/v1/phenotype`.",
            healthy="Follows the clients' load. More plates lower the cost per plate.",
        ),
    ]


def _workload_panels() -> list[PanelBuilder]:
    request_rate = f"sum by (model) (model_version:thale_model_requests:rate5m{{{VERSION}}})"
    per_request = f"/ on (model) group_left () {request_rate}"
    return [
        time_series_panel(
            "Worker time per plate",
            Query(f"sum by (model) ({_WORKER_BUSY_RATE}) / scalar(sum({_PLATE_RATE}))", "{{model}}"),
            unit="s",
            description="Worker time for each measured plate, by model.",
            healthy="Flat. It rises with larger images, a slower version, shadow traffic and fallbacks.",
            stacked=True,
        ),
        time_series_panel(
            "Busy workers by version",
            Query(f"sum by (model, version) ({_WORKER_BUSY_RATE})", "{{model}} {{version}}"),
            unit="suffix: workers",
            description="Worker time per second: the mean number of busy workers of each version.",
            healthy="Follows the weights of the rollout.",
            stacked=True,
        ),
        time_series_panel(
            "Overhead of rollouts",
            Query(
                f'sum by (model, version) (rate(thale_shadow_requests_total{{{VERSION},outcome!="dropped"}}[5m])) '
                f"{per_request}",
                "shadow traffic, {{model}} {{version}}",
            ),
            Query(
                f"sum by (model, version) (model_version:thale_model_fallbacks:rate5m{{{VERSION}}}) {per_request}",
                "fallbacks, {{model}} {{version}}",
            ),
            unit="percentunit",
            description="Shadow requests and fallbacks to stable, as a share of all model requests.",
            healthy="Shadow traffic only during a rollout, and no fallbacks.",
        ),
    ]
