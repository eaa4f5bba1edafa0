"""Tests of the wait estimate that the facade and the capacity simulation share."""

import pytest

from thale.capacity.wait_estimate import WaitEstimate


def test_expected_wait_is_zero_before_first_observation() -> None:
    assert WaitEstimate().expected_wait_s(in_flight=100, concurrency_limit=4) == 0


def test_expected_wait_is_queue_length_times_service_interval() -> None:
    estimate = WaitEstimate()
    estimate.observe(8.0)
    assert estimate.expected_wait_s(in_flight=3, concurrency_limit=4) == 0
    assert estimate.expected_wait_s(in_flight=4, concurrency_limit=4) == pytest.approx(2.0)
    assert estimate.expected_wait_s(in_flight=13, concurrency_limit=4) == pytest.approx(20.0)


def test_expected_wait_smooths_service_times() -> None:
    estimate = WaitEstimate()
    estimate.observe(10.0)
    estimate.observe(20.0)
    assert estimate.expected_wait_s(in_flight=1, concurrency_limit=1) == pytest.approx(12.0)


def test_expected_wait_is_finite_without_replicas() -> None:
    estimate = WaitEstimate()
    estimate.observe(3.0)
    assert estimate.expected_wait_s(in_flight=0, concurrency_limit=0) == pytest.approx(3.0)
