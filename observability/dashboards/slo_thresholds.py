"""Limits of panels from `services/thale/slo.toml`: what is promised there is what is green here."""

from observability.dashboards.panels import Thresholds
from thale.slo import Slo
from thale.telemetry.labels import size_class
from tools.generate.slo_rules import BURN_RATE_WINDOWS

PAGE_BURN_RATE = min(
    burn_rate_thresholds.factor for burn_rate_thresholds in BURN_RATE_WINDOWS if burn_rate_thresholds.severity == "page"
)
"""The error budget goes so many times faster than it may, and somebody is woken."""
LATENCY_SLO_RATIO = 0.99
"""Of all answers, within the limit of their image's size."""


def availability_thresholds(slo: Slo) -> Thresholds:
    """Return the limits of a share of requests that succeed."""
    return _ratio_thresholds(slo.availability)


def latency_slo_thresholds() -> Thresholds:
    """Return the limits of a share of answers that come in time."""
    return _ratio_thresholds(LATENCY_SLO_RATIO)


def error_ratio_thresholds(slo: Slo) -> Thresholds:
    """Return the limits of a share of requests that fail."""
    return Thresholds(
        warning=round_ratio(1 - slo.availability), critical=round_ratio(PAGE_BURN_RATE * (1 - slo.availability))
    )


def burn_rate_thresholds() -> Thresholds:
    """Return the limits of how many times too fast a budget goes."""
    return Thresholds(warning=1, critical=PAGE_BURN_RATE)


def latency_thresholds(slo: Slo) -> Thresholds:
    """Return the limits of latencies of images of all sizes: those of the smallest and of the largest."""
    return Thresholds(warning=slo.latency[0].p99_s, critical=slo.latency[-1].p99_s)


def describe_latency_slo(slo: Slo) -> str:
    """Return in words within how many seconds 99 of 100 answers come, by class of size."""
    return ", ".join(f"{size_class(limit.up_to_megapixels)}: {limit.p99_s:g} s" for limit in slo.latency)


def _ratio_thresholds(objective: float) -> Thresholds:
    return Thresholds(
        warning=objective, critical=round_ratio(1 - PAGE_BURN_RATE * (1 - objective)), lower_is_worse=True
    )


def round_ratio(ratio: float) -> float:
    """Return a share without the dust of binary fractions."""
    return round(ratio, 6)
