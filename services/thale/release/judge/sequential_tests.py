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
_PRIOR_MASS_AT_START = 0.5
_PRIOR_SCALE_BLOCKS = 300.0
_PRIOR_COUNT = 20.0
_PRIOR_RATE = 0.005
_TOLERANCE = 1e-13
_CACHE_SIZE = 1 << 16
_MAX_RATE, _MIN_RATE = 0.999, 1e-9
_NONINFERIORITY_BET = 0.6


@dataclass(frozen=True)
class Counts:
    """How many answers were bad, of how many."""

    bad: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad answers of {self.total}")

    @classmethod
    def from_counters(cls, bad: int, total: int) -> Self:
        """Return the tally of two counters that a scrape read one after the other: `bad` may be ahead by a few."""
        return cls(bad, max(bad, total))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.bad + other.bad, self.total + other.total)


NO_COUNTS = Counts()


@dataclass(frozen=True)
class Evidence:
    """What a test has seen so far: small, exact, and enough to go on after a restart."""

    canary: Counts = NO_COUNTS
    stable: Counts = NO_COUNTS
    pending_stable: Counts = NO_COUNTS
    """Stable answers since the canary's last block; they join its next one."""
    blocks: int = 0
    log_regressions: tuple[float | None, ...] = (None,) * len(LIFTS)
    """By alternative, the logarithm of what the beginnings so far have become. None: nothing yet."""
    log_noninferiority: float = 0.0
    score_sum: float = 0.0
    """Sum of the canary's scores, where a mean is tested."""

    @property
    def log_regression(self) -> float:
        """Logarithm of the e-value that the canary is worse by more than the margin."""
        started = [-math.inf if log is None else log for log in self.log_regressions]
        highest = max(*started, 0.0)
        mixture = sum(weight * math.exp(log - highest) for weight, log in zip(_LIFT_WEIGHTS, started, strict=True))
        return highest + math.log(mixture + _unstarted_weight(self.blocks) * math.exp(-highest))


@dataclass(frozen=True)
class RateTest:
    """Is the canary bad more often than the stable version, by more than a margin?

    Args:
        margin: Difference of rates that is no harm, in (0, 1).
        together: How many answers may hang together; 1: none do.
    """

    margin: float
    cluster_size: float = 1.0

    def update(self, evidence: Evidence, canary: Counts, stable: Counts) -> Evidence:
        """Return the evidence after the answers of another stretch of time.

        A block ends when the canary has answered; stable answers wait for it. Where the stable version has not
        answered at all since the canary's last block (it has no traffic any more), the canary is compared with what
        the stable version did before, taken from the bad side: (bad + 1) / (total + 2).
        """
        pending_stable = evidence.pending_stable + stable
        if not canary.total:
            return replace(evidence, pending_stable=pending_stable)
        e_values = self._e_values_against_stable if pending_stable.total else self._e_values_against_history
        log_regressions, log_noninferiority_step = e_values(evidence, canary, pending_stable)
        updated_log_regressions, log_noninferiority = _advance_evidence(
            evidence, log_regressions, log_noninferiority_step, self.cluster_size
        )
        totals = evidence.canary + canary, evidence.stable + pending_stable
        return Evidence(*totals, NO_COUNTS, evidence.blocks + 1, updated_log_regressions, log_noninferiority)

    def _e_values_against_stable(
        self, evidence: Evidence, canary: Counts, stable: Counts
    ) -> tuple[Sequence[float], float]:
        """Return the logarithms of a block's e-values: of harm by alternative, and of comfort."""
        stable_rate = _round_rate(_estimate_rate(evidence.stable, _PRIOR_RATE))
        pooled_rate = _round_rate(_estimate_rate(evidence.canary + evidence.stable, _PRIOR_RATE))
        return (
            _log_regressions(stable_rate, canary.bad, canary.total, stable.bad, stable.total, self.margin),
            _log_noninferiority(pooled_rate, canary.bad, canary.total, stable.bad, stable.total, self.margin),
        )

    def _e_values_against_history(self, evidence: Evidence, canary: Counts, _: Counts) -> tuple[Sequence[float], float]:
        limit = min((evidence.stable.bad + 1) / (evidence.stable.total + 2) + self.margin, _MAX_RATE)
        stable_rate = _estimate_rate(evidence.stable, 0.0)
        floor = min(stable_rate + self.margin, _MAX_RATE)
        canary_rate = max(min(_estimate_rate(evidence.canary, stable_rate), floor), _MIN_RATE)
        good = canary.total - canary.bad
        log_regressions = [
            _log_likelihood_ratio(_alternative_rate(limit, lift), limit, canary.bad, good) for lift in LIFTS
        ]
        return log_regressions, _log_likelihood_ratio(canary_rate, floor, canary.bad, good)


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

    min_mean: float
    cluster_size: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.floor < self.min_mean < 1:
            raise ValueError(f"the least mean {self.min_mean:g} must lie between {self.floor:g} and 1")

    def update(self, evidence: Evidence, scores: Sequence[float], counts: Sequence[int]) -> Evidence:
        """Return the evidence after more scores, each so often as counted."""
        total = sum(counts)
        if not total:
            return evidence
        score_counts = [
            (max(score_sum, self.floor), count) for score_sum, count in zip(scores, counts, strict=True) if count
        ]
        log_regressions = [self._log_growth(score_counts, lift / (1 - self.min_mean)) for lift in LIFTS]
        log_noninferiority_step = self._log_growth(score_counts, -_NONINFERIORITY_BET / (self.min_mean - self.floor))
        updated_log_regressions, log_noninferiority = _advance_evidence(
            evidence, log_regressions, log_noninferiority_step, self.cluster_size
        )
        score_sum = evidence.score_sum + math.fsum(score_sum * count for score_sum, count in score_counts)
        totals = evidence.canary + Counts(0, total)
        return Evidence(
            totals, NO_COUNTS, NO_COUNTS, evidence.blocks + 1, updated_log_regressions, log_noninferiority, score_sum
        )

    def _log_growth(self, score_counts: Sequence[tuple[float, int]], bet: float) -> float:
        return math.fsum(count * math.log1p(bet * (self.min_mean - score)) for score, count in score_counts)


def _advance_evidence(
    evidence: Evidence, log_regressions: Sequence[float], log_noninferiority: float, cluster_size: float
) -> tuple[tuple[float, ...], float]:
    """Return the logarithms of harm and comfort after a block's e-values."""
    start = math.log(_unstarted_weight(evidence.blocks) - _unstarted_weight(evidence.blocks + 1))
    updated = tuple(
        (start if log is None else _log_add(log, start)) + harm / cluster_size
        for log, harm in zip(evidence.log_regressions, log_regressions, strict=True)
    )
    return updated, evidence.log_noninferiority + log_noninferiority / cluster_size


@lru_cache(maxsize=_CACHE_SIZE)
def _log_regressions(stable_rate: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> tuple[float, ...]:
    """Return the logarithms of a block's e-values against H0: canary <= stable + margin, by alternative."""
    return tuple(
        _log_e_value(
            _alternative_rate(stable_rate + margin, lift), stable_rate, (bad_c, nc - bad_c), (bad_s, ns - bad_s), margin
        )
        for lift in LIFTS
    )


@lru_cache(maxsize=_CACHE_SIZE)
def _log_noninferiority(pooled_rate: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> float:
    """Return the logarithm of a block's e-value against H0: stable <= canary - margin, by the chance of no difference.

    The two change places: the stable version is now the one that is suspected, of being as bad as the canary.
    """
    return _log_e_value(pooled_rate, pooled_rate, (bad_s, ns - bad_s), (bad_c, nc - bad_c), -margin)


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


def _log_e_value(c: float, s: float, canary: tuple[int, int], stable: tuple[int, int], margin: float) -> float:
    """Return the logarithm of a block's e-value against H0: c <= s + margin. Answers are (bad, good)."""
    if c <= s + margin:
        return 0.0
    s0 = nearest_null(c, s, sum(canary), sum(stable), margin)
    return _log_likelihood_ratio(c, s0 + margin, *canary) + _log_likelihood_ratio(s, s0, *stable)


def _log_likelihood_ratio(rate: float, null: float, bad: int, good: int) -> float:
    """Return the logarithm of the likelihood of a rate over that of another."""
    of_bad = bad * math.log(rate / null) if bad else 0.0
    of_good = good * math.log((1 - rate) / (1 - null)) if good else 0.0
    return of_bad + of_good


def _alternative_rate(limit: float, lift: float) -> float:
    limit = min(limit, _MAX_RATE)
    return limit + lift * (1 - limit)


def _estimate_rate(counts: Counts, prior: float) -> float:
    """Return a rate learned from what was seen before: any guess is valid that does not look at the block itself."""
    return (counts.bad + prior * _PRIOR_COUNT) / (counts.total + _PRIOR_COUNT)


def _round_rate(rate: float) -> float:
    """Return a guess on a coarse scale, so that few nearest null hypotheses are to be found, in 1e-3 … 0.9."""
    return min(max(math.exp(round(6 * math.log(rate)) / 6), 1e-3), 0.9)


def _unstarted_weight(blocks: int) -> float:
    """Return the weight of the canary going bad after that many blocks: 1, then half, then ever less, never 0."""
    return 1.0 if not blocks else _PRIOR_MASS_AT_START * _PRIOR_SCALE_BLOCKS / (_PRIOR_SCALE_BLOCKS + blocks - 1)


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high + math.log1p(math.exp(low - high))
