"""Limits of panels from `services/thale/slo.toml`: what is promised there is what is green here."""

from observability.dashboards.panels import Limits
from thale.slo import Slo
from thale.telemetry.labels import size_class
from tools.generate.slo_rules import BURNS

PAGES = min(burn.factor for burn in BURNS if burn.severity == "page")
"""The error budget goes so many times faster than it may, and somebody is woken."""
IN_TIME = 0.99
"""Of all answers, within the limit of their image's size."""


def availability(slo: Slo) -> Limits:
    """Return the limits of a share of requests that succeed."""
    return _share(slo.availability)


def in_time() -> Limits:
    """Return the limits of a share of answers that come in time."""
    return _share(IN_TIME)


def failing(slo: Slo) -> Limits:
    """Return the limits of a share of requests that fail."""
    return Limits(look=rounded(1 - slo.availability), bad=rounded(PAGES * (1 - slo.availability)))


def burn() -> Limits:
    """Return the limits of how many times too fast a budget goes."""
    return Limits(look=1, bad=PAGES)


def seconds(slo: Slo) -> Limits:
    """Return the limits of latencies of images of all sizes: those of the smallest and of the largest."""
    return Limits(look=slo.latency[0].p99_s, bad=slo.latency[-1].p99_s)


def promised(slo: Slo) -> str:
    """Return in words within how many seconds 99 of 100 answers come, by class of size."""
    return ", ".join(f"{size_class(limit.up_to_megapixels)}: {limit.p99_s:g} s" for limit in slo.latency)


def _share(promise: float) -> Limits:
    return Limits(look=promise, bad=rounded(1 - PAGES * (1 - promise)), downwards=True)


def rounded(share: float) -> float:
    """Return a share without the dust of binary fractions."""
    return round(share, 6)
