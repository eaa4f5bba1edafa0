"""A day of traffic: a night's batch, people at desks, the lunch break, and the burst after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0
LOAD_PROFILE: Sequence[tuple[float, float]] = (
    (0.0, 0.45),  # the night's batch
    (5.0, 0.45),
    (5.25, 0.05),
    (7.5, 0.05),
    (9.0, 0.60),  # desks
    (12.0, 0.60),
    (12.25, 0.25),
    (13.0, 0.25),
    (13.05, 1.00),  # everybody is back within three minutes
    (14.0, 1.00),
    (14.25, 0.65),
    (17.0, 0.60),
    (18.5, 0.10),
    (21.75, 0.05),
    (22.0, 0.45),
    (24.0, 0.45),
)
"""Hour of the day, and the part of the day's greatest load; straight lines in between."""


@dataclass(frozen=True)
class Arrivals:
    """Requests in the order of time."""

    at_s: NDArray[np.float64]
    """Seconds since midnight; below zero for those before the day, which only fill the system."""
    size_class: NDArray[np.intp]
    """Index of the class of image size."""


def relative_load(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the load at times of the day as parts of its greatest."""
    hours, loads = np.array(LOAD_PROFILE).T
    return np.asarray(np.interp(at_s % DAY_S / 3600, hours, loads))


def sample_arrivals(
    rng: np.random.Generator, peak_rps: float, mix: Mapping[str, float], start_s: float = 0.0
) -> Arrivals:
    """Draw a day's requests: a Poisson process whose rate follows `SHAPE`, by inversion of its integral.

    Args:
        rng: Where the chance comes from.
        peak_rps: The rate in the busiest hour.
        mix: Share of each class of image size.
        begins_s: When to begin, 0 at midnight or below it.
    """
    grid = np.arange(start_s, DAY_S + 1, 10.0)
    rate = peak_rps * relative_load(grid)
    expected = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(grid))])
    count = rng.poisson(expected[-1])
    at_s = np.interp(np.sort(rng.uniform(0, expected[-1], count)), expected, grid)
    shares = np.array(list(mix.values()))
    return Arrivals(at_s, rng.choice(len(shares), count, p=shares / shares.sum()))
