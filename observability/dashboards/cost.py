"""What thale costs, for how much work, and which of it is work that nobody asked for."""

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
        PanelRow("What the work is", _workload_panels()),
    ]
    description = "What thale costs, by the setting THALE_COST_PER_HOUR of each facade, and for how much work."
    return build_dashboard("thale-cost", "Cost", description, rows, backend, period="now-24h")


def _current_cost_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Price of an hour",
            Query(_COST_PER_HOUR, "{{currency}}"),
            unit="suffix: / h",
            description="What everything that runs costs an hour, in the currency of the setting.",
            healthy="What the budget says; at night less.",
            decimals=2,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "A month at this price",
            Query(f"{_COST_PER_HOUR} * {_HOURS_PER_MONTH}", "{{currency}}"),
            unit="suffix: / month",
            description=f"The present price for {_HOURS_PER_MONTH} hours.",
            healthy="Below the budget that Terraform sets (`terraform/azure/budget.tf`), which warns by itself.",
            decimals=0,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            description="Price of the last hour over the plates of the last hour.",
            healthy="Near that of full machines (`thale capacity`); much more means idle machines.",
            decimals=2,
            width=6,
            show_names=True,
        ),
        stat_panel(
            "Use of what is paid for",
            Query(f"sum({_WORKER_BUSY_RATE}) / sum(thale_model_ready_workers{{{VERSION}}})", "busy"),
            unit="percentunit",
            description="Share of the workers' time in which they work.",
            healthy="30 to 70 % by day. Less is paid for nothing, more makes people wait.",
            thresholds=Thresholds(warning=0.3, critical=0.05, lower_is_worse=True),
            decimals=0,
            width=6,
        ),
    ]


def _cost_history_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Price of an hour",
            Query(f"environment:thale_cost:per_hour{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / h",
            description="The price of what runs, by environment: it follows the autoscaler.",
            healthy="A staircase that follows the load, and goes down at night.",
            stacked=True,
        ),
        time_series_panel(
            "Price of 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            description="What the work costs: the hour's price over its plates.",
            healthy="Flat by day. It rises without bound when nobody sends anything.",
        ),
        time_series_panel(
            "Plates measured",
            Query(f"sum by (environment) ({_PLATE_RATE}) * 3600", "{{environment}}"),
            unit="suffix: / h",
            description="Photographs that became a table of traits.",
            healthy="The other half of the price of a plate: more of them makes each cheaper.",
        ),
    ]


def _workload_panels() -> list[PanelBuilder]:
    request_rate = f"sum by (model) (model_version:thale_model_requests:rate5m{{{VERSION}}})"
    per_request = f"/ on (model) group_left () {request_rate}"
    return [
        time_series_panel(
            "Seconds of work for a plate",
            Query(f"sum by (model) ({_WORKER_BUSY_RATE}) / scalar(sum({_PLATE_RATE}))", "{{model}}"),
            unit="s",
            description="Time of workers for each plate that was delivered, by model.",
            healthy="Flat. It rises with larger images, with a slower version, and with work that is done twice.",
            stacked=True,
        ),
        time_series_panel(
            "Work by version",
            Query(f"sum by (model, version) ({_WORKER_BUSY_RATE})", "{{model}} {{version}}"),
            unit="suffix: workers",
            description="Seconds of work a second: how many workers each version keeps busy.",
            healthy="Follows the shares of the rollout.",
            stacked=True,
        ),
        time_series_panel(
            "Work that no user asked for",
            Query(
                f'sum by (model, version) (rate(thale_shadow_requests_total{{{VERSION},outcome!="dropped"}}[5m])) '
                f"{per_request}",
                "copies for {{model}} {{version}}",
            ),
            Query(
                f"sum by (model, version) (model_version:thale_model_fallbacks:rate5m{{{VERSION}}}) {per_request}",
                "done twice for {{model}} {{version}}",
            ),
            unit="percentunit",
            description="Copies for versions in the shadow, and questions that the stable version answered too, over "
            "all questions: the price of rolling out safely.",
            healthy="Copies only while a rollout is on; nothing done twice.",
        ),
    ]
