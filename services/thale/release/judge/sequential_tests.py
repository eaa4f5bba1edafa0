"""Always-valid tests of "is the canary bad more often?": evidence that may be looked at after every answer.

Every answer is good or bad. The canary's rate of bad ones is compared with the stable version's of the same moments
(or with a known level), and two e-processes are kept:

harm     against H0: canary <= stable + margin. By Ville's inequality, P(it ever reaches 1/a) <= a under H0.
comfort  against H0: canary >= stable + margin. When it is large, the canary is not worse by more than the margin.

The e-value of a block of `nc` canary and `ns` stable answers is the likelihood of an alternative (c, s) over that of
the null hypothesis nearest to it, the (c0, s0) that minimises nc KL(c||c0) + ns KL(s||s0): Turner, Ly and Grünwald,
"Generic E-variables for exact sequential k-sample tests that allow for optional stopping", J. Stat. Plan. Inference 230
(2024); for a margin, Turner and Grünwald, "Exact anytime-valid confidence intervals for contingency tables and beyond",
Stat. Probab. Lett. 198 (2023). Why it is valid for blocks of any size: the logarithm of its expectation under true
rates (p, q) is nc log E_p[fc] + ns log E_q[fs], concave in (p, q) and 0 at (c0, s0); the null hypothesis is convex; and
(c0, s0) being nearest says just that no direction into the null hypothesis leads upwards.
The rates may change from block to block, as long as they change for both versions.

Alternatives are averaged (a mixture is an e-process as well), and so are the moments at which the canary may have gone
bad: half of the weight lies on the beginning, the rest on later blocks, summed as Shiryaev and Roberts did; see Shin,
Ramdas and Rinaldo, "E-detectors", New England J. Stat. Data Sci. 2 (2024). So a canary that goes bad late is not
excused by its good beginning.

Plates of one series resemble each other. If at most m answers hang together, the m-th root of every e-value is valid
over whole series, whatever the dependence: E[prod f_i^(1/m)] <= prod E[f_i]^(1/m) <= 1 (Hölder's inequality).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

LIFTS = (0.97, 0.7, 0.4, 0.2, 0.1, 0.05, 0.02)
"""The alternatives: how much of the way from the margin to "always bad" the canary has gone."""

_LIFT_WEIGHTS = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
_FROM_THE_START = 0.5
_LATER_BLOCKS = 300.0
_PRIOR_ANSWERS = 20.0
_PRIOR_RATE = 0.005
_TOLERANCE = 1e-13
_REMEMBERED = 1 << 16
_ALMOST_ALWAYS, _ALMOST_NEVER = 0.999, 1e-9
_COMFORT_BET = 0.6


@dataclass(frozen=True)
class Tally:
    """How many answers were bad, of how many."""

    bad: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad answers of {self.total}")

    @classmethod
    def read(cls, bad: int, total: int) -> Self:
        """Return the tally of two counters that a scrape read one after the other: `bad` may be ahead by a few."""
        return cls(bad, max(bad, total))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.bad + other.bad, self.total + other.total)


NOTHING = Tally()


@dataclass(frozen=True)
class Evidence:
    """What a test has seen so far: small, exact, and enough to go on after a restart."""

    canary: Tally = NOTHING
    stable: Tally = NOTHING
    waiting: Tally = NOTHING
    """Stable answers since the canary's last block; they join its next one."""
    blocks: int = 0
    log_harms: tuple[float | None, ...] = (None,) * len(LIFTS)
    """By alternative, the logarithm of what the beginnings so far have become. None: nothing yet."""
    log_comfort: float = 0.0
    score: float = 0.0
    """Sum of the canary's scores, where a mean is tested."""

    @property
    def log_harm(self) -> float:
        """Logarithm of the e-value that the canary is worse by more than the margin."""
        started = [-math.inf if log is None else log for log in self.log_harms]
        highest = max(*started, 0.0)
        mixture = sum(weight * math.exp(log - highest) for weight, log in zip(_LIFT_WEIGHTS, started, strict=True))
        return highest + math.log(mixture + _unstarted(self.blocks) * math.exp(-highest))


@dataclass(frozen=True)
class RateTest:
    """Is the canary bad more often than the stable version, by more than a margin?

    Args:
        margin: Difference of rates that is no harm, in (0, 1).
        together: How many answers may hang together; 1: none do.
    """

    margin: float
    together: float = 1.0

    def heard(self, evidence: Evidence, canary: Tally, stable: Tally) -> Evidence:
        """Return the evidence after the answers of another stretch of time.

        A block ends when the canary has answered; stable answers wait for it. Where the stable version has not
        answered at all since the canary's last block (it has no traffic any more), the canary is compared with what
        the stable version did before, taken from the bad side: (bad + 1) / (total + 2).
        """
        waiting = evidence.waiting + stable
        if not canary.total:
            return replace(evidence, waiting=waiting)
        beside = self._against_stable if waiting.total else self._against_its_past
        harms, comfort = beside(evidence, canary, waiting)
        logs, log_comfort = _advanced(evidence, harms, comfort, self.together)
        seen = evidence.canary + canary, evidence.stable + waiting
        return Evidence(*seen, NOTHING, evidence.blocks + 1, logs, log_comfort)

    def _against_stable(self, evidence: Evidence, canary: Tally, stable: Tally) -> tuple[Sequence[float], float]:
        """Return the logarithms of a block's e-values: of harm by alternative, and of comfort."""
        usual = _rounded(_learned(evidence.stable, _PRIOR_RATE))
        both = _rounded(_learned(evidence.canary + evidence.stable, _PRIOR_RATE))
        return (
            _log_harms(usual, canary.bad, canary.total, stable.bad, stable.total, self.margin),
            _log_comfort(both, canary.bad, canary.total, stable.bad, stable.total, self.margin),
        )

    def _against_its_past(self, evidence: Evidence, canary: Tally, _: Tally) -> tuple[Sequence[float], float]:
        limit = min((evidence.stable.bad + 1) / (evidence.stable.total + 2) + self.margin, _ALMOST_ALWAYS)
        usual = _learned(evidence.stable, 0.0)
        floor = min(usual + self.margin, _ALMOST_ALWAYS)
        hoped = max(min(_learned(evidence.canary, usual), floor), _ALMOST_NEVER)
        good = canary.total - canary.bad
        harms = [_log_ratio(_lifted(limit, lift), limit, canary.bad, good) for lift in LIFTS]
        return harms, _log_ratio(hoped, floor, canary.bad, good)


@dataclass(frozen=True)
class MeanTest:
    """Is the mean of a score in 0 … 1 lower than it should be?

    Testing by betting (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat.
    Soc. B 86, 2024): prod (1 + bet (least - x)) is an e-process against H0: mean >= least, for any bet in
    [0, 1 / (1 - least)], and with the sign turned, up to 1 / (least - floor), against H0: mean <= least. Bets on harm
    are averaged. The higher the floor, the more can be bet on comfort; so scores below it count as the floor.

    Args:
        least: The mean that is still good, between the floor and 1.
        together: How many scores may hang together; 1: none do.
        floor: Scores are cut off there.
    """

    least: float
    together: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.floor < self.least < 1:
            raise ValueError(f"the least mean {self.least:g} must lie between {self.floor:g} and 1")

    def heard(self, evidence: Evidence, scores: Sequence[float], counts: Sequence[int]) -> Evidence:
        """Return the evidence after more scores, each so often as counted."""
        total = sum(counts)
        if not total:
            return evidence
        seen = [(max(score, self.floor), count) for score, count in zip(scores, counts, strict=True) if count]
        harms = [self._log_growth(seen, lift / (1 - self.least)) for lift in LIFTS]
        comfort = self._log_growth(seen, -_COMFORT_BET / (self.least - self.floor))
        logs, log_comfort = _advanced(evidence, harms, comfort, self.together)
        score = evidence.score + math.fsum(score * count for score, count in seen)
        scored = evidence.canary + Tally(0, total)
        return Evidence(scored, NOTHING, NOTHING, evidence.blocks + 1, logs, log_comfort, score)

    def _log_growth(self, seen: Sequence[tuple[float, int]], bet: float) -> float:
        return math.fsum(count * math.log1p(bet * (self.least - score)) for score, count in seen)


def _advanced(
    evidence: Evidence, harms: Sequence[float], comfort: float, together: float
) -> tuple[tuple[float, ...], float]:
    """Return the logarithms of harm and comfort after a block's e-values."""
    start = math.log(_unstarted(evidence.blocks) - _unstarted(evidence.blocks + 1))
    logs = tuple(
        (start if log is None else _log_add(log, start)) + harm / together
        for log, harm in zip(evidence.log_harms, harms, strict=True)
    )
    return logs, evidence.log_comfort + comfort / together


@lru_cache(maxsize=_REMEMBERED)
def _log_harms(usual: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> tuple[float, ...]:
    """Return the logarithms of a block's e-values against H0: canary <= stable + margin, by alternative."""
    return tuple(
        _log_e(_lifted(usual + margin, lift), usual, (bad_c, nc - bad_c), (bad_s, ns - bad_s), margin) for lift in LIFTS
    )


@lru_cache(maxsize=_REMEMBERED)
def _log_comfort(both: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> float:
    """Return the logarithm of a block's e-value against H0: stable <= canary - margin, by the chance of no difference.

    The two change places: the stable version is now the one that is suspected, of being as bad as the canary.
    """
    return _log_e(both, both, (bad_s, ns - bad_s), (bad_c, nc - bad_c), -margin)


def nearest_null(c: float, s: float, nc: int, ns: int, margin: float) -> float:
    """Return s0 of the null hypothesis (s0 + margin, s0) that is nearest to the alternative (c, s).

    The derivative of nc KL(c||s0 + margin) + ns KL(s||s0) grows with s0, is negative at s and positive at c - margin.
    Newton's steps towards its zero, or half of what is left where they would lead outside.
    """
    low, high = max(s, -margin), min(c - margin, 1.0, 1.0 - margin)
    s0, before = 0.5 * (low + high), math.inf
    while abs(s0 - before) > _TOLERANCE:
        c0, before = s0 + margin, s0
        slope = nc * ((1 - c) / (1 - c0) - c / c0) + ns * ((1 - s) / (1 - s0) - s / s0)
        curvature = nc * ((1 - c) / (1 - c0) ** 2 + c / c0**2) + ns * ((1 - s) / (1 - s0) ** 2 + s / s0**2)
        low, high = (s0, high) if slope < 0 else (low, s0)
        s0 -= slope / curvature
        if not low < s0 < high:
            s0 = 0.5 * (low + high)
    return s0


def _log_e(c: float, s: float, canary: tuple[int, int], stable: tuple[int, int], margin: float) -> float:
    """Return the logarithm of a block's e-value against H0: c <= s + margin. Answers are (bad, good)."""
    if c <= s + margin:
        return 0.0
    s0 = nearest_null(c, s, sum(canary), sum(stable), margin)
    return _log_ratio(c, s0 + margin, *canary) + _log_ratio(s, s0, *stable)


def _log_ratio(rate: float, null: float, bad: int, good: int) -> float:
    """Return the logarithm of the likelihood of a rate over that of another."""
    of_bad = bad * math.log(rate / null) if bad else 0.0
    of_good = good * math.log((1 - rate) / (1 - null)) if good else 0.0
    return of_bad + of_good


def _lifted(limit: float, lift: float) -> float:
    limit = min(limit, _ALMOST_ALWAYS)
    return limit + lift * (1 - limit)


def _learned(seen: Tally, prior: float) -> float:
    """Return a rate learned from what was seen before: any guess is valid that does not look at the block itself."""
    return (seen.bad + prior * _PRIOR_ANSWERS) / (seen.total + _PRIOR_ANSWERS)


def _rounded(rate: float) -> float:
    """Return a guess on a coarse scale, so that few nearest null hypotheses are to be found, in 1e-3 … 0.9."""
    return min(max(math.exp(round(6 * math.log(rate)) / 6), 1e-3), 0.9)


def _unstarted(blocks: int) -> float:
    """Return the weight of the canary going bad after that many blocks: 1, then half, then ever less, never 0."""
    return 1.0 if not blocks else _FROM_THE_START * _LATER_BLOCKS / (_LATER_BLOCKS + blocks - 1)


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high + math.log1p(math.exp(low - high))
