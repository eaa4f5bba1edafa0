"""Generator of observability/rules/slo.yaml: recording rules and burn-rate alerts for services/thale/slo/slo.toml.

    python -m tools.generate.slo_rules

Each objective has an error budget: the share of requests that may be bad. An alert compares the burn rate over two
windows. The long window shows that the burn is significant, the short one that it continues. Factors and windows are
those of "The Site Reliability Workbook" (Google, 2018), chapter 5. A few bad requests at night are no incident, so
every alert also requires a minimum number of them (docs/adr/0057-page-on-symptoms-with-a-minimum-count.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from thale.slo import LatencyObjective, Slo, read_slo
from thale.telemetry.labels import size_class
from tools.generate.runbook_urls import runbook_url

OUTPUT_PATH = Path(__file__).parents[2] / "observability" / "rules" / "slo.yaml"

IMAGE_ROUTES = "/v1/(phenotype|segment|landmarks)|/v2/models/.*/infer"
"""Routes that process images. The objectives cover them, but not health checks and documents."""
MIN_BAD_REQUESTS = 10
"""Minimum number of bad requests for an alert. They are counted, not extrapolated from a rate: a Prometheus that has
just started knows five minutes, and four bad requests in these are not fifty in an hour."""
RECORDED_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")

Rule = dict[str, Any]


@dataclass(frozen=True)
class BurnRateWindow:
    """One alert condition: the burn rate exceeds `factor` over the long and the short window."""

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
    """One objective, and the counters that measure it. The names of its series begin with `level` and `name`."""

    level: str
    name: str
    budget: float
    requests: str
    """Expression of the requests per second, by level."""
    bad_requests: Callable[[str, str], str]
    """Returns the expression of the bad requests, for a PromQL function of counters and its window."""
    alerts: dict[str, str]
    """Alert names by severity."""
    verb: str
    subject: str

    def series_name(self, operation: str) -> str:
        """Return the name of a series of this objective."""
        return f"{self.level}:thale_slo_{self.name}:{operation}"


def availability_objective(slo: Slo) -> Objective:
    """Return the availability objective. Client errors (4xx) count neither as requests nor as failures."""
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
    """Return the latency objective: 99 % of the responses within the limit of the image's size class."""
    limits = {size_class(limit.up_to_megapixels): limit for limit in slo.latency}
    sizes = f'route=~"{IMAGE_ROUTES}",size=~"{"|".join(limits)}"'

    def total_responses(function: str, window: str) -> str:
        return (
            f"sum by (environment, size) ({function}(thale_facade_request_duration_seconds_count{{{sizes}}}[{window}]))"
        )

    def slow_responses(function: str, window: str) -> str:
        fast = " or ".join(f"{function}({_fast_series(size, limit)}[{window}])" for size, limit in limits.items())
        return f"clamp_min({total_responses(function, window)} - sum by (environment, size) ({fast}), 0)"

    return Objective(
        level="environment_size",
        name="latency",
        budget=0.01,
        requests=total_responses("rate", "5m"),
        bad_requests=slow_responses,
        alerts={"page": "ThaleHighLatency", "ticket": "ThaleLatencyBudgetBurning"},
        verb="exceeded the latency objective",
        subject="responses to {{ $labels.size }} images in {{ $labels.environment }}",
    )


def _fast_series(size: str, limit: LatencyObjective) -> str:
    labels = f'route=~"{IMAGE_ROUTES}",size="{size}",le="{limit.p99_s}"'
    return f"thale_facade_request_duration_seconds_bucket{{{labels}}}"


def recording_rules(objective: Objective) -> list[Rule]:
    """Return the recording rules of an objective: its error ratio over every window of an alert or a dashboard."""
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
    """Return the error ratio over a window, from recorded rates: the cost of long windows stays low."""
    return f"sum_over_time({bad}[{window}]) / (sum_over_time({requests}[{window}]) > 0)"


def alerting_rules(objective: Objective) -> list[Rule]:
    """Return the four burn-rate alerts of an objective."""
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
            "summary": (
                f"{{{{ $value | humanizePercentage }}}} of {objective.subject} {objective.verb} over {burn.long_window}"
            ),
            "description": (
                f"The burn rate exceeds {burn.factor:g} over {burn.long_window} and over {burn.short_window}. At this "
                f"rate, the error budget of {_format_number(100 * objective.budget)} % over 30 days lasts up to "
                f"{30 / burn.factor:.2g} days."
            ),
            "runbook_url": runbook_url(name),
        },
    }


def _format_number(value: float) -> str:
    """Return a number without rounding errors of binary fractions."""
    return f"{value:.10g}"


def render_rules(slo: Slo) -> str:
    """Return the rules as YAML."""
    objectives = (availability_objective(slo), latency_objective(slo))
    groups = [
        *({"name": f"thale-slo-{objective.name}", "rules": recording_rules(objective)} for objective in objectives),
        {"name": "thale-slo-alerts", "rules": [rule for objective in objectives for rule in alerting_rules(objective)]},
    ]
    header = (
        "# Generated by tools/generate/slo_rules.py from services/thale/slo/slo.toml. "
        "Run `make generate` to update it.\n"
    )
    return header + dump_yaml({"groups": groups})


def dump_yaml(value: object) -> str:
    """Return readable YAML: keys in the given order, long expressions folded."""
    return str(yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True))


if __name__ == "__main__":
    OUTPUT_PATH.write_text(render_rules(read_slo()), encoding="utf-8")
