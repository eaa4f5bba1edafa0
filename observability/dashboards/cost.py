"""What thale costs, for how much work, and which of it is work that nobody asked for."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Drawn, Limits, Query, figure, lines
from thale.slo import Slo

_HOURS_A_MONTH = 730
_PER_HOUR = f"sum by (currency) (environment:thale_cost:per_hour{{{ENVIRONMENT}}})"
_BUSY = f'rate(thale_model_stage_seconds_sum{{{VERSION},stage!="queue"}}[$__rate_interval])'
_PLATES = f'rate(thale_facade_requests_total{{{ENVIRONMENT},route="/v1/phenotype",status="200"}}[$__rate_interval])'


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [Row("Now", _now()), Row("Over time", _course()), Row("What the work is", _work())]
    purpose = "What thale costs, by the setting THALE_PRICE_PER_HOUR of each facade, and for how much work."
    return board("thale-cost", "Cost", purpose, rows, backend, period="now-24h")


def _now() -> list[Drawn]:
    return [
        figure(
            "Price of an hour",
            Query(_PER_HOUR, "{{currency}}"),
            unit="suffix: / h",
            shows="What everything that runs costs an hour, in the currency of the setting.",
            good="What the budget says; at night less.",
            decimals=2,
            width=6,
            named=True,
        ),
        figure(
            "A month at this price",
            Query(f"{_PER_HOUR} * {_HOURS_A_MONTH}", "{{currency}}"),
            unit="suffix: / month",
            shows=f"The present price for {_HOURS_A_MONTH} hours.",
            good="Below the budget that Terraform sets (`terraform/azure/budget.tf`), which warns by itself.",
            decimals=0,
            width=6,
            named=True,
        ),
        figure(
            "1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            shows="Price of the last hour over the plates of the last hour.",
            good="Near that of full machines (`thale capacity`); much more means idle machines.",
            decimals=2,
            width=6,
            named=True,
        ),
        figure(
            "Use of what is paid for",
            Query(f"sum({_BUSY}) / sum(thale_model_ready_workers{{{VERSION}}})", "busy"),
            unit="percentunit",
            shows="Share of the workers' time in which they work.",
            good="30 to 70 % by day. Less is paid for nothing, more makes people wait.",
            limits=Limits(look=0.3, bad=0.05, downwards=True),
            decimals=0,
            width=6,
        ),
    ]


def _course() -> list[Drawn]:
    return [
        lines(
            "Price of an hour",
            Query(f"environment:thale_cost:per_hour{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / h",
            shows="The price of what runs, by environment: it follows the autoscaler.",
            good="A staircase that follows the load, and goes down at night.",
            stacked=True,
        ),
        lines(
            "Price of 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{environment}} {{currency}}"),
            unit="suffix: / 1,000",
            shows="What the work costs: the hour's price over its plates.",
            good="Flat by day. It rises without bound when nobody sends anything.",
        ),
        lines(
            "Plates measured",
            Query(f"sum by (environment) ({_PLATES}) * 3600", "{{environment}}"),
            unit="suffix: / h",
            shows="Photographs that became a table of traits.",
            good="The other half of the price of a plate: more of them makes each cheaper.",
        ),
    ]


def _work() -> list[Drawn]:
    questions = f"sum by (model) (model_version:thale_model_requests:rate5m{{{VERSION}}})"
    of_all = f"/ on (model) group_left () {questions}"
    return [
        lines(
            "Seconds of work for a plate",
            Query(f"sum by (model) ({_BUSY}) / scalar(sum({_PLATES}))", "{{model}}"),
            unit="s",
            shows="Time of workers for each plate that was delivered, by model.",
            good="Flat. It rises with larger images, with a slower version, and with work that is done twice.",
            stacked=True,
        ),
        lines(
            "Work by version",
            Query(f"sum by (model, version) ({_BUSY})", "{{model}} {{version}}"),
            unit="suffix: workers",
            shows="Seconds of work a second: how many workers each version keeps busy.",
            good="Follows the shares of the rollout.",
            stacked=True,
        ),
        lines(
            "Work that no user asked for",
            Query(
                f'sum by (model, version) (rate(thale_shadow_requests_total{{{VERSION},outcome!="dropped"}}[5m])) '
                f"{of_all}",
                "copies for {{model}} {{version}}",
            ),
            Query(
                f"sum by (model, version) (model_version:thale_model_fallbacks:rate5m{{{VERSION}}}) {of_all}",
                "done twice for {{model}} {{version}}",
            ),
            unit="percentunit",
            shows="Copies for versions in the shadow, and questions that the stable version answered too, over "
            "all questions: the price of rolling out safely.",
            good="Copies only while a rollout is on; nothing done twice.",
        ),
    ]
