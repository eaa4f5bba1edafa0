"""Is it well, what is it doing, and what does it cost: for anybody, without a glossary."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Column, Drawn, Limits, Query, figure, figures, lines
from thale.slo import Slo


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("Is it well?", [*_promises(slo, backend), *_today()]),
        Row("What people ask for, and how long they wait", _asked(slo, backend)),
        Row("Who answers", _answering()),
    ]
    purpose = "Whether thale is well, what it is doing and what that costs. Start here; the menu leads to the rest."
    return board("thale-overview", "Overview", purpose, rows, backend)


def _promises(slo: Slo, backend: Backend) -> list[Drawn]:
    return [
        figure(
            "Requests that succeed",
            Query(f"1 - environment:thale_slo_availability:error_ratio_rate1h{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            shows="Share of the last hour's images that thale did not fail. Unreadable images do not count.",
            good=f"{slo.availability:.1%} or more.",
            limits=slo_thresholds.availability(slo),
            decimals=2,
            links=backend.to_logs(),
        ),
        figure(
            "Answers in time",
            Query(f"1 - max(environment_size:thale_slo_latency:error_ratio_rate1h{{{ENVIRONMENT}}})", "in time"),
            unit="percentunit",
            shows=f"Share of the last hour's answers that came within the promise for their image's size "
            f"({slo_thresholds.promised(slo)}); the worst class of size counts.",
            good="99 % or more.",
            limits=slo_thresholds.in_time(),
            decimals=1,
            links=backend.to_logs(),
        ),
        figure(
            "Error budget left",
            Query(
                f"min(environment:thale_slo_availability:error_budget_remaining_30d{{{ENVIRONMENT}}} or "
                f"environment_size:thale_slo_latency:error_budget_remaining_30d{{{ENVIRONMENT}}})",
                "left",
            ),
            unit="percentunit",
            shows="What 30 days may have of failures and late answers, less what they had; the worst promise counts. "
            "Below zero the promise is broken.",
            good="More than is left of the 30 days; above a quarter there is room for rollouts.",
            limits=Limits(look=0.25, bad=0, downwards=True),
            decimals=0,
        ),
    ]


def _today() -> list[Drawn]:
    return [
        figure(
            "Alerts that wake somebody",
            Query(f'count(ALERTS{{{ENVIRONMENT},alertstate="firing",severity="page"}}) or vector(0)', "pages"),
            unit="suffix: firing",
            shows="Alerts of severity page that are firing. What each means stands in the runbooks.",
            good="None.",
            limits=Limits(bad=1),
            decimals=0,
        ),
        figure(
            "Plates measured",
            Query(
                f'sum(rate(thale_facade_requests_total{{{ENVIRONMENT},route="/v1/phenotype",status="200"}}'
                "[$__rate_interval])) * 3600",
                "plates",
            ),
            unit="suffix: per hour",
            shows="Photographs that became a table of traits, at the present rate.",
            good="As many as people send: nothing to compare with.",
            decimals=0,
        ),
        figure(
            "Cost of 1,000 plates",
            Query(f"environment:thale_cost:per_1000_plates{{{ENVIRONMENT}}}", "{{currency}}"),
            unit="suffix: per 1,000",
            shows="Price of all that runs over the plates of the last hour, in the currency of the setting.",
            good="Falls when there is work to do; a rise at night means that idle machines are paid for.",
            decimals=2,
            named=True,
        ),
    ]


def _asked(slo: Slo, backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Requests",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            shows="Requests a second by kind, mean of five minutes.",
            good="The day's usual course. A sudden zero is as bad as a sudden rise.",
            stacked=True,
            links=backend.to_logs(),
        ),
        lines(
            "Failed requests",
            Query(f"environment:thale_slo_availability:error_ratio_rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="percentunit",
            shows="Share of requests that thale failed, mean of five minutes.",
            good=f"At most {1 - slo.availability:.1%} (lower line); at the upper line somebody is woken.",
            limits=slo_thresholds.failing(slo),
            links=backend.to_logs(),
        ),
        lines(
            "Time to an answer, by size of the image",
            Query(
                f"max by (size) (size:thale_facade_request_seconds:p99_5m{{{ENVIRONMENT}}})",
                "99 of 100 within, {{size}}",
            ),
            Query(
                f'max(route:thale_facade_request_seconds:p50_5m{{{ENVIRONMENT},route="/v1/phenotype"}})',
                "half within, all sizes",
            ),
            unit="s",
            shows="How long people wait from sending an image to the answer.",
            good=f"99 of 100 within the promise: {slo_thresholds.promised(slo)}.",
            limits=slo_thresholds.seconds(slo),
            links=backend.slower_traces(),
        ),
    ]


def _answering() -> list[Drawn]:
    return [
        figures(
            "Model versions",
            ["model", "version"],
            Column(
                "Requests",
                f"max by (model, version) (model_version:thale_release_weight:percent{{{VERSION}}})",
                "percent",
            ),
            Column(
                "Workers",
                f"min by (model, version) (model_version:thale_model_ready_workers:min{{{VERSION}}})",
                "suffix: ready",
                Limits(look=1, bad=1, downwards=True),
            ),
            Column(
                "99 of 100 within",
                f"max by (model, version) (model_version:thale_model_seconds:p99_5m{{{VERSION}}})",
                "s",
            ),
            Column(
                "Failing",
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})",
                "percentunit",
                Limits(look=0.001, bad=0.01),
            ),
            unit="short",
            shows="Every version that serves: its share of the requests, its ready workers, how fast it answers and "
            "how often it fails. A version below 100 % is on trial.",
            good="One version a model with 100 %, or two while a rollout is on; a worker each; none failing.",
            width=11,
            height=7,
        ),
        figures(
            "What runs",
            ["job", "version", "commit"],
            Column("Processes", f"count by (job, version, commit) (thale_build_info{{{ENVIRONMENT}}})", "suffix: up"),
            unit="short",
            shows="Facades and watchers by the version and commit that they were built from.",
            good="One version of each, but for minutes during a deploy.",
            width=7,
            height=7,
        ),
        lines(
            "Room that is taken",
            Query(
                f"environment:thale_facade:saturation{{{ENVIRONMENT}}}",
                "{{environment}}",
            ),
            unit="percentunit",
            shows="Images at work or waiting, over the places for them. When all are taken, more are turned away.",
            good="Below 60 %: autoscaling adds facades before it is full.",
            limits=Limits(look=0.6, bad=0.8),
            top=1,
            width=6,
            height=7,
        ),
    ]
