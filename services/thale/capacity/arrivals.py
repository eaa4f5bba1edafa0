"""Daily traffic profile: a nightly batch, office hours, the lunch break, and the burst after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0
LOAD_PROFILE: Sequence[tuple[float, float]] = (
    (0.0, 0.45),  # nightly batch
    (5.0, 0.45),
    (5.25, 0.05),
    (7.5, 0.05),
    (9.0, 0.60),  # office hours
    (12.0, 0.60),
    (12.25, 0.25),
    (13.0, 0.25),
    (13.05, 1.00),  # all users return within three minutes
    (14.0, 1.00),
    (14.25, 0.65),
    (17.0, 0.60),
    (18.5, 0.10),
    (21.75, 0.05),
    (22.0, 0.45),
    (24.0, 0.45),
)
"""Hour of the day, and the load relative to the day's peak, with linear interpolation."""


@dataclass(frozen=True)
class Arrivals:
    """Requests in order of arrival."""

    at_s: NDArray[np.float64]
    """Seconds since midnight. Negative for the warm-up before the day, which only fills the system."""
    size_class: NDArray[np.intp]
    """Index of the size class."""


def relative_load(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the load at times of the day, relative to its peak."""
    hours, loads = np.array(LOAD_PROFILE).T
    return np.asarray(np.interp(at_s % DAY_S / 3600, hours, loads))


def sample_arrivals(
    rng: np.random.Generator, peak_rps: float, mix: Mapping[str, float], start_s: float = 0.0
) -> Arrivals:
    """Sample a day's requests: a Poisson process whose rate follows `LOAD_PROFILE`, by inversion of its integral.

    Args:
        rng: Random generator.
        peak_rps: Rate in the busiest hour, in requests per second.
        mix: Share of each size class.
        start_s: Start of the process; 0 is midnight, negative values are before it.
    """
    grid = np.arange(start_s, DAY_S + 1, 10.0)
    rate = peak_rps * relative_load(grid)
    expected = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(grid))])
    count = rng.poisson(expected[-1])
    at_s = np.interp(np.sort(rng.uniform(0, expected[-1], count)), expected, grid)
    shares = np.array(list(mix.values()))
    return Arrivals(at_s, rng.choice(len(shares), count, p=shares / shares.sum()))
