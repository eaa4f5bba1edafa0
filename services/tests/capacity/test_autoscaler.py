"""Tests of the autoscaler against the documented algorithm of Kubernetes, with the behaviour of the manifests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thale.capacity.autoscaler import SYNC_PERIOD_S, Autoscaler
from thale.capacity.environment_limits import HpaSpec, ScalingPolicy, ScalingRules, read_environment_limits

FACADE = read_environment_limits()["prod"].facade.hpa
PREDICTOR = read_environment_limits()["prod"].segmentation.hpa


def hpa_spec(**changes: object) -> HpaSpec:
    unlimited = ScalingRules(stabilization_s=0, policies=(ScalingPolicy(type="Pods", value=1000, period_s=15),))
    plain = HpaSpec(
        metric="in_flight", target=3, min_replicas=1, max_replicas=100, scale_up=unlimited, scale_down=unlimited
    )
    return plain.model_copy(update=changes)


def test_replicas_are_total_over_target() -> None:
    assert Autoscaler(hpa_spec()).decide(0, 2, 31) == 11


def test_replicas_stay_within_ten_percent_of_target() -> None:
    assert Autoscaler(hpa_spec()).decide(0, 10, 32.9) == 10
    assert Autoscaler(hpa_spec()).decide(0, 10, 33.1) == 12


def test_replicas_stay_within_min_and_max() -> None:
    assert Autoscaler(hpa_spec(max_replicas=5)).decide(0, 2, 1000) == 5
    assert Autoscaler(hpa_spec(min_replicas=2)).decide(0, 5, 0) == 2


def test_facade_scale_up_doubles_every_30_s() -> None:
    autoscaler, replicas, seen = Autoscaler(FACADE), 3, []
    for tick in range(5):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 1000)
        seen.append(replicas)
    assert seen == [6, 6, 12, 12, 12]


def test_facade_scale_down_removes_one_per_minute_after_5_min() -> None:
    autoscaler, replicas, seen = Autoscaler(FACADE), 12, []
    autoscaler.decide(0, 12, 36)
    for tick in range(1, 41):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 0)
        seen.append(replicas)
    assert seen[:19] == [12] * 19
    assert seen[19:24] == [11, 11, 11, 11, 10]


def test_predictor_scale_up_doubles_or_adds_four_every_15_s() -> None:
    wide = PREDICTOR.model_copy(update={"max_replicas": 100})
    autoscaler, replicas, seen = Autoscaler(wide), 3, []
    for tick in range(4):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 1000)
        seen.append(replicas)
    assert seen == [7, 14, 28, 56]


@pytest.mark.slow
@given(st.lists(st.floats(0, 500), min_size=1, max_size=80))
def test_replicas_stay_within_limits_for_any_load(totals: list[float]) -> None:
    autoscaler, replicas = Autoscaler(FACADE), FACADE.min_replicas
    for tick, total in enumerate(totals):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, total)
        assert FACADE.min_replicas <= replicas <= FACADE.max_replicas
