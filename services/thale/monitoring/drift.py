"""How different two distributions are, read off their histograms: in size (PSI), and beyond chance (KS).

PSI, the population stability index, is the symmetric Kullback-Leibler divergence of two binned distributions, known
from credit scoring (Siddiqi, Credit Risk Scorecards, 2006), where 0.1 is little and 0.25 much. Without any difference
it is distributed as (1/n + 1/m) times a chi-square with B - 1 degrees of freedom, for B bins and n and m values
(Yurdakul, Statistical Properties of Population Stability Index, 2018): its mean, or what it exceeds once in a hundred
cases, is taken off here. KS is the two-sample test of Kolmogorov and Smirnov (Smirnov, Bull. Math. Univ. Moscou 2,
1939) on what the bins show, which can only make it more careful.
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
    """`psi` less what chance alone gives; `ks` the largest distance of the two distribution functions; its p-value."""

    psi: float
    ks: float
    p_value: float
    psi_lower_bound: float
    """Less what chance gives in 99 of 100 cases: what a figure needs that is looked at every day."""


def compare_histograms(ours: Histogram, theirs: Histogram, cluster_size: float = 1.0) -> Drift:
    """Compare two histograms of the same bins.

    Args:
        ours: One sample.
        theirs: The other.
        together: How many values count as one, because they hang together.

    Raises:
        ValueError: If the bins differ or one has no values.
    """
    if ours.edges != theirs.edges:
        raise ValueError("histograms of different bins cannot be compared")
    if not ours.total or not theirs.total:
        raise ValueError("a histogram without values cannot be compared")
    return _compare_counts(np.array(ours.counts_B, float), np.array(theirs.counts_B, float), cluster_size)


def compare_to_reference(
    ours: Histogram, quantiles_Q: Sequence[float], reference_count: int, cluster_size: float = 1.0
) -> Drift:
    """Compare a histogram with a distribution of which quantiles at equal steps from 0 to 100 % are known.

    Args:
        ours: The sample.
        quantiles_Q: The quantiles, growing.
        values: From how many values they come.
        together: How many of ours count as one, because they hang together.

    Raises:
        ValueError: If the histogram has no values.
    """
    if not ours.total:
        raise ValueError("a histogram without values cannot be compared")
    expected_B = bin_probabilities(tuple(quantiles_Q), ours.edges) * reference_count * cluster_size
    return _compare_counts(np.array(ours.counts_B, float), expected_B, cluster_size)


@lru_cache(maxsize=256)
def bin_probabilities(quantiles_Q: tuple[float, ...], edges: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the share of values in each bin, from quantiles at equal steps from 0 to 100 %."""
    return np.diff([0.0, *(cumulative_probability(quantiles_Q, edge) for edge in edges), 1.0])


def cumulative_probability(quantiles_Q: Sequence[float], bound: float) -> float:
    """Return the share of values up to a bound: linear between quantiles; of equal ones, the highest level."""
    levels_Q = np.linspace(0.0, 1.0, len(quantiles_Q))
    if bound < quantiles_Q[0]:
        return 0.0
    above = int(np.searchsorted(quantiles_Q, bound, side="right"))
    if above == len(quantiles_Q):
        return 1.0
    low, high = quantiles_Q[above - 1], quantiles_Q[above]
    return float(levels_Q[above - 1] + (bound - low) / (high - low) * (levels_Q[above] - levels_Q[above - 1]))


def _compare_counts(ours_B: NDArray[np.float64], theirs_B: NDArray[np.float64], cluster_size: float) -> Drift:
    n, m = ours_B.sum(), theirs_B.sum()
    used = (ours_B + theirs_B) > 0
    p_B = (ours_B + _PSEUDOCOUNT)[used] / (n + _PSEUDOCOUNT * used.sum())
    q_B = (theirs_B + _PSEUDOCOUNT)[used] / (m + _PSEUDOCOUNT * used.sum())
    effective_sizes = n / cluster_size, m / cluster_size
    degrees_of_freedom, chi2_scale = used.sum() - 1, 1 / effective_sizes[0] + 1 / effective_sizes[1]
    ks = float(np.abs(np.cumsum(ours_B) / n - np.cumsum(theirs_B) / m).max())
    effective_size = effective_sizes[0] * effective_sizes[1] / sum(effective_sizes)
    psi = float(((p_B - q_B) * np.log(p_B / q_B)).sum())
    return Drift(
        psi=max(psi - float(degrees_of_freedom * chi2_scale), 0.0),
        ks=ks,
        p_value=float(kolmogorov(np.sqrt(effective_size) * ks)),
        psi_lower_bound=max(psi - float(chdtri(max(degrees_of_freedom, 1), _PSI_TAIL_PROBABILITY) * chi2_scale), 0.0),
    )
