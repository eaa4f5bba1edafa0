"""Tests of the cost comparison of CPU and GPU nodes, with round figures computed by hand."""

from dataclasses import replace

import pytest

from thale.capacity.benchmark import Benchmark, read_benchmark
from thale.capacity.gpu_cost import GpuAssumptions, break_even_network_scale, compare
from thale.capacity.nodes import Prices, get_node, read_prices
from thale.errors import ParameterError

CPU, T4 = "Standard_D8ds_v5", "Standard_NC4as_T4_v3"
ROUND = GpuAssumptions(headroom=0.0, network_shares={"segmentation": 0.75, "landmarks": 0.5})


@pytest.fixture(name="benchmark")
def make_benchmark() -> Benchmark:
    """Four CPU seconds of segmentation and two of landmarks for each plate."""
    seconds = {"segmentation": 4.0, "landmarks": 2.0, "facade": 1.0, "torchserve": 0.0}
    found = read_benchmark()
    only_class = found.classes["4mp"].model_copy(update={"cpu_seconds": seconds})
    return found.model_copy(update={"mix": {"4mp": 1.0}, "classes": {"4mp": only_class}})


@pytest.fixture(name="prices")
def make_prices() -> Prices:
    return replace(read_prices(), vm_hour={CPU: 3.6, T4: 7.2})


def test_compare_calculates_the_cost_on_cpus(benchmark: Benchmark, prices: Prices) -> None:
    found = compare(benchmark, prices, CPU, T4, ROUND)
    cores = get_node(CPU, prices).cpu
    assert found.cpu_plates_per_s == pytest.approx(cores / 6)
    assert found.cpu_cost_per_1000 == pytest.approx(1.0 / (cores / 6))  # 3.6 per hour is 1 per 1,000 s


def test_break_even_has_equal_cost_on_both(benchmark: Benchmark, prices: Prices) -> None:
    found = compare(benchmark, prices, CPU, T4, ROUND)
    assert found.break_even_plates_per_s == pytest.approx(4 * found.cpu_plates_per_s)  # two nodes of twice the price
    assert found.gpu_cost_per_1000(found.break_even_plates_per_s) == pytest.approx(found.cpu_cost_per_1000)


@pytest.mark.parametrize(
    ("gpu_nodes", "workers", "expected"),
    [
        (2, 1, 1.0),  # each network aside, both models need one core for one second
        (2, 2, 2.0),
        (1, 1, 1.0),
        (1, 8, None),  # all cores of one node for two seconds of a plate
    ],
)
def test_part_on_the_cpu_limits_gpu_nodes(
    gpu_nodes: int, workers: int, expected: float | None, benchmark: Benchmark, prices: Prices
) -> None:
    found = compare(benchmark, prices, CPU, T4, replace(ROUND, gpu_nodes=gpu_nodes, workers_per_model=workers))
    assert found.max_plates_per_s == pytest.approx(expected or get_node(T4, prices).cpu / 2)


def test_gpu_pays_off_only_below_the_limit_by_the_cpu(benchmark: Benchmark, prices: Prices) -> None:
    assert not compare(benchmark, prices, CPU, T4, ROUND).can_pay_off
    cheap = replace(prices, vm_hour={CPU: 3.6, T4: 0.36})
    assert compare(benchmark, cheap, CPU, T4, ROUND).can_pay_off


def test_break_even_network_scale_makes_both_limits_equal(benchmark: Benchmark, prices: Prices) -> None:
    scale = break_even_network_scale(benchmark, prices, CPU, T4, ROUND)
    found = compare(benchmark, prices, CPU, T4, replace(ROUND, network_scale=scale))
    assert found.break_even_plates_per_s == pytest.approx(found.max_plates_per_s)


def test_headroom_applies_to_both(benchmark: Benchmark, prices: Prices) -> None:
    full, half = (compare(benchmark, prices, CPU, T4, replace(ROUND, headroom=share)) for share in (0.0, 0.5))
    assert half.cpu_plates_per_s == pytest.approx(full.cpu_plates_per_s / 2)
    assert half.max_plates_per_s == pytest.approx(full.max_plates_per_s / 2)


@pytest.mark.parametrize(
    "fields", [{"gpu_nodes": 3}, {"workers_per_model": 0}, {"headroom": 1.0}, {"network_scale": 0}]
)
def test_assumptions_reject_invalid_values(fields: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=r"required|positive"):
        GpuAssumptions(**fields)
