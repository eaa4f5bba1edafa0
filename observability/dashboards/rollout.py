"""A version on trial: who gets it, what the judge says, how long it has been so, and what goes wrong meanwhile."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import (
    GREEN,
    RED,
    PanelBuilder,
    Query,
    Thresholds,
    bar_gauge_panel,
    stat_panel,
    state_timeline_panel,
    time_series_panel,
)
from thale.release.controller.controller import Intervals
from thale.release.judge.policy import JudgePolicy
from thale.slo import Slo

_NAME = "{{model}} {{version}}"


def build(slo: Slo, policy: JudgePolicy, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("Who decides", _controller_panels()),
        PanelRow("Who gets which version, and what the judge says", _decision_panels()),
        PanelRow(
            "What goes wrong with versions, and what users do not notice of it", _failure_panels(slo, policy, backend)
        ),
        PanelRow("Copies for the version in the shadow", _shadow_panels(backend)),
    ]
    description = "Rollouts: shares, verdicts, age of the step, fallbacks, breakers, shadow."
    return build_dashboard("thale-rollout", "Rollout", description, rows, backend, period="now-3h")


def _controller_panels() -> list[PanelBuilder]:
    stuck_s = Intervals().stuck_s
    return [
        stat_panel(
            "Leaders",
            Query(f"sum by (environment) (thale_release_leader{{{ENVIRONMENT}}})", "{{environment}}"),
            unit="suffix: leading",
            description="Watchers that may act. Of several, one leads and the others wait.",
            healthy="Exactly one for each environment.",
            thresholds=Thresholds(warning=1, lower_is_worse=True),
            decimals=0,
            width=5,
        ),
        stat_panel(
            "Last look at everything",
            Query(f"time() - max(thale_release_last_poll_timestamp_seconds{{{ENVIRONMENT}}})", "ago"),
            unit="s",
            description="How long ago the watcher last read all facades and releases.",
            healthy="A few seconds: two looks a second, and the age of a scrape.",
            thresholds=Thresholds(warning=60, critical=180),
            decimals=0,
            width=5,
        ),
        stat_panel(
            "Facades that do not answer it",
            Query(f"max(thale_release_facades_unreachable{{{ENVIRONMENT}}})", "away"),
            unit="suffix: away",
            description="Facades whose counters cannot be read. While one is away, no step is taken.",
            healthy="None.",
            thresholds=Thresholds(warning=1, critical=2),
            decimals=0,
            width=5,
        ),
        stat_panel(
            "Age of the present step",
            Query(f"max(thale_release_step_seconds{{{VERSION}}})", "age"),
            unit="s",
            description="How long the canary has been at its present share.",
            healthy=f"Below {stuck_s / 60:g} minutes. Longer means too little traffic, or a judge that cannot decide.",
            thresholds=Thresholds(warning=stuck_s / 2, critical=stuck_s),
            decimals=0,
            width=5,
        ),
        stat_panel(
            "Stuck",
            Query(f"sum(thale_release_stuck{{{VERSION}}})", "stuck"),
            unit="suffix: stuck",
            description="Rollouts whose step has had no verdict for longer than the limit. A person has to decide.",
            healthy="None.",
            thresholds=Thresholds(critical=1),
            decimals=0,
        ),
    ]


def _decision_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Share of the requests",
            Query(f"max by (model, version) (model_version:thale_release_weight:ratio{{{VERSION}}})", _NAME),
            unit="percent",
            description="What share of a model's requests each version answers. Marks show what the watcher changed.",
            healthy="A staircase: 5, 25, 50, 100, or straight down to nothing.",
            max_value=100,
            width=10,
        ),
        time_series_panel(
            "Verdicts",
            Query(
                "sum by (model, version, verdict) "
                f"(model_version_verdict:thale_release_verdicts:rate5m{{{VERSION}}}) * 60",
                f"{_NAME}: {{{{verdict}}}}",
            ),
            unit="suffix: / min",
            description="What the judge says each time it looks at a canary.",
            healthy="inconclusive while evidence is gathered, then promote. hold says that something is suspected.",
            stacked=True,
            width=7,
        ),
        bar_gauge_panel(
            "Changes in the last day",
            Query(
                f"sum by (model, version, what) (increase(thale_release_changes_total{{{VERSION}}}[1d]))",
                f"{{{{what}}}}: {_NAME}",
            ),
            unit="suffix: times",
            decimals=0,
            description="Steps, promotions and rollbacks that the watcher made by itself.",
            healthy="Steps and promotions. A rollback is no disaster: nobody was hurt, and the reason stands in the log.",
            width=7,
        ),
    ]


def _failure_panels(slo: Slo, policy: JudgePolicy, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Failing questions, by version",
            Query(
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})", _NAME
            ),
            unit="percentunit",
            description="Share of a version's questions that it failed, answered late, or answered with nonsense.",
            healthy=f"Canary no more than {policy.margins.failures:.0%} above stable: that is the judge's margin.",
            thresholds=Thresholds(warning=policy.margins.failures),
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Answered by the stable version instead",
            Query(
                f"sum by (model, version, reason) (rate(thale_model_fallbacks_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{reason}}}}",
            ),
            unit="reqps",
            description="Questions that a canary left unanswered and the stable version answered within the same request.",
            healthy="Zero. Users lose nothing by it but time; the judge counts every one.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
        state_timeline_panel(
            "Breakers",
            Query(f"max by (model, version) (thale_model_breaker_open{{{VERSION}}})", _NAME),
            {0: ("closed", GREEN), 1: ("open", RED)},
            unit="bool",
            description="Whether a version is asked nothing but single probes, because it did not answer.",
            healthy="Closed. An open one of a stable version means 503 for users.",
            width=6,
        ),
        time_series_panel(
            "Answer of a version, p99",
            Query(
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})",
                _NAME,
            ),
            unit="s",
            description="From question to answer, the slowest hundredth.",
            healthy="Canary and stable together.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            width=6,
            links=backend.slow_trace_links(),
        ),
    ]


def _shadow_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Copies by outcome",
            Query(
                f"sum by (model, version, outcome) (rate(thale_shadow_requests_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{outcome}}}}",
            ),
            unit="reqps",
            description="Copies of requests that a version in the shadow was asked after the user had the answer.",
            healthy="ok. Dropped ones are fine: users come first when it is crowded.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Agreement of masks with the stable version",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            description="Mean Dice coefficient on the same plate, over an hour.",
            healthy="As high as for the last version that was promoted.",
            max_value=1,
        ),
        time_series_panel(
            "Distance of landmarks, 9 of 10 within",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, kind) "
                f"(rate(thale_shadow_landmark_px_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: px",
            description="How far the shadow's landmarks lie from the stable version's, in pixels of the photograph.",
            healthy="A few pixels.",
            thresholds=Thresholds(warning=8),
        ),
    ]
