"""What the versions of a model did and said in a stretch of time, all facades together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from thale.monitoring.histogram import Binned
from thale.schemas import Release

Increment = Mapping[tuple[str, str], "VersionSignals"]
"""What has been heard of each (model, version) between two readings."""




@dataclass(frozen=True)
class VersionSignals:
    """What one model version did and said in a stretch of time.

    Histograms go by the names that stand in a card's references: `plants`, `root_area_mm2`, `root_confidence`,
    `landmarks_lateral_tip`, `score`, `agreement_dice_root` …; `seconds` is how long answers took.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    """Questions asked of it for a user, by outcome: ok, refused, failed, unavailable, late, nonsense."""
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    """Answers that the stable version had to give instead, by reason: failed, unavailable, late, nonsense, open."""
    shadow_requests: Mapping[str, int] = field(default_factory=dict)
    """Copies of requests that it saw, by outcome: ok, failed, unavailable, late, nonsense, dropped."""
    scale_sources: Mapping[str, int] = field(default_factory=dict)
    plates: int = 0
    empty: int = 0
    """Plates without a plant."""
    nan: int = 0
    """Plates with a trait that is not known although the scale is."""
    breakers_open: int = 0
    """Facades that have stopped asking it, at the end of the stretch."""
    histograms: Mapping[str, Binned] = field(default_factory=dict)

    def then(self, later: Self) -> Self:
        """Return this stretch and the one after it as one."""
        histograms = dict(self.histograms)
        for name, binned in later.histograms.items():
            known = histograms.get(name)
            histograms[name] = known.then(binned) if known is not None else binned
        return type(self)(
            requests=_sum(self.requests, later.requests),
            fallbacks=_sum(self.fallbacks, later.fallbacks),
            shadow_requests=_sum(self.shadow_requests, later.shadow_requests),
            scale_sources=_sum(self.scale_sources, later.scale_sources),
            plates=self.plates + later.plates,
            empty=self.empty + later.empty,
            nan=self.nan + later.nan,
            breakers_open=later.breakers_open,
            histograms=histograms,
        )


@dataclass(frozen=True)
class Window:
    """The canary and the stable version in the same stretch of time."""

    canary: VersionSignals = VersionSignals()
    stable: VersionSignals = VersionSignals()

    def then(self, later: Self) -> Self:
        """Return this stretch and the one after it as one."""
        return type(self)(self.canary.then(later.canary), self.stable.then(later.stable))


def window_of(increment: Increment, release: Release) -> Window:
    """Return what has been heard of a release's canary and its stable version."""
    nothing = VersionSignals()
    return Window(
        canary=increment.get((release.name, release.canary or ""), nothing),
        stable=increment.get((release.name, release.stable), nothing),
    )


def _sum(earlier: Mapping[str, int], later: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(earlier) + Counter(later))
