"""Tests of the e-processes: error rates under the null hypotheses, and detection."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thale.release.judge.sequential_tests import (
    NO_COUNTS,
    Counts,
    Evidence,
    MeanTest,
    RateTest,
    _log_e_value,
    nearest_null,
)

LOG_20 = math.log(20)


def sample_counts(rng: np.random.Generator, total: int, rate: float) -> Counts:
    return Counts(int(rng.binomial(total, rate)), total)


def test_nearest_null_is_the_weighted_mean_without_margin() -> None:
    # c = 0.8, s = 0.2, no margin: 0.5 by symmetry. With 3 stable responses per canary response: the mean, 0.35.
    assert nearest_null(0.8, 0.2, 1, 1, 0.0) == pytest.approx(0.5)
    assert nearest_null(0.8, 0.2, 1, 3, 0.0) == pytest.approx((0.8 + 3 * 0.2) / 4)


@given(
    st.floats(0.001, 0.6), st.floats(0.0, 0.97), st.integers(1, 50), st.integers(1, 500), st.sampled_from([0.01, 0.1])
)
def test_e_value_expectation_is_at_most_one_under_the_null(
    s: float, lift: float, nc: int, ns: int, margin: float
) -> None:
    c = s + margin + (0.99 - s - margin) * lift
    s0 = nearest_null(c, s, nc, ns, margin)
    c0 = s0 + margin
    for q in np.linspace(0.0, 1.0 - margin, 12):
        for p in np.linspace(0.0, q + margin, 12):
            canary_term = p * c / c0 + (1 - p) * (1 - c) / (1 - c0)
            stable_term = q * s / s0 + (1 - q) * (1 - s) / (1 - s0)
            assert nc * math.log(canary_term) + ns * math.log(stable_term) < 1e-6


def test_rate_test_needs_three_bad_responses_in_a_row() -> None:
    test, evidence, logs = RateTest(0.01), Evidence(), []
    for _ in range(3):
        evidence = test.update(evidence, Counts(1, 1), Counts(0, 19))
        logs.append(evidence.log_regression)
    assert logs[1] < -math.log(0.01 * 0.1) < -math.log(0.01 * 0.01) < logs[2]


def test_rate_test_detects_a_late_regression_in_seven_responses() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(400):
        evidence = test.update(evidence, Counts(0, 1), Counts(0, 19))
    for _ in range(7):
        evidence = test.update(evidence, Counts(1, 1), Counts(0, 19))
    assert evidence.log_regression > -math.log(0.01 * 0.3)


def test_rate_test_ignores_failures_of_both_versions() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(50):
        evidence = test.update(evidence, Counts(3, 5), Counts(57, 95))
    assert evidence.log_regression < 0


def test_evidence_is_unchanged_without_responses() -> None:
    test = RateTest(0.01)
    evidence = test.update(Evidence(), NO_COUNTS, Counts(3, 100))
    assert (evidence.log_regression, evidence.log_noninferiority, evidence.pending_stable) == (0.0, 0.0, Counts(3, 100))
    assert MeanTest(0.9).update(Evidence(), (0.5,), (0,)) == Evidence()


def test_rate_test_uses_earlier_stable_rate_without_traffic() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(50):
        evidence = test.update(evidence, Counts(0, 1), Counts(0, 19))
    good, bad = evidence, evidence
    for _ in range(20):
        good = test.update(good, Counts(0, 20), NO_COUNTS)
        bad = test.update(bad, Counts(4, 20), NO_COUNTS)
    assert good.log_regression < 0 < good.log_noninferiority
    assert bad.log_regression > 10
    assert bad.log_noninferiority < evidence.log_noninferiority


@pytest.mark.slow
def test_regression_evidence_is_rare_at_the_margin() -> None:
    rng = np.random.default_rng(3)
    rejections = 0
    for _ in range(200):
        evidence, highest = Evidence(), 0.0
        for _ in range(100):
            stable = sample_counts(rng, int(rng.poisson(7)), 0.05)
            evidence = RateTest(0.05).update(evidence, sample_counts(rng, int(rng.poisson(3)), 0.10), stable)
            highest = max(highest, evidence.log_regression)
        rejections += highest >= LOG_20
    assert rejections <= 10  # 5 % of 200


@pytest.mark.slow
def test_noninferiority_evidence_is_rare_beyond_the_margin() -> None:
    rng = np.random.default_rng(4)
    rejections = 0
    for _ in range(200):
        evidence, highest = Evidence(), 0.0
        for _ in range(100):
            evidence = RateTest(0.05).update(evidence, sample_counts(rng, 10, 0.07), sample_counts(rng, 20, 0.02))
            highest = max(highest, evidence.log_noninferiority)
        rejections += highest >= LOG_20
    assert rejections <= 10


def test_mean_test_detects_a_lower_mean_only() -> None:
    test, rng = MeanTest(0.89, floor=0.7), np.random.default_rng(5)
    lower, expected = Evidence(), Evidence()
    for _ in range(200):
        lower = test.update(lower, (float(np.clip(rng.normal(0.86, 0.03), 0, 1)),), (1,))
        expected = test.update(expected, (float(np.clip(rng.normal(0.91, 0.03), 0, 1)),), (1,))
    assert lower.log_regression > 5
    assert expected.log_regression < 0.5
    assert expected.log_noninferiority > 3 > 0 > lower.log_noninferiority


def test_mean_test_bet_is_fair_at_the_minimum_mean() -> None:
    # One score, 0.5 or 1.0 with probability 1/2 each: mean 0.75. The mean of the two e-values is 1.
    test = MeanTest(0.75)
    values = [math.exp(test.update(Evidence(), (score,), (1,)).log_regression) for score in (0.5, 1.0)]
    assert sum(values) / 2 == pytest.approx(1.0)


def test_rate_test_counts_a_cluster_as_one_response() -> None:
    single = RateTest(0.05).update(Evidence(), Counts(1, 1), Counts(0, 10))
    cluster = RateTest(0.05, cluster_size=10).update(Evidence(), Counts(10, 10), Counts(0, 100))
    assert cluster.log_regression == pytest.approx(single.log_regression, abs=1e-9)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40), st.integers(0, 40)), max_size=40))
def test_evidence_is_always_finite(blocks: list[tuple[int, int, int, int]]) -> None:
    test, evidence = RateTest(0.15, cluster_size=10), Evidence()
    for bad_c, good_c, bad_s, good_s in blocks:
        evidence = test.update(evidence, Counts(bad_c, bad_c + good_c), Counts(bad_s, bad_s + good_s))
        assert math.isfinite(evidence.log_regression)
        assert math.isfinite(evidence.log_noninferiority)


def test_impossible_counts_and_means_raise() -> None:
    with pytest.raises(ValueError, match="between"):
        MeanTest(0.5, floor=0.6)
    with pytest.raises(ValueError, match="3 bad of 2 responses"):
        Counts(3, 2)


def test_from_counters_accepts_counters_read_at_different_times() -> None:
    assert Counts.from_counters(2, 1) == Counts(2, 2)
    assert Counts.from_counters(1, 3) == Counts(1, 3)
    with pytest.raises(ValueError, match="2 bad of 1 responses"):
        Counts(2, 1)


def test_canary_within_the_margin_is_no_evidence() -> None:
    assert _log_e_value(0.1, 0.3, (1, 9), (3, 7), 0.01) == 0
    assert _log_e_value(0.31, 0.3, (31, 69), (30, 70), 0.01) == 0
    assert _log_e_value(0.5, 0.1, (5, 5), (1, 9), 0.01) > 1
