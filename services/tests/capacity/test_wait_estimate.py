"""Tests of the wait estimate that the facade and the capacity simulation share."""

import pytest

from thale.capacity.wait_estimate import WaitEstimate


def test_expected_wait_uses_the_cost_model_at_first() -> None:
    estimate = WaitEstimate()
    assert estimate.expected_wait_s(queued_cost_s=8, running_cost_s=8, concurrency_limit=4, now_s=0) == 2.5


def test_expected_wait_is_queue_length_times_interval() -> None:
    estimate = WaitEstimate()
    estimate.observe(1.0, 8.0, now_s=0)
    assert estimate.expected_wait_s(0, 4, 4, now_s=0) == pytest.approx(2.0)
    assert estimate.expected_wait_s(9, 4, 4, now_s=0) == pytest.approx(20.0)


def test_slowdown_smooths_measurements() -> None:
    estimate = WaitEstimate()
    estimate.observe(10.0, 20.0, now_s=0)
    estimate.observe(10.0, 30.0, now_s=0)
    assert estimate.slowdown(0) == pytest.approx(2.2)


def test_slowdown_decays_without_measurements() -> None:
    estimate = WaitEstimate()
    estimate.observe(1.0, 9.0, now_s=0)
    assert estimate.slowdown(60) == pytest.approx(5.0)
    assert estimate.slowdown(1200) == pytest.approx(1.0, abs=1e-4)


def test_one_stuck_image_has_bounded_weight() -> None:
    estimate = WaitEstimate()
    estimate.observe(1.0, 1.0, now_s=0)
    estimate.observe(1.0, 60.0, now_s=0)
    assert estimate.slowdown(0) == pytest.approx(2.8)


def test_expected_wait_is_finite_without_replicas() -> None:
    assert WaitEstimate().expected_wait_s(0, 3, 0, now_s=0) == pytest.approx(3.0)
