import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thale.release.judge.sequential_tests import NOTHING, Evidence, MeanTest, RateTest, Tally, nearest_null

ONE_IN_TWENTY = math.log(20)


def binomial(rng: np.random.Generator, total: int, rate: float) -> Tally:
    return Tally(int(rng.binomial(total, rate)), total)


def test_the_nearest_null_of_equal_numbers_lies_where_both_are_equally_far() -> None:
    # c = 0.8, s = 0.2, no margin: by symmetry 0.5. With 3 stable answers for each of the canary's, their mean: 0.35.
    assert nearest_null(0.8, 0.2, 1, 1, 0.0) == pytest.approx(0.5)
    assert nearest_null(0.8, 0.2, 1, 3, 0.0) == pytest.approx((0.8 + 3 * 0.2) / 4)


@given(
    st.floats(0.001, 0.6), st.floats(0.0, 0.97), st.integers(1, 50), st.integers(1, 500), st.sampled_from([0.01, 0.1])
)
def test_a_blocks_e_value_expects_no_more_than_one_wherever_the_null_holds(
    s: float, lift: float, nc: int, ns: int, margin: float
) -> None:
    c = s + margin + (0.99 - s - margin) * lift
    s0 = nearest_null(c, s, nc, ns, margin)
    c0 = s0 + margin
    for q in np.linspace(0.0, 1.0 - margin, 12):
        for p in np.linspace(0.0, q + margin, 12):
            of_canary = p * c / c0 + (1 - p) * (1 - c) / (1 - c0)
            of_stable = q * s / s0 + (1 - q) * (1 - s) / (1 - s0)
            assert nc * math.log(of_canary) + ns * math.log(of_stable) < 1e-6


def test_three_bad_answers_beside_good_ones_are_enough_and_two_are_not() -> None:
    test, evidence, logs = RateTest(0.01), Evidence(), []
    for _ in range(3):
        evidence = test.heard(evidence, Tally(1, 1), Tally(0, 19))
        logs.append(evidence.log_harm)
    assert logs[1] < -math.log(0.01 * 0.1) < -math.log(0.01 * 0.01) < logs[2]


def test_a_canary_that_goes_bad_after_a_good_beginning_is_found_within_seven_answers() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(400):
        evidence = test.heard(evidence, Tally(0, 1), Tally(0, 19))
    for _ in range(7):
        evidence = test.heard(evidence, Tally(1, 1), Tally(0, 19))
    assert evidence.log_harm > -math.log(0.01 * 0.3)


def test_when_both_fail_together_nobody_is_to_blame() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(50):
        evidence = test.heard(evidence, Tally(3, 5), Tally(57, 95))
    assert evidence.log_harm < 0


def test_no_answer_is_no_evidence() -> None:
    test = RateTest(0.01)
    evidence = test.heard(Evidence(), NOTHING, Tally(3, 100))
    assert (evidence.log_harm, evidence.log_comfort, evidence.waiting) == (0.0, 0.0, Tally(3, 100))
    assert MeanTest(0.9).heard(Evidence(), (0.5,), (0,)) == Evidence()


def test_without_stable_traffic_the_canary_is_compared_with_what_the_stable_version_did_before() -> None:
    test, evidence = RateTest(0.01), Evidence()
    for _ in range(50):
        evidence = test.heard(evidence, Tally(0, 1), Tally(0, 19))
    good, bad = evidence, evidence
    for _ in range(20):
        good = test.heard(good, Tally(0, 20), NOTHING)
        bad = test.heard(bad, Tally(4, 20), NOTHING)
    assert good.log_harm < 0 < good.log_comfort
    assert bad.log_harm > 10
    assert bad.log_comfort < evidence.log_comfort


def test_the_harm_of_a_canary_at_the_margin_is_rarely_seen_however_often_one_looks() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(200):
        evidence, highest = Evidence(), 0.0
        for _ in range(100):
            stable = binomial(rng, int(rng.poisson(7)), 0.05)
            evidence = RateTest(0.05).heard(evidence, binomial(rng, int(rng.poisson(3)), 0.10), stable)
            highest = max(highest, evidence.log_harm)
        alarms += highest >= ONE_IN_TWENTY
    assert alarms <= 10  # 5 % of 200 would be allowed


def test_comfort_with_a_canary_beyond_the_margin_is_rare() -> None:
    rng = np.random.default_rng(4)
    comforted = 0
    for _ in range(200):
        evidence, highest = Evidence(), 0.0
        for _ in range(100):
            evidence = RateTest(0.05).heard(evidence, binomial(rng, 10, 0.07), binomial(rng, 20, 0.02))
            highest = max(highest, evidence.log_comfort)
        comforted += highest >= ONE_IN_TWENTY
    assert comforted <= 10


def test_a_mean_that_is_lower_than_expected_is_found_and_the_expected_one_is_not() -> None:
    test, rng = MeanTest(0.89, floor=0.7), np.random.default_rng(5)
    lower, expected = Evidence(), Evidence()
    for _ in range(200):
        lower = test.heard(lower, (float(np.clip(rng.normal(0.86, 0.03), 0, 1)),), (1,))
        expected = test.heard(expected, (float(np.clip(rng.normal(0.91, 0.03), 0, 1)),), (1,))
    assert lower.log_harm > 5
    assert expected.log_harm < 0.5
    assert expected.log_comfort > 3 > 0 > lower.log_comfort


def test_a_bet_on_a_mean_is_fair_at_that_mean() -> None:
    # One score, 0.5 or 1.0 with probability 1/2 each: mean 0.75. The average of the two e-values is 1.
    test = MeanTest(0.75)
    values = [math.exp(test.heard(Evidence(), (score,), (1,)).log_harm) for score in (0.5, 1.0)]
    assert sum(values) / 2 == pytest.approx(1.0)


def test_plates_that_are_all_alike_count_as_one() -> None:
    alone = RateTest(0.05).heard(Evidence(), Tally(1, 1), Tally(0, 10))
    series = RateTest(0.05, together=10).heard(Evidence(), Tally(10, 10), Tally(0, 100))
    assert series.log_harm == pytest.approx(alone.log_harm, abs=1e-9)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40), st.integers(0, 40)), max_size=40))
def test_evidence_is_always_a_number(blocks: list[tuple[int, int, int, int]]) -> None:
    test, evidence = RateTest(0.15, together=10), Evidence()
    for bad_c, good_c, bad_s, good_s in blocks:
        evidence = test.heard(evidence, Tally(bad_c, bad_c + good_c), Tally(bad_s, bad_s + good_s))
        assert math.isfinite(evidence.log_harm)
        assert math.isfinite(evidence.log_comfort)


def test_counts_and_means_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="between"):
        MeanTest(0.5, floor=0.6)
    with pytest.raises(ValueError, match="3 bad answers of 2"):
        Tally(3, 2)


def test_counters_that_were_read_one_after_the_other_are_no_reason_to_stop() -> None:
    assert Tally.read(2, 1) == Tally(2, 2)
    assert Tally.read(1, 3) == Tally(1, 3)
    with pytest.raises(ValueError, match="2 bad answers of 1"):
        Tally(2, 1)
