"""Cost of 1,000 plates on CPU nodes and on GPU nodes, and the throughput from which GPU nodes are cheaper.

The throughput of a GPU is a parameter, because thale has not been measured on one. What is known is the part of a
prediction that stays on the CPU with every engine: decoding, calibration, resampling, normalisation, ridges. It limits
the throughput of a GPU node, however fast its GPU is.

The facade is left out: it costs the same in both cases.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from thale.capacity.benchmark import Benchmark
from thale.capacity.nodes import Node, Prices, get_node
from thale.capacity.plan import cpu_seconds_per_workload
from thale.errors import ParameterError

Predictor = Literal["segmentation", "landmarks"]
PREDICTORS: tuple[Predictor, ...] = ("segmentation", "landmarks")

NETWORK_SHARES: Mapping[Predictor, float] = {"segmentation": 0.36, "landmarks": 0.35}
"""Share of the network in a predictor's CPU time, for a plate of 12 megapixels with OpenVINO 2026.4.1 in bfloat16.
Measured as process time of one thread on an AMD EPYC with AVX-512: 0.29 of 0.81 s, and 0.17 of 0.49 s."""


@dataclass(frozen=True)
class GpuAssumptions:
    """Parameters of the comparison."""

    gpu_nodes: int = 2
    """GPU nodes that serve together: one for each model, or 1 if both models share a GPU (time slicing)."""
    workers_per_model: int = 1
    """Workers of each model on its node. TorchServe has one (model-server/config.properties)."""
    headroom: float = 0.3
    """Share of each node's capacity that stays free."""
    network_scale: float = 1.0
    """Size of the network relative to the default models, by its time on a CPU."""
    network_shares: Mapping[Predictor, float] = field(default_factory=lambda: NETWORK_SHARES)

    def __post_init__(self) -> None:
        if self.gpu_nodes not in (1, 2) or self.workers_per_model < 1 or not 0 <= self.headroom < 1:
            raise ParameterError("required: 1 or 2 gpu_nodes, workers_per_model >= 1, 0 <= headroom < 1")
        if not 0 < self.network_scale < math.inf:
            raise ParameterError("network_scale must be positive")


@dataclass(frozen=True)
class GpuComparison:
    """Cost and limits of GPU nodes of one size against CPU nodes of another."""

    cpu_node: Node
    gpu_node: Node
    assumptions: GpuAssumptions
    cpu_plates_per_s: float
    """Throughput of one CPU node with both predictors, with the headroom."""
    cpu_cost_per_1000: float
    break_even_plates_per_s: float
    """Throughput of the GPU nodes together from which they are cheaper."""
    max_plates_per_s: float
    """Throughput of the GPU nodes together with an infinitely fast GPU: the part on the CPU limits it."""

    @property
    def can_pay_off(self) -> bool:
        """True if the break-even throughput is below the limit by the CPU."""
        return self.break_even_plates_per_s < self.max_plates_per_s

    @property
    def gpu_cost_per_hour(self) -> float:
        """Hourly price of the GPU nodes."""
        return self.gpu_node.price_per_hour * self.assumptions.gpu_nodes

    def gpu_cost_per_1000(self, plates_per_s: float) -> float:
        """Return the cost of 1,000 plates at an assumed throughput of the GPU nodes together."""
        return _cost_per_1000(self.gpu_cost_per_hour, plates_per_s)


def compare(
    benchmark: Benchmark, prices: Prices, cpu_size: str, gpu_size: str, assumptions: GpuAssumptions | None = None
) -> GpuComparison:
    """Return the comparison of two node sizes for the benchmark's mix of image sizes.

    Raises:
        ParameterError: If a VM size is unknown.
    """
    assumptions = assumptions or GpuAssumptions()
    cpu_node, gpu_node = get_node(cpu_size, prices), get_node(gpu_size, prices)
    totals_s = cpu_seconds_per_workload(benchmark.mix, benchmark)
    other_s = {name: totals_s[name] * (1 - assumptions.network_shares[name]) for name in PREDICTORS}
    network_s = sum(totals_s[name] * assumptions.network_shares[name] for name in PREDICTORS)
    plate_s = sum(other_s.values()) + network_s * assumptions.network_scale
    cpu_plates_per_s = cpu_node.cpu * (1 - assumptions.headroom) / plate_s
    cpu_cost = _cost_per_1000(cpu_node.price_per_hour, cpu_plates_per_s)
    gpu_cost_per_hour = gpu_node.price_per_hour * assumptions.gpu_nodes
    return GpuComparison(
        cpu_node=cpu_node,
        gpu_node=gpu_node,
        assumptions=assumptions,
        cpu_plates_per_s=cpu_plates_per_s,
        cpu_cost_per_1000=cpu_cost,
        break_even_plates_per_s=gpu_cost_per_hour / 3600 * 1000 / cpu_cost,
        max_plates_per_s=_max_gpu_plates_per_s(other_s, gpu_node, assumptions),
    )


def break_even_network_scale(
    benchmark: Benchmark, prices: Prices, cpu_size: str, gpu_size: str, assumptions: GpuAssumptions
) -> float:
    """Return the smallest size of the network, relative to the default models, from which GPU nodes can pay off."""
    totals_s = cpu_seconds_per_workload(benchmark.mix, benchmark)
    network_s = sum(totals_s[name] * assumptions.network_shares[name] for name in PREDICTORS)
    found = compare(benchmark, prices, cpu_size, gpu_size, assumptions)
    gpu_cost = found.gpu_cost_per_1000(found.max_plates_per_s)
    plate_s = gpu_cost / 1000 * 3600 / found.cpu_node.price_per_hour * found.cpu_node.cpu * (1 - assumptions.headroom)
    other_s = sum(totals_s[name] for name in PREDICTORS) - network_s
    return max(0.0, (plate_s - other_s) / network_s)


def _max_gpu_plates_per_s(other_s: Mapping[Predictor, float], node: Node, assumptions: GpuAssumptions) -> float:
    """Return the throughput by the part on the CPU: each worker uses one core for it, up to all cores of the node."""
    workers = assumptions.workers_per_model
    by_worker = min(workers / seconds for seconds in other_s.values())
    by_cores = (
        min(node.cpu / seconds for seconds in other_s.values())
        if assumptions.gpu_nodes == len(PREDICTORS)
        else node.cpu / sum(other_s.values())
    )
    return min(by_worker, by_cores) * (1 - assumptions.headroom)


def _cost_per_1000(price_per_hour: float, plates_per_s: float) -> float:
    return price_per_hour / 3600 / plates_per_s * 1000
