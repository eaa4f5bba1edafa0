"""Write rules/slo.yaml: the promises of services/thale/slo.toml as recording rules and burn-rate alerts.

    python -m tools.generate.slo_rules

Each promise has a budget: the share of requests that may be bad. How many times too fast it is being spent is looked
at over two windows at once: the long one says that it matters, the short one that it still goes on. The factors and
windows are those of "The Site Reliability Workbook" (Google, 2018), chapter 5. A handful of bad requests at night is no
incident, so every alert also asks for a least number of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from thale.slo import LatencyObjective, Slo, read_slo
from thale.telemetry.labels import size_class

OUTPUT_PATH = Path(__file__).parent / "rules" / "slo.yaml"

IMAGE_ROUTES = "/v1/(phenotype|segment|landmarks)|/v2/models/.*/infer"
"""Routes that measure images: promises are made for them. Health checks and documents are no requests of users."""
MIN_BAD_REQUESTS = 10
"""An alert asks for so many bad requests. They are counted, not reckoned from a rate: a Prometheus that has just begun
knows five minutes, and four bad requests in those are not fifty in an hour."""
RECORDED_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")

Rule = dict[str, Any]


@dataclass(frozen=True)
class BurnRateWindow:
    """The budget is spent `factor` times too fast, over the long and the short window."""

    factor: float
    long_window: str
    short_window: str
    for_duration: str
    severity: str


BURN_RATE_WINDOWS = (
    BurnRateWindow(14.4, "1h", "5m", "2m", "page"),
    BurnRateWindow(6, "6h", "30m", "15m", "page"),
    BurnRateWindow(3, "1d", "2h", "1h", "ticket"),
    BurnRateWindow(1, "3d", "6h", "3h", "ticket"),
)


@dataclass(frozen=True)
class Objective:
    """What is promised, and how it is counted. `level` and `name` begin the names of its series."""

    level: str
    name: str
    budget: float
    requests: str
    """Requests a second, by level."""
    bad_requests: Callable[[str, str], str]
    """Bad ones, by a function of counters and the window that it looks at."""
    alerts: dict[str, str]
    """The alert's name by severity."""
    verb: str
    subject: str

    def series_name(self, operation: str) -> str:
        """Return the name of a series about this promise."""
        return f"{self.level}:thale_slo_{self.name}:{operation}"


def availability_objective(slo: Slo) -> Objective:
    """Return the promise that requests are answered. Images at fault (4xx) do not count, on either side."""
    labels = f'route=~"{IMAGE_ROUTES}"'

    def failed_requests(function: str, window: str) -> str:
        return f'sum by (environment) ({function}(thale_facade_requests_total{{{labels},status=~"5.."}}[{window}]))'

    return Objective(
        level="environment",
        name="availability",
        budget=1 - slo.availability,
        requests=f'sum by (environment) (rate(thale_facade_requests_total{{{labels},status!~"4.."}}[5m]))',
        bad_requests=failed_requests,
        alerts={"page": "ThaleHighErrorRate", "ticket": "ThaleErrorBudgetBurning"},
        verb="failed",
        subject="requests in {{ $labels.environment }}",
    )


def latency_objective(slo: Slo) -> Objective:
    """Return the promise that answers come in time, by class of image size: 99 of 100 within the class's limit."""
    limits = {size_class(limit.up_to_megapixels): limit for limit in slo.latency}
    sizes = f'route=~"{IMAGE_ROUTES}",size=~"{"|".join(limits)}"'

    def total_responses(function: str, window: str) -> str:
        return (
            f"sum by (environment, size) ({function}(thale_facade_request_duration_seconds_count{{{sizes}}}[{window}]))"
        )

    def late_responses(function: str, window: str) -> str:
        in_time = " or ".join(f"{function}({_in_time_series(size, limit)}[{window}])" for size, limit in limits.items())
        return f"clamp_min({total_responses(function, window)} - sum by (environment, size) ({in_time}), 0)"

    return Objective(
        level="environment_size",
        name="latency",
        budget=0.01,
        requests=total_responses("rate", "5m"),
        bad_requests=late_responses,
        alerts={"page": "ThaleHighLatency", "ticket": "ThaleLatencyBudgetBurning"},
        verb="took longer than promised",
        subject="answers to images of class {{ $labels.size }} in {{ $labels.environment }}",
    )


def _in_time_series(size: str, limit: LatencyObjective) -> str:
    labels = f'route=~"{IMAGE_ROUTES}",size="{size}",le="{limit.p99_s}"'
    return f"thale_facade_request_duration_seconds_bucket{{{labels}}}"


def recording_rules(objective: Objective) -> list[Rule]:
    """Return how often a promise is broken, over every window that an alert or a dashboard looks at."""
    requests, bad = objective.series_name("requests_rate5m"), objective.series_name("bad_rate5m")
    rules: list[Rule] = [
        {"record": requests, "expr": objective.requests},
        {"record": bad, "expr": f"{objective.bad_requests('rate', '5m')} or 0 * {requests}"},
        {"record": objective.series_name("error_ratio_rate5m"), "expr": f"{bad} / ({requests} > 0)"},
    ]
    for window in RECORDED_WINDOWS:
        record = objective.series_name(f"error_ratio_rate{window}")
        rules.append({"record": record, "expr": _windowed_error_ratio(bad, requests, window)})
    for burn in BURN_RATE_WINDOWS:
        record = objective.series_name(f"bad_increase{burn.long_window}")
        rules.append({"record": record, "expr": objective.bad_requests("increase", burn.long_window)})
    remaining = f"1 - {_windowed_error_ratio(bad, requests, '30d')} / {_format_number(objective.budget)}"
    rules.append({"record": objective.series_name("error_budget_remaining_30d"), "expr": remaining})
    return rules


def _windowed_error_ratio(bad: str, requests: str, window: str) -> str:
    """Return the share of bad requests in a window, from their recorded rates: cheap at any length."""
    return f"sum_over_time({bad}[{window}]) / (sum_over_time({requests}[{window}]) > 0)"


def alerting_rules(objective: Objective) -> list[Rule]:
    """Return a promise's four alerts."""
    return [_alerting_rule(objective, burn) for burn in BURN_RATE_WINDOWS]


def _alerting_rule(objective: Objective, burn: BurnRateWindow) -> Rule:
    name = objective.alerts[burn.severity]
    limit = _format_number(burn.factor * objective.budget)
    return {
        "alert": name,
        "expr": (
            f"{objective.series_name(f'error_ratio_rate{burn.long_window}')} > {limit}"
            f" and {objective.series_name(f'error_ratio_rate{burn.short_window}')} > {limit}"
            f" and {objective.series_name(f'bad_increase{burn.long_window}')} >= {MIN_BAD_REQUESTS}"
        ),
        "for": burn.for_duration,
        "labels": {"severity": burn.severity, "slo": objective.name, "window": burn.long_window},
        "annotations": {
            "summary": f"{{{{ $value | humanizePercentage }}}} of {objective.subject} {objective.verb} within {burn.long_window}",
            "description": (
                f"At this pace, seen over {burn.long_window} and over the last {burn.short_window}, the "
                f"{_format_number(100 * objective.budget)} % of requests that may be bad in 30 days last for "
                f"{30 / burn.factor:.2g} days at most."
            ),
            "runbook_url": f"observability/runbooks.md#{name.lower()}",
        },
    }


def _format_number(value: float) -> str:
    """Return a number without the dust of binary fractions."""
    return f"{value:.10g}"


def render_rules(slo: Slo) -> str:
    """Return the file."""
    objectives = (availability_objective(slo), latency_objective(slo))
    groups = [
        *({"name": f"thale-slo-{objective.name}", "rules": recording_rules(objective)} for objective in objectives),
        {"name": "thale-slo-alerts", "rules": [rule for objective in objectives for rule in alerting_rules(objective)]},
    ]
    header = "# Written by tools/generate/slo_rules.py from services/thale/slo.toml; `make rules` writes it anew.\n"
    return header + dump_yaml({"groups": groups})


def dump_yaml(value: object) -> str:
    """Return YAML that a person can read: in the order given, long expressions folded."""
    return str(yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True))


if __name__ == "__main__":
    OUTPUT_PATH.write_text(render_rules(read_slo()), encoding="utf-8")
