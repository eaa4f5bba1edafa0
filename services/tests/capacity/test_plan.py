"""Tests of the capacity plan against sums that a reader can check, and for growth with load."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sample_benchmark import sample_benchmark
from thale.capacity.environment_limits import BaselineUsage, read_environment_limits
from thale.capacity.nodes import get_node, read_prices, required_nodes
from thale.capacity.plan import Demand, Plan, plan
from thale.errors import ParameterError

PROD = read_environment_limits()["prod"]
PRICES = read_prices()
PLATES = {"4mp": 1.0}


def make_plan(rps: float, **changes: object) -> Plan:
    return plan(Demand(rps, PLATES, **changes), sample_benchmark(), PROD, PRICES)  # type: ignore[arg-type]


def test_work_is_load_times_cpu_seconds() -> None:
    work = {name: found.busy_cores for name, found in make_plan(10).replicas.items()}
    assert work == pytest.approx({"facade": 5.0, "segmentation": 20.0, "landmarks": 10.0})


def test_replicas_are_work_over_replica_capacity() -> None:
    segmentation = make_plan(10, headroom=0.2, efficiency=1.0).replicas["segmentation"]
    assert segmentation.service_time_s == pytest.approx(2.0 / 4)  # four cores
    assert segmentation.required == 7  # 10 per second, half a second each, 80 % busy: 6.25


def test_autoscaler_settles_at_70_percent_of_the_cpu_request() -> None:
    assert make_plan(10).replicas["segmentation"].count == 15  # 20 cores of work, 1.4 used in each


def test_facades_follow_images_in_flight() -> None:
    found = make_plan(12, efficiency=1.0, headroom=0.0).replicas["facade"]
    assert found.count == 4  # 12 per second, 0.5 s in the models and 0.5 s in the facade: 12 in flight, 3 per replica


def test_max_rps_fits_and_a_little_more_does_not() -> None:
    holds = make_plan(1).max_rps
    assert not make_plan(holds).violations()
    assert make_plan(holds + 0.2).violations()


def test_violations_name_the_limit() -> None:
    output = "; ".join(make_plan(100).violations())
    assert "segmentation: 143 replicas required, maxReplicas is 8" in output
    assert "pool general" in output


def test_gateway_rate_limit_is_a_violation() -> None:
    assert any("rate limit" in line for line in make_plan(151).violations())


def test_cost_is_nodes_times_price() -> None:
    found = make_plan(10)
    assert found.cost_per_hour == pytest.approx(found.general_nodes * PRICES.vm_hour["Standard_D8ds_v5"])
    assert found.cost_per_1000 == pytest.approx(found.cost_per_hour / 36)


def test_gpu_predictors_take_one_node_each() -> None:
    found = make_plan(10, gpu_speedup=20.0)
    assert found.gpu_nodes == found.replicas["segmentation"].count + found.replicas["landmarks"].count
    assert found.replicas["segmentation"].service_time_s == pytest.approx(0.1)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 60), st.floats(1.0, 3.0))
def test_plan_is_monotonic_in_load(rps: float, times: float) -> None:
    less, more = make_plan(rps), make_plan(rps * times)
    assert all(more.replicas[name].count >= less.replicas[name].count for name in less.replicas)
    assert more.general_nodes >= less.general_nodes


def test_nodes_fit_their_pods() -> None:
    node = get_node("Standard_D8ds_v5", PRICES)
    assert node.cpu == pytest.approx(8 - 0.18 - 0.5)
    nothing = BaselineUsage(cpu=0, memory_mib=0)
    assert required_nodes([(PROD.segmentation, 3)], nothing, node) == 1  # 2 cores requested each
    assert required_nodes([(PROD.segmentation, 4)], nothing, node) == 2
    assert required_nodes([(PROD.segmentation, 3), (PROD.facade, 1)], nothing, node) == 1
    assert required_nodes([], nothing, node) == 0


@pytest.mark.parametrize(
    "invalid",
    [
        {"rps": 0.0},
        {"rps": float("nan")},
        {"mix": {"4mp": 0.7}},
        {"mix": {"4mp": 1.5, "1mp": -0.5}},
        {"headroom": 1.0},
        {"efficiency": 0.0},
        {"gpu_speedup": 0.0},
    ],
)
def test_demand_rejects_invalid_values(invalid: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        Demand(**{"rps": 1.0, "mix": PLATES, **invalid})  # type: ignore[arg-type]


def test_plan_rejects_a_size_class_without_benchmark() -> None:
    with pytest.raises(ParameterError, match="16mp"):
        plan(Demand(1, {"16mp": 1.0}), sample_benchmark(), PROD, PRICES)


def test_knee_maximises_throughput_over_latency() -> None:
    assert sample_benchmark().knee().clients == 2
