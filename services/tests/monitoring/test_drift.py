import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thale.monitoring.drift import compare_histograms, compare_to_reference, cumulative_probability
from thale.monitoring.histogram import Histogram

FALLING = Histogram((1.0, 2.0), (500, 300, 200))
RISING = Histogram((1.0, 2.0), (200, 300, 500))


def test_compare_histograms_equals_manual_calculation() -> None:
    # PSI: twice (0.5 - 0.2) ln(0.5 / 0.2), because the middle bin adds nothing. Chance: 2 (1/1000 + 1/1000).
    drift = compare_histograms(FALLING, RISING)
    assert drift.psi == pytest.approx(2 * 0.3 * math.log(2.5) - 2 * 0.002, abs=0.005)
    assert drift.ks == pytest.approx(0.3)
    assert drift.p_value < 1e-20


def test_psi_lower_bound_separates_drift_from_chance() -> None:
    rng = np.random.default_rng(3)
    edges = tuple(np.linspace(0, 1, 11)[1:-1])

    def binned(values: np.ndarray) -> Histogram:
        counts = np.bincount(np.searchsorted(edges, values), minlength=10)
        return Histogram(edges, tuple(int(count) for count in counts))

    def lower_bounds(low: float) -> list[float]:
        """Return the lower bounds of 100 samples of 20 series with 10 equal plates, against 40 plates."""
        return [
            compare_to_reference(
                binned(np.repeat(rng.uniform(low, 1, 20), 10)),
                tuple(np.quantile(rng.uniform(size=40), np.linspace(0, 1, 21))),
                40,
                cluster_size=10,
            ).psi_lower_bound
            for _ in range(100)
        ]

    assert sum(psi > 0.25 for psi in lower_bounds(0.0)) <= 10
    assert sum(psi > 0.25 for psi in lower_bounds(0.5)) >= 90


def test_compare_histograms_is_zero_for_same_distribution() -> None:
    assert compare_histograms(FALLING, FALLING) == compare_histograms(RISING, RISING)
    assert (compare_histograms(FALLING, FALLING).psi, compare_histograms(FALLING, FALLING).ks) == (0.0, 0.0)


def test_compare_histograms_has_less_evidence_for_clusters() -> None:
    assert compare_histograms(FALLING, RISING, cluster_size=50).p_value > compare_histograms(FALLING, RISING).p_value
    assert compare_histograms(FALLING, RISING, cluster_size=50).psi < compare_histograms(FALLING, RISING).psi


def test_cumulative_probability_interpolates_quantiles() -> None:
    quartiles = (0.0, 1.0, 1.0, 1.0, 5.0)  # half of the plates have exactly one plant
    assert cumulative_probability(quartiles, -1.0) == 0.0
    assert cumulative_probability(quartiles, 0.5) == pytest.approx(0.125)
    assert cumulative_probability(quartiles, 1.0) == 0.75
    assert cumulative_probability(quartiles, 3.0) == pytest.approx(0.875)
    assert cumulative_probability(quartiles, 9.0) == 1.0


def test_compare_to_reference_detects_different_sample() -> None:
    terciles = (0.0, 1.0, 2.0, 3.0)
    assert compare_to_reference(Histogram((1.0, 2.0), (100, 100, 100)), terciles, 40).psi == 0.0
    assert compare_to_reference(Histogram((1.0, 2.0), (290, 10, 0)), terciles, 40).psi > 0.25


@pytest.mark.slow
@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_compare_histograms_is_symmetric(observed: list[int], reference: list[int]) -> None:
    a, b = Histogram((1.0, 2.0, 3.0), tuple(observed)), Histogram((1.0, 2.0, 3.0), tuple(reference))
    if a.total and b.total:
        forward, backward = compare_histograms(a, b), compare_histograms(b, a)
        assert forward.psi == pytest.approx(backward.psi)
        assert forward.p_value == pytest.approx(backward.p_value)
        assert 0 <= forward.p_value <= 1


def test_compare_histograms_rejects_other_bins_and_empty_samples() -> None:
    with pytest.raises(ValueError, match="different bins"):
        compare_histograms(FALLING, Histogram((1.0,), (1, 2)))
    with pytest.raises(ValueError, match="without values"):
        compare_histograms(FALLING, Histogram((1.0, 2.0), (0, 0, 0)))
    with pytest.raises(ValueError, match="without values"):
        compare_to_reference(Histogram((1.0,), (0, 0)), (0.0, 1.0), 40)
