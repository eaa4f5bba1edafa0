"""What the versions of a model do and say: counters of all facades, and how they grew since they were last read.

    Facades.read() ──▶ Ledger.advance(scrapes) ──▶ (Ledger, Increment) ──▶ window_of(increment, release)

The facades are asked themselves, not Prometheus: a rollback must not wait for a scrape (DESIGN.md, decision 6).
Increments are taken facade by facade, so facades may come, go and start anew while a rollout runs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from thale.contract import Release

Increment = Mapping[tuple[str, str], "VersionSignals"]
"""What has been heard of each (model, version) between two readings."""


@dataclass(frozen=True)
class Binned:
    """A histogram: how many values lie in each bin. `bounds_B` are the upper edges (included); the last is infinite."""

    bounds_B: tuple[float, ...]
    counts_B: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts_B)

    def at_most(self, bound: float) -> int:
        """Return how many values are at most `bound`, which is one of the edges."""
        return sum(self.counts_B[: self.bounds_B.index(bound) + 1])

    def __add__(self, other: Self) -> Self:
        if self.bounds_B != other.bounds_B:
            raise ValueError("histograms of different bins cannot be added")
        return type(self)(self.bounds_B, tuple(a + b for a, b in zip(self.counts_B, other.counts_B, strict=True)))


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
            histograms[name] = known + binned if known is not None else binned
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


@dataclass(frozen=True)
class Scrape:
    """One facade's counters at one moment: values by series, and when its process started (seconds since 1970)."""

    started: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Reading:
    """All facades at one moment; `missing` says why a facade is left out."""

    scrapes: Mapping[str, Scrape]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Ledger:
    """The last counters of every facade. Not kept over a restart: what came in between is then not judged.

    Args:
        since: When the watching began, seconds since 1970: a facade that started later is counted from zero.
    """

    since: float
    scrapes: Mapping[str, Scrape] = field(default_factory=dict)

    def advance(self, reading: Reading) -> tuple[Self, Increment]:
        """Return the ledger after a reading, and by how much everything grew."""
        raise NotImplementedError


class Facades:
    """Asks every facade for its counters.

    Args:
        urls: Addresses of /metrics. A host name that resolves to several addresses (a headless service) means all.
        timeout_s: How long to wait for one facade.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float = 1.0) -> None:
        self._urls, self._timeout_s = tuple(urls), timeout_s

    async def read(self) -> Reading:
        """Ask all facades at once; one that is away is named and left out. Raises nothing."""
        raise NotImplementedError
