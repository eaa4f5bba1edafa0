"""Drift between two histograms: effect size (PSI) and statistical significance (KS test).

PSI, the population stability index, is the symmetric Kullback-Leibler divergence of two binned distributions. It comes
from credit scoring (Siddiqi, Credit Risk Scorecards, 2006), where 0.1 is a small change and 0.25 a large one. Without a
difference, it is distributed as (1/n + 1/m) times a chi-square variable with B - 1 degrees of freedom, for B bins and
samples of n and m values (Yurdakul, Statistical Properties of Population Stability Index, 2018). The mean of this
distribution, or its
99 % quantile, is subtracted here (ADR 0027). KS is the two-sample test of Kolmogorov and Smirnov (Smirnov, Bull. Math.
Univ. Moscou 2, 1939) on binned values. Binning makes the test more conservative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, kolmogorov

from thale.monitoring.histogram import Histogram

_PSEUDOCOUNT = 0.5
_PSI_TAIL_PROBABILITY = 0.01


@dataclass(frozen=True)
class Drift:
    """PSI and KS statistics of two samples.

    `psi` is PSI minus its expected value under chance, at least 0. `ks` is the maximum distance between the two
    distribution functions, and `p_value` is the p-value of `ks`.
    """

    psi: float
    ks: float
    p_value: float
    psi_lower_bound: float
    """PSI minus its 99 % quantile under chance, at least 0, for repeated checks."""


def compare_histograms(observed: Histogram, reference: Histogram, cluster_size: float = 1.0) -> Drift:
    """Compare two histograms with the same bins. The result is symmetric.

    Args:
        observed: The first sample.
        reference: The second sample.
        cluster_size: Number of correlated values that count as one, in both samples.

    Raises:
        ValueError: If the bins differ, or if a histogram has no values.
    """
    if observed.edges != reference.edges:
        raise ValueError("histograms with different bins cannot be compared")
    if not observed.total or not reference.total:
        raise ValueError("a histogram without values cannot be compared")
    return _compare_counts(np.array(observed.counts_B, float), np.array(reference.counts_B, float), cluster_size)


def compare_to_reference(
    observed: Histogram, quantiles_Q: Sequence[float], reference_count: int, cluster_size: float = 1.0
) -> Drift:
    """Compare a histogram with a reference distribution.

    Args:
        observed: The sample.
        quantiles_Q: Quantiles of the reference at equal steps from 0 to 100 %, ascending.
        reference_count: Number of values from which the quantiles were computed.
        cluster_size: Number of correlated values in `observed` that count as one.

    Raises:
        ValueError: If the histogram has no values.
    """
    if not observed.total:
        raise ValueError("a histogram without values cannot be compared")
    expected_B = bin_probabilities(tuple(quantiles_Q), observed.edges) * reference_count * cluster_size
    return _compare_counts(np.array(observed.counts_B, float), expected_B, cluster_size)


@lru_cache(maxsize=256)
def bin_probabilities(quantiles_Q: tuple[float, ...], edges: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the probability of each bin, from quantiles at equal steps from 0 to 100 %."""
    return np.diff([0.0, *(cumulative_probability(quantiles_Q, edge) for edge in edges), 1.0])


def cumulative_probability(quantiles_Q: Sequence[float], bound: float) -> float:
    """Return the probability of values up to a bound: linear between quantiles, the highest level of equal ones."""
    levels_Q = np.linspace(0.0, 1.0, len(quantiles_Q))
    if bound < quantiles_Q[0]:
        return 0.0
    above = int(np.searchsorted(quantiles_Q, bound, side="right"))
    if above == len(quantiles_Q):
        return 1.0
    low, high = quantiles_Q[above - 1], quantiles_Q[above]
    return float(levels_Q[above - 1] + (bound - low) / (high - low) * (levels_Q[above] - levels_Q[above - 1]))


def _compare_counts(observed_B: NDArray[np.float64], reference_B: NDArray[np.float64], cluster_size: float) -> Drift:
    n, m = observed_B.sum(), reference_B.sum()
    used = (observed_B + reference_B) > 0
    p_B = (observed_B + _PSEUDOCOUNT)[used] / (n + _PSEUDOCOUNT * used.sum())
    q_B = (reference_B + _PSEUDOCOUNT)[used] / (m + _PSEUDOCOUNT * used.sum())
    effective_sizes = n / cluster_size, m / cluster_size
    degrees_of_freedom, chi2_scale = used.sum() - 1, 1 / effective_sizes[0] + 1 / effective_sizes[1]
    ks = float(np.abs(np.cumsum(observed_B) / n - np.cumsum(reference_B) / m).max())
    effective_size = effective_sizes[0] * effective_sizes[1] / sum(effective_sizes)
    psi = float(((p_B - q_B) * np.log(p_B / q_B)).sum())
    return Drift(
        psi=max(psi - float(degrees_of_freedom * chi2_scale), 0.0),
        ks=ks,
        p_value=float(kolmogorov(np.sqrt(effective_size) * ks)),
        psi_lower_bound=max(psi - float(chdtri(max(degrees_of_freedom, 1), _PSI_TAIL_PROBABILITY) * chi2_scale), 0.0),
    )
