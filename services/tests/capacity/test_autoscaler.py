"""Autoscalers decide as Kubernetes documents it, with the behaviour that the manifests say."""

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


def test_as_many_replicas_as_the_total_over_the_target() -> None:
    assert Autoscaler(hpa_spec()).decide(0, 2, 31) == 11


def test_a_tenth_off_the_target_is_left_alone() -> None:
    assert Autoscaler(hpa_spec()).decide(0, 10, 32.9) == 10
    assert Autoscaler(hpa_spec()).decide(0, 10, 33.1) == 12


def test_least_and_most_hold() -> None:
    assert Autoscaler(hpa_spec(max_replicas=5)).decide(0, 2, 1000) == 5
    assert Autoscaler(hpa_spec(min_replicas=2)).decide(0, 5, 0) == 2


def test_the_facade_doubles_every_half_minute() -> None:
    autoscaler, replicas, seen = Autoscaler(FACADE), 3, []
    for tick in range(5):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 1000)
        seen.append(replicas)
    assert seen == [6, 6, 12, 12, 12]


def test_the_facade_goes_down_one_a_minute_once_five_minutes_have_wished_it() -> None:
    autoscaler, replicas, seen = Autoscaler(FACADE), 12, []
    autoscaler.decide(0, 12, 36)
    for tick in range(1, 41):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 0)
        seen.append(replicas)
    assert seen[:19] == [12] * 19
    assert seen[19:24] == [11, 11, 11, 11, 10]


def test_predictors_double_or_grow_by_four_whatever_is_more_every_fifteen_seconds() -> None:
    wide = PREDICTOR.model_copy(update={"max_replicas": 100})
    autoscaler, replicas, seen = Autoscaler(wide), 3, []
    for tick in range(4):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, 1000)
        seen.append(replicas)
    assert seen == [7, 14, 28, 56]


@given(st.lists(st.floats(0, 500), min_size=1, max_size=80))
def test_no_load_takes_an_autoscaler_out_of_its_limits(totals: list[float]) -> None:
    autoscaler, replicas = Autoscaler(FACADE), FACADE.min_replicas
    for tick, total in enumerate(totals):
        replicas = autoscaler.decide(tick * SYNC_PERIOD_S, replicas, total)
        assert FACADE.min_replicas <= replicas <= FACADE.max_replicas
