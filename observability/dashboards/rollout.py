"""A version on trial: who gets it, what the judge says, how long it has been so, and what goes wrong meanwhile."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import GREEN, RED, Drawn, Limits, Query, bars, figure, lines, states
from thale.release.controller.controller import Pace
from thale.slo import Slo

_NAME = "{{model}} {{version}}"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("Who decides", _watcher()),
        Row("Who gets which version, and what the judge says", _decisions()),
        Row("What goes wrong with versions, and what users do not notice of it", _troubles(slo, backend)),
        Row("Copies for the version in the shadow", _shadow(backend)),
    ]
    purpose = "Rollouts: shares, verdicts, age of the step, fallbacks, breakers, shadow."
    return board("thale-rollout", "Rollout", purpose, rows, backend, period="now-3h")


def _watcher() -> list[Drawn]:
    stuck_s = Pace().stuck_s
    return [
        figure(
            "Leaders",
            Query(f"sum by (environment) (thale_release_leader{{{ENVIRONMENT}}})", "{{environment}}"),
            unit="suffix: leading",
            shows="Watchers that may act. Of several, one leads and the others wait.",
            good="Exactly one for each environment.",
            limits=Limits(look=1, downwards=True),
            decimals=0,
            width=5,
        ),
        figure(
            "Last look at everything",
            Query(f"time() - max(thale_release_last_poll_timestamp_seconds{{{ENVIRONMENT}}})", "ago"),
            unit="s",
            shows="How long ago the watcher last read all facades and releases.",
            good="A few seconds: two looks a second, and the age of a scrape.",
            limits=Limits(look=60, bad=180),
            decimals=0,
            width=5,
        ),
        figure(
            "Facades that do not answer it",
            Query(f"max(thale_release_facades_away{{{ENVIRONMENT}}})", "away"),
            unit="suffix: away",
            shows="Facades whose counters cannot be read. While one is away, no step is taken.",
            good="None.",
            limits=Limits(look=1, bad=2),
            decimals=0,
            width=5,
        ),
        figure(
            "Age of the present step",
            Query(f"max(thale_release_step_seconds{{{VERSION}}})", "age"),
            unit="s",
            shows="How long the canary has been at its present share.",
            good=f"Below {stuck_s / 60:g} minutes. Longer means too little traffic, or a judge that cannot decide.",
            limits=Limits(look=stuck_s / 2, bad=stuck_s),
            decimals=0,
            width=5,
        ),
        figure(
            "Stuck",
            Query(f"sum(thale_release_stuck{{{VERSION}}})", "stuck"),
            unit="suffix: stuck",
            shows="Rollouts whose step has had no verdict for longer than the limit. A person has to decide.",
            good="None.",
            limits=Limits(bad=1),
            decimals=0,
        ),
    ]


def _decisions() -> list[Drawn]:
    return [
        lines(
            "Share of the requests",
            Query(f"max by (model, version) (model_version:thale_release_weight:percent{{{VERSION}}})", _NAME),
            unit="percent",
            shows="What share of a model's requests each version answers. Marks show what the watcher changed.",
            good="A staircase: 5, 25, 50, 100, or straight down to nothing.",
            top=100,
            width=10,
        ),
        lines(
            "Verdicts",
            Query(
                "sum by (model, version, verdict) "
                f"(model_version_verdict:thale_release_verdicts:rate5m{{{VERSION}}}) * 60",
                f"{_NAME}: {{{{verdict}}}}",
            ),
            unit="suffix: / min",
            shows="What the judge says each time it looks at a canary.",
            good="inconclusive while evidence is gathered, then promote. hold says that something is suspected.",
            stacked=True,
            width=7,
        ),
        bars(
            "Changes in the last day",
            Query(
                f"sum by (model, version, what) (increase(thale_release_changes_total{{{VERSION}}}[1d]))",
                f"{{{{what}}}}: {_NAME}",
            ),
            unit="suffix: times",
            decimals=0,
            shows="Steps, promotions and rollbacks that the watcher made by itself.",
            good="Steps and promotions. A rollback is no disaster: nobody was hurt, and the reason stands in the log.",
            width=7,
        ),
    ]


def _troubles(slo: Slo, backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Failing questions, by version",
            Query(
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})", _NAME
            ),
            unit="percentunit",
            shows="Share of a version's questions that it failed, answered late, or answered with nonsense.",
            good=f"Canary no more than {slo.judge.margins.failing:.0%} above stable: that is the judge's margin.",
            limits=Limits(look=slo.judge.margins.failing),
            width=6,
            links=backend.to_logs(),
        ),
        lines(
            "Answered by the stable version instead",
            Query(
                f"sum by (model, version, reason) (rate(thale_model_fallbacks_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{reason}}}}",
            ),
            unit="reqps",
            shows="Questions that a canary left unanswered and the stable version answered within the same request.",
            good="Zero. Users lose nothing by it but time; the judge counts every one.",
            stacked=True,
            width=6,
            links=backend.to_logs(),
        ),
        states(
            "Breakers",
            Query(f"max by (model, version) (thale_model_breaker_open{{{VERSION}}})", _NAME),
            {0: ("closed", GREEN), 1: ("open", RED)},
            unit="bool",
            shows="Whether a version is asked nothing but single probes, because it did not answer.",
            good="Closed. An open one of a stable version means 503 for users.",
            width=6,
        ),
        lines(
            "Answer of a version, p99",
            Query(f"max by (model, version) (model_version:thale_model_seconds:p99_5m{{{VERSION}}})", _NAME),
            unit="s",
            shows="From question to answer, the slowest hundredth.",
            good="Canary and stable together.",
            limits=slo_thresholds.seconds(slo),
            width=6,
            links=backend.slower_traces(),
        ),
    ]


def _shadow(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Copies by outcome",
            Query(
                f"sum by (model, version, outcome) (rate(thale_shadow_requests_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{outcome}}}}",
            ),
            unit="reqps",
            shows="Copies of requests that a version in the shadow was asked after the user had the answer.",
            good="ok. Dropped ones are fine: users come first when it is crowded.",
            stacked=True,
            links=backend.to_logs(),
        ),
        lines(
            "Agreement of masks with the stable version",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            shows="Mean Dice coefficient on the same plate, over an hour.",
            good="As high as for the last version that was promoted.",
            top=1,
        ),
        lines(
            "Distance of landmarks, 9 of 10 within",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, kind) "
                f"(rate(thale_shadow_landmark_px_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: px",
            shows="How far the shadow's landmarks lie from the stable version's, in pixels of the photograph.",
            good="A few pixels.",
            limits=Limits(look=8),
        ),
    ]
