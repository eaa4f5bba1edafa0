import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thale.monitoring.drift import compare_histograms, compare_to_reference, cumulative_probability
from thale.monitoring.histogram import Histogram

FALLING = Histogram((1.0, 2.0), (500, 300, 200))
RISING = Histogram((1.0, 2.0), (200, 300, 500))


def test_psi_and_ks_of_two_small_tables_are_what_a_pencil_says() -> None:
    # PSI: (0.5 - 0.2) ln(0.5 / 0.2), twice, the middle bin adds nothing; less 2 bins (1/1000 + 1/1000) by chance.
    found = compare_histograms(FALLING, RISING)
    assert found.psi == pytest.approx(2 * 0.3 * math.log(2.5) - 2 * 0.002, abs=0.005)
    assert found.ks == pytest.approx(0.3)
    assert found.p_value < 1e-20


def test_a_certain_psi_is_rarely_large_by_chance_and_large_for_what_is_different() -> None:
    rng = np.random.default_rng(3)
    edges = tuple(np.linspace(0, 1, 11)[1:-1])

    def binned(values: np.ndarray) -> Histogram:
        counts = np.bincount(np.searchsorted(edges, values), minlength=10)
        return Histogram(edges, tuple(int(count) for count in counts))

    def found(low: float) -> list[float]:
        """What 100 looks at 20 series of 10 equal plates give, against 40 plates."""
        return [
            compare_to_reference(
                binned(np.repeat(rng.uniform(low, 1, 20), 10)),
                tuple(np.quantile(rng.uniform(size=40), np.linspace(0, 1, 21))),
                40,
                cluster_size=10,
            ).psi_lower_bound
            for _ in range(100)
        ]

    assert sum(psi > 0.25 for psi in found(0.0)) <= 10
    assert sum(psi > 0.25 for psi in found(0.5)) >= 90


def test_the_same_distribution_does_not_drift() -> None:
    assert compare_histograms(FALLING, FALLING) == compare_histograms(RISING, RISING)
    assert (compare_histograms(FALLING, FALLING).psi, compare_histograms(FALLING, FALLING).ks) == (0.0, 0.0)


def test_values_that_hang_together_say_less() -> None:
    assert compare_histograms(FALLING, RISING, cluster_size=50).p_value > compare_histograms(FALLING, RISING).p_value
    assert compare_histograms(FALLING, RISING, cluster_size=50).psi < compare_histograms(FALLING, RISING).psi


def test_a_reference_is_read_between_its_quantiles() -> None:
    quartiles = (0.0, 1.0, 1.0, 1.0, 5.0)  # half of the plates have exactly one plant
    assert cumulative_probability(quartiles, -1.0) == 0.0
    assert cumulative_probability(quartiles, 0.5) == pytest.approx(0.125)
    assert cumulative_probability(quartiles, 1.0) == 0.75
    assert cumulative_probability(quartiles, 3.0) == pytest.approx(0.875)
    assert cumulative_probability(quartiles, 9.0) == 1.0


def test_answers_like_the_reference_agree_with_it_and_others_do_not() -> None:
    terciles = (0.0, 1.0, 2.0, 3.0)
    assert compare_to_reference(Histogram((1.0, 2.0), (100, 100, 100)), terciles, 40).psi == 0.0
    assert compare_to_reference(Histogram((1.0, 2.0), (290, 10, 0)), terciles, 40).psi > 0.25


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_drift_is_the_same_from_both_sides(ours: list[int], theirs: list[int]) -> None:
    a, b = Histogram((1.0, 2.0, 3.0), tuple(ours)), Histogram((1.0, 2.0, 3.0), tuple(theirs))
    if a.total and b.total:
        there, back = compare_histograms(a, b), compare_histograms(b, a)
        assert there.psi == pytest.approx(back.psi)
        assert there.p_value == pytest.approx(back.p_value)
        assert 0 <= there.p_value <= 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="different bins"):
        compare_histograms(FALLING, Histogram((1.0,), (1, 2)))
    with pytest.raises(ValueError, match="without values"):
        compare_histograms(FALLING, Histogram((1.0, 2.0), (0, 0, 0)))
    with pytest.raises(ValueError, match="without values"):
        compare_to_reference(Histogram((1.0,), (0, 0)), (0.0, 1.0), 40)
