"""Rollout dashboard: traffic split, verdicts, age of the step, failures by version, and shadow traffic."""

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
        PanelRow("Rollout controller", _controller_panels()),
        PanelRow("Traffic split and verdicts", _decision_panels()),
        PanelRow("Failures by version, fallbacks and circuit breakers", _failure_panels(slo, policy, backend)),
        PanelRow("Shadow traffic", _shadow_panels(backend)),
    ]
    description = "Rollouts: weights, verdicts, age of the step, fallbacks, circuit breakers, shadow traffic."
    return build_dashboard("thale-rollout", "Rollout", description, rows, backend, period="now-3h")


def _controller_panels() -> list[PanelBuilder]:
    return [*_controller_health_panels(), *_step_panels()]


def _controller_health_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Leaders",
            Query(f"sum by (environment) (thale_release_leader{{{ENVIRONMENT}}})", "{{environment}}"),
            unit="suffix: leaders",
            description="Rollout controllers that hold the lease. The others are on standby.",
            healthy="Exactly one for each environment.",
            thresholds=Thresholds(warning=1, lower_is_worse=True),
            decimals=0,
            width=4,
        ),
        stat_panel(
            "Time since last poll",
            Query(f"time() - max(thale_release_last_poll_timestamp_seconds{{{ENVIRONMENT}}})", "age"),
            unit="s",
            description="Age of the controller's last poll of all facades and releases.",
            healthy="A few seconds: two polls per second, plus the age of the scrape.",
            thresholds=Thresholds(warning=60, critical=180),
            decimals=0,
            width=4,
        ),
        stat_panel(
            "Unreachable facades",
            Query(f"max(thale_release_facades_unreachable{{{ENVIRONMENT}}})", "unreachable"),
            unit="suffix: facades",
            description="Facades that the controller cannot scrape. While one is unreachable, no step is taken.",
            healthy="None.",
            thresholds=Thresholds(warning=1, critical=2),
            decimals=0,
            width=4,
        ),
        stat_panel(
            "Change without a copy",
            Query(f"max(thale_release_copy_pending_seconds{{{ENVIRONMENT}}})", "age"),
            unit="s",
            description="Age of the oldest change of a release that is not in the store. A lost cluster would lose it.",
            healthy="0: a change is copied within a second.",
            thresholds=Thresholds(warning=60, critical=600),
            decimals=0,
            width=4,
        ),
    ]


def _step_panels() -> list[PanelBuilder]:
    stuck_s = Intervals().stuck_s
    return [
        stat_panel(
            "Age of the current step",
            Query(f"max(thale_release_step_seconds{{{VERSION}}})", "age"),
            unit="s",
            description="Time for which the canary has been at its current weight.",
            healthy=f"Below {stuck_s / 60:g} minutes. Above that, traffic is too low, or the evidence is inconclusive.",
            thresholds=Thresholds(warning=stuck_s / 2, critical=stuck_s),
            decimals=0,
            width=4,
        ),
        stat_panel(
            "Stuck rollouts",
            Query(f"sum(thale_release_stuck{{{VERSION}}})", "stuck"),
            unit="suffix: stuck",
            description="Rollouts whose step is older than THALE_STUCK_S without a decision. An operator must decide.",
            healthy="None.",
            thresholds=Thresholds(critical=1),
            decimals=0,
        ),
    ]


def _decision_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Weight",
            Query(f"max by (model, version) (model_version:thale_release_weight:ratio{{{VERSION}}})", _NAME),
            unit="percentunit",
            description="Share of a model's requests that each version receives. Annotations mark the changes.",
            healthy="Steps of 5, 25, 50 and 100 %, or a rollback to zero.",
            max_value=1,
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
            description="Verdicts of the judge, one for each poll of a canary.",
            healthy="`inconclusive` while evidence accumulates, then `promote`. `hold` means a possible regression.",
            stacked=True,
            width=7,
        ),
        bar_gauge_panel(
            "Release changes in the last day",
            Query(
                f"sum by (model, version, what) (increase(thale_release_changes_total{{{VERSION}}}[1d]))",
                f"{{{{what}}}}: {_NAME}",
            ),
            unit="suffix: times",
            decimals=0,
            description="Steps, promotions and rollbacks made by the rollout controller.",
            healthy="Steps and promotions. A rollback affects no client, and the log has its reason.",
            width=7,
        ),
    ]


def _failure_panels(slo: Slo, policy: JudgePolicy, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Error ratio by version",
            Query(
                f"max by (model, version) (model_version:thale_model_requests:error_ratio_rate5m{{{VERSION}}})", _NAME
            ),
            unit="percentunit",
            description="Share of a version's requests that ended with an error, a timeout or an invalid response.",
            healthy=f"Canary up to {policy.margins.failures:.0%} above stable, the judge's non-inferiority margin.",
            thresholds=Thresholds(warning=policy.margins.failures),
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Fallbacks to stable",
            Query(
                f"sum by (model, version, reason) (rate(thale_model_fallbacks_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{reason}}}}",
            ),
            unit="reqps",
            description="Requests that the canary failed and stable served within the same call, by reason.",
            healthy="Zero. A fallback costs the client only time. The judge counts each as a failure of the canary.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
        state_timeline_panel(
            "Circuit breakers",
            Query(f"max by (model, version) (thale_model_breaker_open{{{VERSION}}})", _NAME),
            {0: ("closed", GREEN), 1: ("open", RED)},
            unit="bool",
            description="State of each version's circuit breaker. An open one sends half-open probes only.",
            healthy="Closed. If the breaker of a stable version is open, clients get 503.",
            width=6,
        ),
        time_series_panel(
            "p99 latency by version",
            Query(
                f"max by (model, version) (model_version:thale_model_request_duration_seconds:p99_5m{{{VERSION}}})",
                _NAME,
            ),
            unit="s",
            description="99th percentile of the duration of requests to a version.",
            healthy="Similar for canary and stable.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            width=6,
            links=backend.slow_trace_links(),
        ),
    ]


def _shadow_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Shadow requests by outcome",
            Query(
                f"sum by (model, version, outcome) (rate(thale_shadow_requests_total{{{VERSION}}}[$__rate_interval]))",
                f"{_NAME}: {{{{outcome}}}}",
            ),
            unit="reqps",
            description="Requests mirrored to a shadow version after the response was sent, by outcome.",
            healthy="`ok`. `dropped` is normal under load: client requests have priority.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Mask agreement with stable (Dice)",
            Query(
                f"avg by (model, version, organ) (model_version_organ:thale_shadow_dice:mean_1h{{{VERSION}}})",
                f"{_NAME} {{{{organ}}}}",
            ),
            unit="percentunit",
            description="Mean Dice coefficient of shadow and stable on the same plate, over one hour.",
            healthy="As high as for the previously promoted version.",
            max_value=1,
        ),
        time_series_panel(
            "Landmark distance, p90",
            Query(
                "histogram_quantile(0.9, sum by (le, model, version, kind) "
                f"(rate(thale_shadow_landmark_px_bucket{{{VERSION}}}[1h])))",
                f"{_NAME} {{{{kind}}}}",
            ),
            unit="suffix: px",
            description="Distance of the shadow's landmarks from those of stable, in source pixels, 90th percentile.",
            healthy="A few pixels.",
            thresholds=Thresholds(warning=8),
        ),
    ]
