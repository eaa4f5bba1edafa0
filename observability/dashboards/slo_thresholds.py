"""Thresholds of panels, derived from the objectives in `services/thale/slo/slo.toml`. A met objective is green."""

from observability.dashboards.panels import Thresholds
from thale.slo import Slo
from thale.telemetry.labels import size_class
from tools.generate.slo_rules import BURN_RATE_WINDOWS

PAGE_BURN_RATE = min(window.factor for window in BURN_RATE_WINDOWS if window.severity == "page")
"""The minimum burn rate that pages."""
LATENCY_SLO_RATIO = 0.99
"""The objective for the share of responses within the limit of their size class."""


def availability_thresholds(slo: Slo) -> Thresholds:
    """Return the thresholds of a success rate."""
    return _ratio_thresholds(slo.availability)


def latency_slo_thresholds() -> Thresholds:
    """Return the thresholds of the share of responses within the latency objective."""
    return _ratio_thresholds(LATENCY_SLO_RATIO)


def error_ratio_thresholds(slo: Slo) -> Thresholds:
    """Return the thresholds of an error ratio."""
    return Thresholds(
        warning=round_ratio(1 - slo.availability), critical=round_ratio(PAGE_BURN_RATE * (1 - slo.availability))
    )


def burn_rate_thresholds() -> Thresholds:
    """Return the thresholds of a burn rate."""
    return Thresholds(warning=1, critical=PAGE_BURN_RATE)


def latency_thresholds(slo: Slo) -> Thresholds:
    """Return the thresholds of latencies of all sizes: the limits of the smallest and of the largest size class."""
    return Thresholds(warning=slo.latency[0].p99_s, critical=slo.latency[-1].p99_s)


def describe_latency_slo(slo: Slo) -> str:
    """Return the p99 limits by size class as text."""
    return ", ".join(f"{size_class(limit.up_to_megapixels)}: {limit.p99_s:g} s" for limit in slo.latency)


def _ratio_thresholds(objective: float) -> Thresholds:
    return Thresholds(
        warning=objective, critical=round_ratio(1 - PAGE_BURN_RATE * (1 - objective)), lower_is_worse=True
    )


def round_ratio(ratio: float) -> float:
    """Return a ratio without rounding errors of binary fractions."""
    return round(ratio, 6)
