"""What is promised, how much of it is left, and how fast it goes: read before a rollout, and after every incident."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Column, Drawn, Limits, Query, bars, figure, figures, lines
from thale.slo import Slo
from tools.generate.slo_rules import BURNS

_AVAILABILITY = "environment:thale_slo_availability"
_LATENCY = "environment_size:thale_slo_latency"
_LEFT = Limits(look=0.25, bad=0, downwards=True)
_LONG_WINDOWS = [burn.long for burn in BURNS]
_ALERTS = ", ".join(f"{burn.factor:g}x over {burn.long} and {burn.short} makes a {burn.severity}" for burn in BURNS)


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("What is left of 30 days", _left(slo)),
        Row("Availability: how fast the budget goes", _availability(slo, backend)),
        Row("Latency: how fast the budget goes, by size of the image", _latency(slo, backend)),
        Row("Where to look next", _causes(slo, backend)),
    ]
    purpose = "The promises of services/thale/slo.toml, what is left of their error budgets, and how fast it goes."
    return board("thale-slo", "SLO and error budget", purpose, rows, backend, period="now-24h")


def _left(slo: Slo) -> list[Drawn]:
    return [
        figure(
            "Availability: budget left",
            Query(f"min({_AVAILABILITY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "left"),
            unit="percentunit",
            shows=f"Of 30 days' requests {1 - slo.availability:.1%} may fail; this is what is left of it.",
            good="Above a quarter. Below zero the promise is broken: no rollouts until it recovers.",
            limits=_LEFT,
            decimals=1,
            width=6,
        ),
        bars(
            "Latency: budget left, by size",
            Query(f"min by (size) ({_LATENCY}:error_budget_remaining_30d{{{ENVIRONMENT}}})", "{{size}}"),
            unit="percentunit",
            shows="Of 30 days' answers 1 % may be later than promised for their size; this is what is left of it.",
            good="Above a quarter for every size.",
            limits=_LEFT,
            top=1,
            height=4,
            width=6,
        ),
        figure(
            "Requests that succeed",
            Query(f"1 - max({_AVAILABILITY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            shows="Share of requests of the last three days that thale did not fail.",
            good=f"{slo.availability:.1%} and more.",
            limits=slo_thresholds.availability(slo),
            decimals=3,
            width=6,
        ),
        figure(
            "Answers in time",
            Query(f"1 - max({_LATENCY}:error_ratio_rate3d{{{ENVIRONMENT}}})", "3 days"),
            unit="percentunit",
            shows="Share of answers of the last three days that came in time; the worst class of size counts.",
            good=f"{slo_thresholds.IN_TIME:.0%} and more.",
            limits=slo_thresholds.in_time(),
            decimals=2,
            width=6,
        ),
    ]


def _availability(slo: Slo, backend: Backend) -> list[Drawn]:
    budget = slo_thresholds.rounded(1 - slo.availability)
    return [
        lines(
            "Burn rate",
            *(
                Query(f"max({_AVAILABILITY}:error_ratio_rate{window}{{{ENVIRONMENT}}}) / {budget}", f"over {window}")
                for window in ("5m", *_LONG_WINDOWS)
            ),
            unit="suffix: x",
            shows=f"How many times faster than it may the budget goes, over several windows. {_ALERTS}.",
            good="Below 1 over the long windows; peaks over 5 minutes are what the budget is for.",
            limits=slo_thresholds.burn(),
            width=12,
            links=backend.to_logs(),
        ),
        lines(
            "Requests that count",
            Query(f"sum by (environment) ({_AVAILABILITY}:requests_rate5m{{{ENVIRONMENT}}})", "{{environment}}: all"),
            Query(f"sum by (environment) ({_AVAILABILITY}:bad_rate5m{{{ENVIRONMENT}}})", "{{environment}}: failed"),
            unit="reqps",
            shows="Requests with an image that are not at fault themselves, and those of them that failed.",
            good="Enough to judge by: alerts also ask for ten failures within their window.",
            width=12,
            links=backend.to_logs(),
        ),
    ]


def _latency(slo: Slo, backend: Backend) -> list[Drawn]:
    budget = slo_thresholds.rounded(1 - slo_thresholds.IN_TIME)
    return [
        lines(
            "Burn rate over an hour, by size",
            Query(f"max by (size) ({_LATENCY}:error_ratio_rate1h{{{ENVIRONMENT}}}) / {budget}", "{{size}}"),
            unit="suffix: x",
            shows=f"How many times faster than it may the budget of late answers goes. {_ALERTS}.",
            good="Below 1.",
            limits=slo_thresholds.burn(),
            links=backend.to_logs(),
        ),
        lines(
            "p99 by size of the image",
            Query(f"max by (size) (size:thale_facade_request_seconds:p99_5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="s",
            shows="Within this time 99 of 100 answers come.",
            good=f"As promised: {slo_thresholds.promised(slo)}.",
            limits=slo_thresholds.seconds(slo),
            links=backend.slower_traces(),
        ),
        lines(
            "Answers that count, by size",
            Query(f"sum by (size) ({_LATENCY}:requests_rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            shows="Answers a second for each class of size that a promise is given for.",
            good="Enough to judge by: with one answer a minute, a single late one is a high rate.",
            stacked=True,
        ),
    ]


def _causes(slo: Slo, backend: Backend) -> list[Drawn]:
    return [
        figures(
            "Versions behind it",
            ["model", "version"],
            Column(
                "Share", f"max by (model, version) (model_version:thale_release_weight:percent{{{VERSION}}})", "percent"
            ),
            Column(
                "Failing",
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
                "percentunit",
                slo_thresholds.failing(slo),
            ),
            Column("p50", f"max by (model, version) (model_version:thale_model_seconds:p50_5m{{{VERSION}}})", "s"),
            Column("p99", f"max by (model, version) (model_version:thale_model_seconds:p99_5m{{{VERSION}}})", "s"),
            unit="short",
            shows="Model versions with their share, failures and latency: does a promise break because of one of them?",
            good="All alike. If one stands out, see the dashboard Rollout.",
            width=12,
            links=backend.to_logs(),
        ),
        lines(
            "Failures by reason",
            Query(f"sum by (code) (code:thale_facade_refused:rate5m{{{ENVIRONMENT}}})", "{{code}}"),
            unit="reqps",
            shows="Errors by their stable name. Those about images are not thale's and do not count.",
            good="Errors about images alone.",
            stacked=True,
            width=12,
            links=backend.to_logs(),
        ),
    ]
