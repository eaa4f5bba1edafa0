"""Metrics of the versions of a model in an observation window, summed over all facades."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from thale.monitoring.histogram import Histogram
from thale.schemas import Release

CounterIncrease = Mapping[tuple[str, str], "VersionMetrics"]
"""Counter increases between two scrapes, by (model, version)."""


@dataclass(frozen=True)
class VersionMetrics:
    """Requests and outputs of one model version in an observation window.

    Histograms have the names of a card's references, such as `plants`, `root_area_mm2`, `root_confidence`,
    `landmarks_lateral_tip`, `score` and `agreement_dice_root`. `seconds` is the histogram of response times.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    """User requests, by outcome: ok, rejected, error, unavailable, timeout, invalid_response."""
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    """Requests that fell back to stable, by reason: error, unavailable, timeout, invalid_response, open."""
    shadow_requests: Mapping[str, int] = field(default_factory=dict)
    """Shadow requests, by outcome: ok, error, unavailable, timeout, invalid_response, dropped."""
    scale_sources: Mapping[str, int] = field(default_factory=dict)
    plates: int = 0
    empty: int = 0
    """Plates without plants."""
    nan: int = 0
    """Plates with a missing trait although the scale is known."""
    breakers_open: int = 0
    """Facades with an open circuit breaker for the version at the end of the window."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)

    def merge(self, later: Self) -> Self:
        """Return this window and the next one as one window."""
        histograms = dict(self.histograms)
        for name, histogram in later.histograms.items():
            known = histograms.get(name)
            histograms[name] = known.merge(histogram) if known is not None else histogram
        return type(self)(
            requests=_add_counts(self.requests, later.requests),
            fallbacks=_add_counts(self.fallbacks, later.fallbacks),
            shadow_requests=_add_counts(self.shadow_requests, later.shadow_requests),
            scale_sources=_add_counts(self.scale_sources, later.scale_sources),
            plates=self.plates + later.plates,
            empty=self.empty + later.empty,
            nan=self.nan + later.nan,
            breakers_open=later.breakers_open,
            histograms=histograms,
        )


@dataclass(frozen=True)
class ComparisonWindow:
    """Metrics of canary and stable in the same observation window."""

    canary: VersionMetrics = VersionMetrics()
    stable: VersionMetrics = VersionMetrics()

    def merge(self, later: Self) -> Self:
        """Return this window and the next one as one window."""
        return type(self)(self.canary.merge(later.canary), self.stable.merge(later.stable))


def comparison_window(increase: CounterIncrease, release: Release) -> ComparisonWindow:
    """Return the counter increases of a release's canary and stable version."""
    empty = VersionMetrics()
    return ComparisonWindow(
        canary=increase.get((release.name, release.canary or ""), empty),
        stable=increase.get((release.name, release.stable), empty),
    )


def _add_counts(earlier: Mapping[str, int], later: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(earlier) + Counter(later))
