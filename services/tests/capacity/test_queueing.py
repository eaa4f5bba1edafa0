"""Tests of the queueing model against closed forms of queueing theory and against invariants."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thale.capacity.environment_limits import AdmissionLimits
from thale.capacity.queueing import REJECTED, TIMED_OUT, RequestPath

UNLIMITED = AdmissionLimits(
    max_in_flight=10_000,
    max_queue_length=1_000_000,
    max_queue_wait_s=1e12,
    request_timeout_s=1e12,
    postprocess_workers=10_000,
)

Floats = NDArray[np.float64]


def run_path(
    arrivals: Floats,
    segmentation: Floats,
    landmarks: Floats | None = None,
    postprocess: Floats | None = None,
    *,
    limits: AdmissionLimits = UNLIMITED,
    facades: int = 1,
    servers: tuple[int, int] = (10_000, 10_000),
) -> RequestPath:
    nothing = np.zeros(len(arrivals))
    path = RequestPath(
        arrivals,
        segmentation,
        nothing if landmarks is None else landmarks,
        nothing if postprocess is None else postprocess,
        limits,
    )
    path.scale(facades, *servers)
    path.run(1e15)
    return path


def erlang_c(servers: int, offered: float) -> float:
    """Probability of waiting in M/M/c (Erlang 1917)."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (4, 0.7), (8, 0.85)])
def test_mean_response_time_matches_m_m_c(servers: int, load: float) -> None:
    rng = np.random.default_rng(7)
    count, service_s = 50_000, 2.0
    rate = load * servers / service_s
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    path = run_path(arrivals, rng.exponential(service_s, count), servers=(servers, 1))
    waits = erlang_c(servers, load * servers) / (servers / service_s - rate)
    assert path.seconds[count // 10 :].mean() == pytest.approx(waits + service_s, rel=0.05)


def test_d_d_1_waits_only_above_capacity() -> None:
    arrivals = np.arange(100.0)
    below = run_path(arrivals, np.full(100, 0.9), servers=(1, 1)).seconds
    above = run_path(arrivals, np.full(100, 1.5), servers=(1, 1)).seconds
    assert below == pytest.approx(0.9)
    assert above == pytest.approx(1.5 + 0.5 * np.arange(100))


@pytest.mark.slow
def test_m_m_c_c_rejections_match_erlang_b() -> None:
    rng = np.random.default_rng(11)
    count, servers, offered = 50_000, 4, 3.0
    arrivals = np.cumsum(rng.exponential(1 / offered, count))
    loss = AdmissionLimits(
        max_in_flight=servers,
        max_queue_length=0,
        max_queue_wait_s=1e12,
        request_timeout_s=1e12,
        postprocess_workers=servers,
    )
    path = run_path(arrivals, rng.exponential(1.0, count), limits=loss)
    terms = [offered**k / math.factorial(k) for k in range(servers + 1)]
    assert np.mean(path.seconds == REJECTED) == pytest.approx(terms[-1] / sum(terms), rel=0.05)


def test_models_run_in_parallel_before_postprocessing() -> None:
    path = run_path(np.array([5.0]), np.array([2.0]), np.array([3.0]), np.array([0.5]))
    assert path.seconds.tolist() == [3.5]


def test_request_times_out_in_the_queue_without_work() -> None:
    limits = AdmissionLimits(
        max_in_flight=1, max_queue_length=9, max_queue_wait_s=1e12, request_timeout_s=10.0, postprocess_workers=1
    )
    path = run_path(np.zeros(4) + np.arange(4) / 1000, np.full(4, 6.0), limits=limits)
    assert path.seconds[0] == pytest.approx(6.0)
    assert path.seconds[1:].tolist() == [TIMED_OUT] * 3
    assert path.segmentation.busy_server_s == pytest.approx(12.0)  # the second request started before its timeout


def test_request_is_rejected_when_expected_wait_is_too_long() -> None:
    limits = AdmissionLimits(
        max_in_flight=1, max_queue_length=100, max_queue_wait_s=10.0, request_timeout_s=1e9, postprocess_workers=1
    )
    arrivals = np.concatenate([[0.0], 10 + np.arange(20) / 1000])
    path = run_path(arrivals, np.full(21, 4.0), limits=limits)
    assert (path.seconds[1:] >= 0).sum() == 3  # one in flight, and two that wait 4 s and 8 s
    assert (path.seconds == REJECTED).sum() == 17


def test_removed_replica_finishes_its_request() -> None:
    path = RequestPath(np.array([0.0, 0.0]), np.full(2, 10.0), np.zeros(2), np.zeros(2), UNLIMITED)
    path.scale(1, 2, 2)
    path.run(1.0)
    path.scale(1, 1, 1)
    path.run(1e6)
    assert path.seconds.tolist() == [10.0, 10.0]


times = st.lists(st.floats(0, 50), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(times, st.integers(1, 3), st.integers(1, 3), st.floats(0.1, 20), st.floats(1, 60))
def test_every_request_has_one_outcome(
    arrivals: list[float], facades: int, servers: int, service_s: float, deadline_s: float
) -> None:
    limits = AdmissionLimits(
        max_in_flight=2, max_queue_length=3, max_queue_wait_s=20.0, request_timeout_s=deadline_s, postprocess_workers=1
    )
    count = len(arrivals)
    path = run_path(
        np.sort(np.array(arrivals)),
        np.full(count, service_s),
        np.full(count, service_s / 2),
        np.full(count, 0.1),
        limits=limits,
        facades=facades,
        servers=(servers, servers),
    )
    assert not np.isnan(path.seconds).any()
    completed_s = path.seconds[path.seconds >= 0]
    assert (completed_s >= service_s + 0.1 - 1e-9).all()
    assert (completed_s <= deadline_s).all()
    assert path.in_flight == 0


@settings(max_examples=40, deadline=None)
@given(times, st.floats(0.1, 10))
def test_more_replicas_never_increase_mean_time(arrivals: list[float], service_s: float) -> None:
    ordered = np.sort(np.array(arrivals))
    work = np.full(len(arrivals), service_s)
    means = [run_path(ordered, work, servers=(servers, 1)).seconds.mean() for servers in (1, 2, 4)]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize(("max_wait_s", "completed", "timed_out"), [(1e9, 41, 316), (20.0, 299, 0)])
def test_max_queue_wait_prevents_timeouts_under_overload(max_wait_s: float, completed: int, timed_out: int) -> None:
    """Ten minutes of 1.5 requests/s on a machine that serves one in 2.1 s, 285 in total (docs/adr/0017)."""
    limits = AdmissionLimits(
        max_in_flight=4, max_queue_length=32, max_queue_wait_s=max_wait_s, request_timeout_s=60.0, postprocess_workers=2
    )
    arrivals = np.arange(900) / 1.5
    path = run_path(arrivals, np.full(900, 2.1), np.full(900, 1.0), np.full(900, 0.1), limits=limits, servers=(1, 1))
    assert ((path.seconds >= 0).sum(), (path.seconds == TIMED_OUT).sum()) == (completed, timed_out)
