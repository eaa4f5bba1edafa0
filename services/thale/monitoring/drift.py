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

from thale.monitoring.histogram import Binned

_HALF_A_VALUE = 0.5
_RARE = 0.01


@dataclass(frozen=True)
class Drift:
    """`psi` less what chance alone gives; `ks` the largest distance of the two distribution functions; its p-value."""

    psi: float
    ks: float
    p_value: float
    certain_psi: float
    """Less what chance gives in 99 of 100 cases: what a figure needs that is looked at every day."""


def compare(ours: Binned, theirs: Binned, together: float = 1.0) -> Drift:
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
    return _compare(np.array(ours.counts_B, float), np.array(theirs.counts_B, float), together)


def against_quantiles(ours: Binned, quantiles_Q: Sequence[float], values: int, together: float = 1.0) -> Drift:
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
    expected_B = shares(tuple(quantiles_Q), ours.edges) * values * together
    return _compare(np.array(ours.counts_B, float), expected_B, together)


@lru_cache(maxsize=256)
def shares(quantiles_Q: tuple[float, ...], edges: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the share of values in each bin, from quantiles at equal steps from 0 to 100 %."""
    return np.diff([0.0, *(share_at_most(quantiles_Q, edge) for edge in edges), 1.0])


def share_at_most(quantiles_Q: Sequence[float], bound: float) -> float:
    """Return the share of values up to a bound: linear between quantiles; of equal ones, the highest level."""
    levels_Q = np.linspace(0.0, 1.0, len(quantiles_Q))
    if bound < quantiles_Q[0]:
        return 0.0
    above = int(np.searchsorted(quantiles_Q, bound, side="right"))
    if above == len(quantiles_Q):
        return 1.0
    low, high = quantiles_Q[above - 1], quantiles_Q[above]
    return float(levels_Q[above - 1] + (bound - low) / (high - low) * (levels_Q[above] - levels_Q[above - 1]))


def _compare(ours_B: NDArray[np.float64], theirs_B: NDArray[np.float64], together: float) -> Drift:
    n, m = ours_B.sum(), theirs_B.sum()
    used = (ours_B + theirs_B) > 0
    p_B = (ours_B + _HALF_A_VALUE)[used] / (n + _HALF_A_VALUE * used.sum())
    q_B = (theirs_B + _HALF_A_VALUE)[used] / (m + _HALF_A_VALUE * used.sum())
    independent = n / together, m / together
    bins_apart, chance = used.sum() - 1, 1 / independent[0] + 1 / independent[1]
    distance = float(np.abs(np.cumsum(ours_B) / n - np.cumsum(theirs_B) / m).max())
    size = independent[0] * independent[1] / sum(independent)
    psi = float(((p_B - q_B) * np.log(p_B / q_B)).sum())
    return Drift(
        psi=max(psi - float(bins_apart * chance), 0.0),
        ks=distance,
        p_value=float(kolmogorov(np.sqrt(size) * distance)),
        certain_psi=max(psi - float(chdtri(max(bins_apart, 1), _RARE) * chance), 0.0),
    )
