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

from thale.slo import Latency, Slo, read_slo
from thale.telemetry.labels import size_class

OUT = Path(__file__).parent / "rules" / "slo.yaml"

IMAGE_ROUTES = "/v1/(phenotype|segment|landmarks)|/v2/models/.*/infer"
"""Routes that measure images: promises are made for them. Health checks and documents are no requests of users."""
LEAST_BAD = 10
"""An alert asks for so many bad requests. They are counted, not reckoned from a rate: a Prometheus that has just begun
knows five minutes, and four bad requests in those are not fifty in an hour."""
WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")

Rule = dict[str, Any]


@dataclass(frozen=True)
class Burn:
    """The budget is spent `factor` times too fast, over the long and the short window."""

    factor: float
    long: str
    short: str
    wait: str
    severity: str


BURNS = (
    Burn(14.4, "1h", "5m", "2m", "page"),
    Burn(6, "6h", "30m", "15m", "page"),
    Burn(3, "1d", "2h", "1h", "ticket"),
    Burn(1, "3d", "6h", "3h", "ticket"),
)


@dataclass(frozen=True)
class Promise:
    """What is promised, and how it is counted. `level` and `name` begin the names of its series."""

    level: str
    name: str
    budget: float
    requests: str
    """Requests a second, by level."""
    bad: Callable[[str, str], str]
    """Bad ones, by a function of counters and the window that it looks at."""
    alerts: dict[str, str]
    """The alert's name by severity."""
    verb: str
    whose: str

    def series(self, operation: str) -> str:
        """Return the name of a series about this promise."""
        return f"{self.level}:thale_slo_{self.name}:{operation}"


def availability(slo: Slo) -> Promise:
    """Return the promise that requests are answered. Images at fault (4xx) do not count, on either side."""
    labels = f'route=~"{IMAGE_ROUTES}"'

    def failed(function: str, window: str) -> str:
        return f'sum by (environment) ({function}(thale_facade_requests_total{{{labels},status=~"5.."}}[{window}]))'

    return Promise(
        level="environment",
        name="availability",
        budget=1 - slo.availability,
        requests=f'sum by (environment) (rate(thale_facade_requests_total{{{labels},status!~"4.."}}[5m]))',
        bad=failed,
        alerts={"page": "ThaleRequestsFailing", "ticket": "ThaleErrorBudgetBurning"},
        verb="failed",
        whose="requests in {{ $labels.environment }}",
    )


def latency(slo: Slo) -> Promise:
    """Return the promise that answers come in time, by class of image size: 99 of 100 within the class's limit."""
    limits = {size_class(limit.up_to_megapixels): limit for limit in slo.latency}
    sizes = f'route=~"{IMAGE_ROUTES}",size=~"{"|".join(limits)}"'

    def answered(function: str, window: str) -> str:
        return f"sum by (environment, size) ({function}(thale_facade_request_seconds_count{{{sizes}}}[{window}]))"

    def late(function: str, window: str) -> str:
        in_time = " or ".join(f"{function}({_in_time(size, limit)}[{window}])" for size, limit in limits.items())
        return f"clamp_min({answered(function, window)} - sum by (environment, size) ({in_time}), 0)"

    return Promise(
        level="environment_size",
        name="latency",
        budget=0.01,
        requests=answered("rate", "5m"),
        bad=late,
        alerts={"page": "ThaleAnswersSlow", "ticket": "ThaleLatencyBudgetBurning"},
        verb="took longer than promised",
        whose="answers to images of class {{ $labels.size }} in {{ $labels.environment }}",
    )


def _in_time(size: str, limit: Latency) -> str:
    labels = f'route=~"{IMAGE_ROUTES}",size="{size}",le="{limit.p99_s}"'
    return f"thale_facade_request_seconds_bucket{{{labels}}}"


def records(promise: Promise) -> list[Rule]:
    """Return how often a promise is broken, over every window that an alert or a dashboard looks at."""
    requests, bad = promise.series("requests_rate5m"), promise.series("bad_rate5m")
    rules: list[Rule] = [
        {"record": requests, "expr": promise.requests},
        {"record": bad, "expr": f"{promise.bad('rate', '5m')} or 0 * {requests}"},
        {"record": promise.series("error_ratio_rate5m"), "expr": f"{bad} / ({requests} > 0)"},
    ]
    for window in WINDOWS:
        record = promise.series(f"error_ratio_rate{window}")
        rules.append({"record": record, "expr": _ratio(bad, requests, window)})
    for burn in BURNS:
        record = promise.series(f"bad_increase{burn.long}")
        rules.append({"record": record, "expr": promise.bad("increase", burn.long)})
    left = f"1 - {_ratio(bad, requests, '30d')} / {_number(promise.budget)}"
    rules.append({"record": promise.series("error_budget_remaining_30d"), "expr": left})
    return rules


def _ratio(bad: str, requests: str, window: str) -> str:
    """Return the share of bad requests in a window, from their recorded rates: cheap at any length."""
    return f"sum_over_time({bad}[{window}]) / (sum_over_time({requests}[{window}]) > 0)"


def alerts(promise: Promise) -> list[Rule]:
    """Return a promise's four alerts."""
    return [_alert(promise, burn) for burn in BURNS]


def _alert(promise: Promise, burn: Burn) -> Rule:
    name = promise.alerts[burn.severity]
    limit = _number(burn.factor * promise.budget)
    return {
        "alert": name,
        "expr": (
            f"{promise.series(f'error_ratio_rate{burn.long}')} > {limit}"
            f" and {promise.series(f'error_ratio_rate{burn.short}')} > {limit}"
            f" and {promise.series(f'bad_increase{burn.long}')} >= {LEAST_BAD}"
        ),
        "for": burn.wait,
        "labels": {"severity": burn.severity, "slo": promise.name, "window": burn.long},
        "annotations": {
            "summary": f"{{{{ $value | humanizePercentage }}}} of {promise.whose} {promise.verb} within {burn.long}",
            "description": (
                f"At this pace, seen over {burn.long} and over the last {burn.short}, the "
                f"{_number(100 * promise.budget)} % of requests that may be bad in 30 days last for "
                f"{30 / burn.factor:.2g} days at most."
            ),
            "runbook_url": f"observability/runbooks.md#{name.lower()}",
        },
    }


def _number(value: float) -> str:
    """Return a number without the dust of binary fractions."""
    return f"{value:.10g}"


def document(slo: Slo) -> str:
    """Return the file."""
    promises = (availability(slo), latency(slo))
    groups = [
        *({"name": f"thale-slo-{promise.name}", "rules": records(promise)} for promise in promises),
        {"name": "thale-slo-alerts", "rules": [rule for promise in promises for rule in alerts(promise)]},
    ]
    head = "# Written by tools/generate/slo_rules.py from services/thale/slo.toml; `make rules` writes it anew.\n"
    return head + dump({"groups": groups})


def dump(value: object) -> str:
    """Return YAML that a person can read: in the order given, long expressions folded."""
    return str(yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True))


if __name__ == "__main__":
    OUT.write_text(document(read_slo()), encoding="utf-8")
