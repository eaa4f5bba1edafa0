"""Tests of the day simulation: reproducible by seed, no lost request, and the cost of late capacity."""

import functools
import math

import numpy as np
import pytest

from tests.support.sample_benchmark import CPU_SECONDS, sample_benchmark
from thale.capacity.arrivals import DAY_S, LOAD_PROFILE, relative_load, sample_arrivals
from thale.capacity.benchmark import SizeClassBenchmark
from thale.capacity.cluster_scaling import Delays
from thale.capacity.day_simulation import DaySimulation, simulate_day
from thale.capacity.environment_limits import read_environment_limits
from thale.capacity.nodes import read_prices
from thale.capacity.plan import Demand, plan
from thale.errors import ParameterError

PROD = read_environment_limits()["prod"]
MIX = {"4mp": 1.0}
HEAVY = sample_benchmark(
    classes={
        "4mp": SizeClassBenchmark(
            plates=1, latency_p50_s=9, cpu_seconds={part: 4 * spent for part, spent in CPU_SECONDS.items()}
        )
    }
)
"""Plates that cost 14 CPU seconds: few requests per day need many replicas."""
USUAL = Delays()


@functools.cache
def simulate(rps: float, limits: str = "planned", delays: Delays = USUAL, seed: int = 1) -> DaySimulation:
    capacity_plan = plan(Demand(rps, MIX), HEAVY, PROD, read_prices())
    return simulate_day(capacity_plan, HEAVY, PROD, delays, seed, limits)


@pytest.mark.slow
def test_day_is_reproducible_by_seed() -> None:
    assert repr(simulate.__wrapped__(0.05)) == repr(simulate(0.05))
    assert simulate(0.05).sent != simulate(0.05, seed=2).sent


def test_arrivals_follow_the_daily_profile() -> None:
    arrivals = sample_arrivals(np.random.default_rng(3), 2.0, MIX)
    counts = np.histogram(arrivals.at_s, np.arange(0, DAY_S + 1, 3600))[0]
    expected = [2.0 * relative_load(np.arange(hour * 3600, (hour + 1) * 3600.0)).sum() for hour in range(24)]
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert LOAD_PROFILE[0][1] == LOAD_PROFILE[-1][1]  # 0:00 and 24:00 are the same time


@pytest.mark.slow
def test_quiet_day_runs_at_minimum_without_rejections() -> None:
    seen = simulate(0.05)
    assert (seen.rejected_fraction, seen.timed_out_fraction) == (0, 0)
    assert {round(window.segmentation) for window in seen.windows} == {PROD.segmentation.hpa.min_replicas}
    assert seen.cost == pytest.approx(24 * PROD.general_pool.min_nodes * read_prices().vm_hour["Standard_D8ds_v5"])


def test_every_request_is_in_one_window() -> None:
    seen = simulate(0.05)
    assert sum(window.sent for window in seen.windows) == seen.sent


@pytest.mark.slow
def test_slower_node_start_increases_latency() -> None:
    soon, late = (simulate(2.5, delays=Delays(node_s=seconds)) for seconds in (30, 900))
    assert late.rejected_fraction > soon.rejected_fraction


@pytest.mark.slow
def test_fixed_limits_reject_load_above_capacity() -> None:
    held = simulate(4.0, "configured")
    assert held.rejected_fraction > 0.01
    assert max(window.segmentation for window in held.windows) <= PROD.segmentation.hpa.max_replicas
    assert simulate(4.0, delays=Delays(node_s=30)).rejected_fraction < held.rejected_fraction / 5


@pytest.mark.slow
def test_accepted_requests_wait_at_most_max_queue_wait() -> None:
    slowest = max(window.p99_s for window in simulate(4.0, "configured").windows if not math.isnan(window.p99_s))
    assert slowest < PROD.admission.request_timeout_s


def test_limits_option_accepts_two_values() -> None:
    with pytest.raises(ParameterError, match="planned or configured"):
        simulate(0.05, "none")
