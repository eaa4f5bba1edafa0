"""Capacity plan: replicas, nodes and cost of a load, from a benchmark and the limits of an environment.

Scaling assumptions, which are printed with every plan:

- An image takes the same CPU seconds on the cluster's cores as on the benchmark's machine.
- The cores of a pod process one image in parallel, with the given efficiency.
- The load is distributed evenly over the replicas.

The headroom covers deviations from these assumptions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from thale.capacity.benchmark import Benchmark, Component
from thale.capacity.environment_limits import EnvironmentLimits, NodePool, Workload
from thale.capacity.nodes import Node, Prices, get_node, required_nodes
from thale.errors import ParameterError

_EFFICIENCY = 0.8
_HEADROOM = 0.3


@dataclass(frozen=True)
class Demand:
    """The planned load."""

    rps: float
    mix: Mapping[str, float]
    """Share of each size class; the sum is 1."""
    headroom: float = _HEADROOM
    """Share of every replica's capacity that stays free at this load."""
    efficiency: float = _EFFICIENCY
    """Mean share of a predictor's cores that are busy while it processes an image. Decoding uses only one core."""
    gpu_speedup: float | None = None
    """Measured speed of a predictor on a GPU node relative to one core. None plans without GPUs."""

    def __post_init__(self) -> None:
        if not (0 < self.rps < math.inf and 0 <= self.headroom < 1 and 0 < self.efficiency <= 1):
            raise ParameterError("required: rps > 0, 0 <= headroom < 1, 0 < efficiency <= 1")
        if self.gpu_speedup is not None and not self.gpu_speedup > 0:
            raise ParameterError("gpu_speedup must be positive")
        if any(share < 0 for share in self.mix.values()) or not math.isclose(sum(self.mix.values()), 1, abs_tol=1e-6):
            raise ParameterError(f"the shares of the mix must sum to 1, not to {sum(self.mix.values()):g}")


@dataclass(frozen=True)
class Replicas:
    """Number of replicas of one workload at the planned load."""

    workload: Workload
    busy_cores: float
    """Mean number of busy cores."""
    service_time_s: float
    """Time of one image in one idle replica."""
    required: int
    """Number of replicas with the headroom."""
    count: int
    """Steady-state number of replicas of the autoscaler, which may exceed the required number."""

    @property
    def is_allowed(self) -> bool:
        """True if the manifest allows this number of replicas."""
        return self.count <= self.workload.hpa.max_replicas


@dataclass(frozen=True)
class Plan:
    """Replicas, nodes and cost of a load in one environment."""

    demand: Demand
    replicas: Mapping[str, Replicas]
    """Replicas by workload: facade, segmentation, landmarks."""
    general: Node
    general_nodes: int
    general_pool: NodePool
    gpu: Node | None
    gpu_nodes: int
    gpu_pool: NodePool
    gateway_rps: float
    """Rate limit of all gateways; above it, they return 429."""
    max_rps: float
    """Maximum load within all limits of the environment, with the same mix and headroom."""

    @property
    def cost_per_hour(self) -> float:
        """Hourly price of all nodes."""
        gpu = self.gpu.price_per_hour * self.gpu_nodes if self.gpu else 0.0
        return self.general.price_per_hour * self.general_nodes + gpu

    @property
    def cost_per_1000(self) -> float:
        """Cost of 1,000 plates at this load."""
        return self.cost_per_hour / (self.demand.rps * 3600) * 1000

    def violations(self) -> list[str]:
        """Return the exceeded limits of the environment, each with the required value."""
        lines = [
            f"{name}: {replicas.count} replicas required, maxReplicas is {replicas.workload.hpa.max_replicas}"
            for name, replicas in self.replicas.items()
            if not replicas.is_allowed
        ]
        pools = [("general", self.general_nodes, self.general_pool)]
        pools += [("inference (GPU)", self.gpu_nodes, self.gpu_pool)] if self.gpu else []
        lines += [
            f"pool {name}: {count} nodes required, max_nodes is {pool.max_nodes}"
            for name, count, pool in pools
            if count > pool.max_nodes
        ]
        if self.demand.rps > self.gateway_rps:
            lines.append(f"gateway: {self.demand.rps:g} requests/s required, the rate limit is {self.gateway_rps:g}")
        return lines


def plan(demand: Demand, benchmark: Benchmark, limits: EnvironmentLimits, prices: Prices) -> Plan:
    """Return the capacity plan of a load.

    Raises:
        ParameterError: If the mix has a size class without a benchmark, or if a VM size is unknown.
    """
    draft = _size_plan(demand, benchmark, limits, prices)
    return replace(draft, max_rps=_find_max_rps(draft, benchmark, limits, prices))


def service_seconds(cpu_s: float, workload: Workload, demand: Demand) -> float:
    """Return the service time of a predictor for an image that takes `cpu_s` CPU seconds."""
    if demand.gpu_speedup is not None:
        return cpu_s / demand.gpu_speedup
    return cpu_s / max(1.0, workload.cpu_limit * demand.efficiency)


def _size_plan(demand: Demand, benchmark: Benchmark, limits: EnvironmentLimits, prices: Prices) -> Plan:
    cpu_seconds = cpu_seconds_per_workload(demand.mix, benchmark)
    general = get_node(limits.general_pool.vm_size, prices)
    gpu = get_node(limits.gpu_pool.vm_size, prices) if demand.gpu_speedup else None
    predictors = {
        name: _size_predictor(workload, demand, cpu_seconds[name])
        for name, workload in (("segmentation", limits.segmentation), ("landmarks", limits.landmarks))
    }
    in_system_s = max(found.service_time_s for found in predictors.values()) + cpu_seconds["facade"]
    replicas = {"facade": _size_facade(limits, demand, cpu_seconds["facade"], in_system_s), **predictors}
    on_general = ["facade"] if gpu else list(replicas)
    pods = [(replicas[name].workload, replicas[name].count) for name in on_general]
    busy = sum(replicas[name].busy_cores for name in on_general)
    nodes_by_requests = required_nodes(pods, limits.baseline, general)
    nodes_by_load = math.ceil(busy / (1 - demand.headroom) / general.cpu)
    return Plan(
        demand=demand,
        replicas=replicas,
        general=general,
        general_nodes=max(limits.general_pool.min_nodes, nodes_by_requests, nodes_by_load),
        general_pool=limits.general_pool,
        gpu=gpu,
        gpu_nodes=sum(predictor.count for predictor in predictors.values()) if gpu else 0,
        gpu_pool=limits.gpu_pool,
        gateway_rps=limits.gateway.replicas * limits.gateway.requests_per_s,
        max_rps=0.0,
    )


def cpu_seconds_per_workload(mix: Mapping[str, float], benchmark: Benchmark) -> dict[str, float]:
    """Return the CPU seconds per image by workload. TorchServe's frontend runs in the pods of both predictors."""
    by_component: dict[Component, float] = benchmark.cpu_seconds(dict(mix))
    frontend = by_component["torchserve"] / 2
    return {
        "facade": by_component["facade"],
        "segmentation": by_component["segmentation"] + frontend,
        "landmarks": by_component["landmarks"] + frontend,
    }


def _size_predictor(workload: Workload, demand: Demand, cpu_s: float) -> Replicas:
    """Size a predictor. It processes one image at a time, and its autoscaler uses CPU usage relative to the request."""
    seconds = service_seconds(cpu_s, workload, demand)
    busy_cores = demand.rps * cpu_s
    required = math.ceil(demand.rps * seconds / (1 - demand.headroom))
    autoscaler_count = required
    if demand.gpu_speedup is None:
        autoscaler_count = math.ceil(busy_cores / (workload.hpa.target * workload.cpu_request))
    return Replicas(workload, busy_cores, seconds, required, max(workload.hpa.min_replicas, required, autoscaler_count))


def _size_facade(limits: EnvironmentLimits, demand: Demand, cpu_s: float, in_system_s: float) -> Replicas:
    """Size the facade by its post-processing workers, its concurrency limit, and the autoscaler's images in flight."""
    workload, admission = limits.facade, limits.admission
    cores = min(workload.cpu_limit, admission.postprocess_workers)
    load_per_replica = demand.rps * cpu_s / cores
    in_flight = demand.rps * in_system_s  # Little's law
    required = math.ceil(max(load_per_replica, in_flight / admission.max_in_flight) / (1 - demand.headroom))
    autoscaler_count = math.ceil(in_flight / workload.hpa.target)
    return Replicas(
        workload, demand.rps * cpu_s, cpu_s, required, max(workload.hpa.min_replicas, required, autoscaler_count)
    )


def _find_max_rps(draft: Plan, benchmark: Benchmark, limits: EnvironmentLimits, prices: Prices) -> float:
    """Return the maximum load within all limits, to 0.01 requests per second, by bisection."""

    def fits(rps: float) -> bool:
        return not _size_plan(replace(draft.demand, rps=rps), benchmark, limits, prices).violations()

    low, high = 0.0, draft.gateway_rps
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
