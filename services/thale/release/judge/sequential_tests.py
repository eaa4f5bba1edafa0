"""Anytime-valid tests of a canary's rate of bad responses: the evidence may be evaluated after every response.

Every response is good or bad. The test compares the canary's rate of bad responses with stable's rate in the same
window, or with a known rate. It updates two e-processes:

regression      against H0: canary <= stable + margin. By Ville's inequality, P(it ever reaches 1/a) <= a under H0.
non-inferiority against H0: canary >= stable + margin. A large value shows that the canary is not worse by the margin.

The e-value of a block of `nc` canary and `ns` stable responses is a likelihood ratio. The numerator is an alternative
(c, s). The denominator is the nearest null hypothesis: the (c0, s0) that minimises nc KL(c||c0) + ns KL(s||s0).
References: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", J. Stat. Plan. Inference 230 (2024); for a margin, Turner and Grünwald, "Exact
anytime-valid confidence intervals for contingency tables and beyond", Stat. Probab. Lett. 198 (2023).

The e-value is valid for blocks of any size. The logarithm of its expectation under true rates (p, q) is
nc log E_p[fc] + ns log E_q[fs]. This is concave in (p, q) and 0 at (c0, s0), and the null hypothesis is convex. Since
(c0, s0) is the nearest point, no direction into the null hypothesis increases the expectation.
The rates may change from block to block, as long as they change for both versions.

Alternatives are averaged, because a mixture of e-processes is an e-process. The change points at which the canary may
have regressed are averaged as well. Half of the weight is on the start, and the rest is on later blocks, summed as
Shiryaev and Roberts did. See Shin, Ramdas and Rinaldo, "E-detectors", New England J. Stat. Data Sci. 2 (2024). A late
regression is therefore detected in spite of good observations before it.

Plates of one series are correlated. For clusters of up to m responses, the m-th root of every e-value is valid over
whole clusters under any dependence: E[prod f_i^(1/m)] <= prod E[f_i]^(1/m) <= 1 (Hölder's inequality).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

LIFTS = (0.97, 0.7, 0.4, 0.2, 0.1, 0.05, 0.02)
"""Alternatives, as positions of the canary's rate between stable's rate plus the margin (0) and 1 (1)."""

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
    """Numbers of bad and of all responses."""

    bad: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad of {self.total} responses is impossible")

    @classmethod
    def from_counters(cls, bad: int, total: int) -> Self:
        """Return the counts of two counters. A scrape reads them one after the other, so `bad` may exceed `total`."""
        return cls(bad, max(bad, total))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.bad + other.bad, self.total + other.total)


NO_COUNTS = Counts()


@dataclass(frozen=True)
class Evidence:
    """State of a test: sufficient to resume it after a restart."""

    canary: Counts = NO_COUNTS
    stable: Counts = NO_COUNTS
    pending_stable: Counts = NO_COUNTS
    """Stable responses since the last block. They become part of the next block."""
    blocks: int = 0
    log_regressions: tuple[float | None, ...] = (None,) * len(LIFTS)
    """By alternative, the log e-value summed over the change points so far. None: no block yet."""
    log_noninferiority: float = 0.0
    score_sum: float = 0.0
    """Sum of the canary's scores, for a `MeanTest`."""

    @property
    def log_regression(self) -> float:
        """Log e-value against "not worse than stable by more than the margin"."""
        started = [-math.inf if log is None else log for log in self.log_regressions]
        highest = max(*started, 0.0)
        mixture = sum(weight * math.exp(log - highest) for weight, log in zip(_LIFT_WEIGHTS, started, strict=True))
        return highest + math.log(mixture + _unstarted_weight(self.blocks) * math.exp(-highest))


@dataclass(frozen=True)
class RateTest:
    """Test of the canary's rate of bad responses against stable's rate plus a margin.

    Args:
        margin: Non-inferiority margin, as a difference of rates in (0, 1).
        cluster_size: Maximum number of correlated responses. 1: all are independent.
    """

    margin: float
    cluster_size: float = 1.0

    def update(self, evidence: Evidence, canary: Counts, stable: Counts) -> Evidence:
        """Return the evidence with the responses of another window added.

        Responses of the canary complete a block. Until then, stable's responses are pending. If stable had no
        responses since the last block (it no longer has traffic), the canary is compared with stable's earlier rate.
        The estimate is (bad + 1) / (total + 2) for regression, and the smaller bad / (total + 20) for non-inferiority.
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
        """Return a block's log e-values: of regression by alternative, and of non-inferiority."""
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
    """Test of the mean of a score in [0, 1] against a minimum.

    Testing by betting (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat.
    Soc. B 86, 2024): prod (1 + bet (min_mean - x)) is an e-process against H0: mean >= min_mean, for any bet in
    [0, 1 / (1 - min_mean)]. With the opposite sign, and a bet of up to 1 / (min_mean - floor), it is an e-process
    against H0: mean <= min_mean. Bets on a regression are averaged. A higher floor allows higher bets on
    non-inferiority, so lower scores are clipped to the floor.

    Args:
        min_mean: Minimum acceptable mean, between the floor and 1.
        cluster_size: Maximum number of correlated scores. 1: all are independent.
        floor: Lower scores are clipped to this value.
    """

    min_mean: float
    cluster_size: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.floor < self.min_mean < 1:
            raise ValueError(f"the minimum mean {self.min_mean:g} is not between {self.floor:g} and 1")

    def update(self, evidence: Evidence, scores: Sequence[float], counts: Sequence[int]) -> Evidence:
        """Return the evidence with scores added, each with its count."""
        total = sum(counts)
        if not total:
            return evidence
        score_counts = [(max(score, self.floor), count) for score, count in zip(scores, counts, strict=True) if count]
        log_regressions = [self._log_growth(score_counts, lift / (1 - self.min_mean)) for lift in LIFTS]
        log_noninferiority_step = self._log_growth(score_counts, -_NONINFERIORITY_BET / (self.min_mean - self.floor))
        updated_log_regressions, log_noninferiority = _advance_evidence(
            evidence, log_regressions, log_noninferiority_step, self.cluster_size
        )
        score_sum = evidence.score_sum + math.fsum(score * count for score, count in score_counts)
        totals = evidence.canary + Counts(0, total)
        return Evidence(
            totals, NO_COUNTS, NO_COUNTS, evidence.blocks + 1, updated_log_regressions, log_noninferiority, score_sum
        )

    def _log_growth(self, score_counts: Sequence[tuple[float, int]], bet: float) -> float:
        return math.fsum(count * math.log1p(bet * (self.min_mean - score)) for score, count in score_counts)


def _advance_evidence(
    evidence: Evidence, log_regressions: Sequence[float], log_noninferiority: float, cluster_size: float
) -> tuple[tuple[float, ...], float]:
    """Return the log e-values of regression and non-inferiority after a block."""
    start = math.log(_unstarted_weight(evidence.blocks) - _unstarted_weight(evidence.blocks + 1))
    updated = tuple(
        (start if log is None else _log_add(log, start)) + log_growth / cluster_size
        for log, log_growth in zip(evidence.log_regressions, log_regressions, strict=True)
    )
    return updated, evidence.log_noninferiority + log_noninferiority / cluster_size


@lru_cache(maxsize=_CACHE_SIZE)
def _log_regressions(stable_rate: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> tuple[float, ...]:
    """Return a block's log e-values against H0: canary <= stable + margin, by alternative."""
    return tuple(
        _log_e_value(
            _alternative_rate(stable_rate + margin, lift), stable_rate, (bad_c, nc - bad_c), (bad_s, ns - bad_s), margin
        )
        for lift in LIFTS
    )


@lru_cache(maxsize=_CACHE_SIZE)
def _log_noninferiority(pooled_rate: float, bad_c: int, nc: int, bad_s: int, ns: int, margin: float) -> float:
    """Return a block's log e-value against H0: stable <= canary - margin, for the alternative of equal rates.

    Canary and stable are swapped: the null hypothesis bounds stable's rate by the canary's.
    """
    return _log_e_value(pooled_rate, pooled_rate, (bad_s, ns - bad_s), (bad_c, nc - bad_c), -margin)


def nearest_null(c: float, s: float, nc: int, ns: int, margin: float) -> float:
    """Return s0 of the null hypothesis (s0 + margin, s0) nearest to the alternative (c, s).

    The derivative of nc KL(c||s0 + margin) + ns KL(s||s0) increases with s0, is negative at s, and positive at
    c - margin. Its zero is found by Newton's method, with bisection for steps that leave the bracket.
    """
    low, high = max(s, -margin), min(c - margin, 1.0, 1.0 - margin)
    s0, previous = 0.5 * (low + high), math.inf
    while abs(s0 - previous) > _TOLERANCE:
        c0, previous = s0 + margin, s0
        slope = nc * ((1 - c) / (1 - c0) - c / c0) + ns * ((1 - s) / (1 - s0) - s / s0)
        curvature = nc * ((1 - c) / (1 - c0) ** 2 + c / c0**2) + ns * ((1 - s) / (1 - s0) ** 2 + s / s0**2)
        low, high = (s0, high) if slope < 0 else (low, s0)
        s0 -= slope / curvature
        if not low < s0 < high:
            s0 = 0.5 * (low + high)
    return s0


def _log_e_value(c: float, s: float, canary: tuple[int, int], stable: tuple[int, int], margin: float) -> float:
    """Return a block's log e-value against H0: c <= s + margin. Responses are (bad, good)."""
    if c <= s + margin:
        return 0.0
    s0 = nearest_null(c, s, sum(canary), sum(stable), margin)
    return _log_likelihood_ratio(c, s0 + margin, *canary) + _log_likelihood_ratio(s, s0, *stable)


def _log_likelihood_ratio(rate: float, null: float, bad: int, good: int) -> float:
    """Return the log likelihood ratio of a rate over a null rate."""
    bad_term = bad * math.log(rate / null) if bad else 0.0
    good_term = good * math.log((1 - rate) / (1 - null)) if good else 0.0
    return bad_term + good_term


def _alternative_rate(limit: float, lift: float) -> float:
    limit = min(limit, _MAX_RATE)
    return limit + lift * (1 - limit)


def _estimate_rate(counts: Counts, prior: float) -> float:
    """Estimate a rate from earlier blocks. Any estimate that is independent of the current block is valid."""
    return (counts.bad + prior * _PRIOR_COUNT) / (counts.total + _PRIOR_COUNT)


def _round_rate(rate: float) -> float:
    """Round a rate to a coarse scale in [1e-3, 0.9], so that the cache of nearest null hypotheses is effective."""
    return min(max(math.exp(round(6 * math.log(rate)) / 6), 1e-3), 0.9)


def _unstarted_weight(blocks: int) -> float:
    """Return the prior weight of a regression after this many blocks: 1, then 0.5, then decreasing, never 0."""
    return 1.0 if not blocks else _PRIOR_MASS_AT_START * _PRIOR_SCALE_BLOCKS / (_PRIOR_SCALE_BLOCKS + blocks - 1)


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high + math.log1p(math.exp(low - high))
