"""What the versions of a model did and said in a stretch of time, all facades together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from thale.monitoring.histogram import Histogram
from thale.schemas import Release

CounterIncrease = Mapping[tuple[str, str], "VersionMetrics"]
"""What has been heard of each (model, version) between two readings."""


@dataclass(frozen=True)
class VersionMetrics:
    """What one model version did and said in a stretch of time.

    Histograms go by the names that stand in a card's references: `plants`, `root_area_mm2`, `root_confidence`,
    `landmarks_lateral_tip`, `score`, `agreement_dice_root` …; `seconds` is how long answers took.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    """Questions asked of it for a user, by outcome: ok, rejected, error, unavailable, timeout, invalid_response."""
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    """Answers that the stable version had to give instead, by reason: error, unavailable, timeout, invalid_response, open."""
    shadow_requests: Mapping[str, int] = field(default_factory=dict)
    """Copies of requests that it saw, by outcome: ok, error, unavailable, timeout, invalid_response, dropped."""
    scale_sources: Mapping[str, int] = field(default_factory=dict)
    plates: int = 0
    empty: int = 0
    """Plates without a plant."""
    nan: int = 0
    """Plates with a trait that is not known although the scale is."""
    breakers_open: int = 0
    """Facades that have stopped asking it, at the end of the stretch."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)

    def merge(self, later: Self) -> Self:
        """Return this stretch and the one after it as one."""
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
    """The canary and the stable version in the same stretch of time."""

    canary: VersionMetrics = VersionMetrics()
    stable: VersionMetrics = VersionMetrics()

    def merge(self, later: Self) -> Self:
        """Return this stretch and the one after it as one."""
        return type(self)(self.canary.merge(later.canary), self.stable.merge(later.stable))


def comparison_window(increase: CounterIncrease, release: Release) -> ComparisonWindow:
    """Return what has been heard of a release's canary and its stable version."""
    empty = VersionMetrics()
    return ComparisonWindow(
        canary=increase.get((release.name, release.canary or ""), empty),
        stable=increase.get((release.name, release.stable), empty),
    )


def _add_counts(earlier: Mapping[str, int], later: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(earlier) + Counter(later))
