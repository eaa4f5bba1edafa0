"""From a load to replicas, nodes and money: pure functions of what was measured and what the environment may run.

Scaling assumptions, said with every plan: a picture takes the same processor seconds on a cluster's cores as on the
machine that was measured; a pod's cores work in parallel on one picture with the stated efficiency; the load is spread
evenly over the replicas. The headroom pays for what these leave out.
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
    """The load to plan for."""

    rps: float
    mix: Mapping[str, float]
    """Share of each class of image size; sums up to 1."""
    headroom: float = _HEADROOM
    """Part of every replica's capacity that is kept free at this load."""
    efficiency: float = _EFFICIENCY
    """Part of a predictor's cores that are busy, on average, while it works on a picture: decoding uses one of them."""
    gpu_speedup: float | None = None
    """How many times faster a predictor on a GPU node is than one core, for who has measured that; None: no GPU."""

    def __post_init__(self) -> None:
        if not (0 < self.rps < math.inf and 0 <= self.headroom < 1 and 0 < self.efficiency <= 1):
            raise ParameterError("rps must be positive, headroom from 0 to below 1, efficiency above 0 and at most 1")
        if self.gpu_speedup is not None and not self.gpu_speedup > 0:
            raise ParameterError("a GPU is some times faster than a core: gpu_speedup must be positive")
        if any(share < 0 for share in self.mix.values()) or not math.isclose(sum(self.mix.values()), 1, abs_tol=1e-6):
            raise ParameterError(f"the shares of the mix must sum up to 1, not to {sum(self.mix.values()):g}")


@dataclass(frozen=True)
class Replicas:
    """How many replicas of one workload a load takes, and why."""

    workload: Workload
    busy_cores: float
    """Cores' worth of work at any moment."""
    service_time_s: float
    """One picture's time in one replica, with nobody before it."""
    required: int
    """With the headroom."""
    count: int
    """What the autoscaler settles at: it may keep more free than the headroom asks for."""

    @property
    def is_allowed(self) -> bool:
        """Whether the manifest lets the autoscaler go so far."""
        return self.count <= self.workload.hpa.max_replicas


@dataclass(frozen=True)
class Plan:
    """What a load takes in one environment."""

    demand: Demand
    replicas: Mapping[str, Replicas]
    """By workload: facade, segmentation, landmarks."""
    general: Node
    general_nodes: int
    general_pool: NodePool
    gpu: Node | None
    gpu_nodes: int
    gpu_pool: NodePool
    gateway_rps: float
    """What the gateways let through before they answer 429."""
    max_rps: float
    """The load at which the first of the environment's limits is reached, with the same mix and headroom."""

    @property
    def cost_per_hour(self) -> float:
        """Price of an hour of the nodes that carry the load."""
        gpu = self.gpu.price_per_hour * self.gpu_nodes if self.gpu else 0.0
        return self.general.price_per_hour * self.general_nodes + gpu

    @property
    def cost_per_1000(self) -> float:
        """Price of 1,000 plates at this load."""
        return self.cost_per_hour / (self.demand.rps * 3600) * 1000

    def violations(self) -> list[str]:
        """Return the limits of the environment that this load does not fit into, each with what it would take."""
        lines = [
            f"{name}: {found.count} replicas, and maxReplicas is {found.workload.hpa.max_replicas}"
            for name, found in self.replicas.items()
            if not found.is_allowed
        ]
        pools = [("general", self.general_nodes, self.general_pool)]
        pools += [("inference (GPU)", self.gpu_nodes, self.gpu_pool)] if self.gpu else []
        lines += [
            f"pool {name}: {count} nodes, and max_nodes is {pool.max_nodes}"
            for name, count, pool in pools
            if count > pool.max_nodes
        ]
        if self.demand.rps > self.gateway_rps:
            lines.append(
                f"gateway: {self.demand.rps:g} requests/s, and its rate limit lets {self.gateway_rps:g} through"
            )
        return lines


def plan(demand: Demand, benchmark: Benchmark, limits: EnvironmentLimits, prices: Prices) -> Plan:
    """Return what a load takes.

    Raises:
        ParameterError: If the mix names a class that was not measured, or a size of machine is not known.
    """
    draft = _size_plan(demand, benchmark, limits, prices)
    return replace(draft, max_rps=_find_max_rps(draft, benchmark, limits, prices))


def service_seconds(cpu_s: float, workload: Workload, demand: Demand) -> float:
    """Return how long a predictor works on a picture that costs so many processor seconds."""
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
        gpu_nodes=sum(found.count for found in predictors.values()) if gpu else 0,
        gpu_pool=limits.gpu_pool,
        gateway_rps=limits.gateway.replicas * limits.gateway.requests_per_s,
        max_rps=0.0,
    )


def cpu_seconds_per_workload(mix: Mapping[str, float], benchmark: Benchmark) -> dict[str, float]:
    """Return the processor seconds of a picture by workload. TorchServe's frontend runs in both predictors' pods."""
    by_component: dict[Component, float] = benchmark.cpu_seconds(dict(mix))
    frontend = by_component["torchserve"] / 2
    return {
        "facade": by_component["facade"],
        "segmentation": by_component["segmentation"] + frontend,
        "landmarks": by_component["landmarks"] + frontend,
    }


def _size_predictor(workload: Workload, demand: Demand, cpu_s: float) -> Replicas:
    """Size a predictor: it works on one picture at a time, and its autoscaler looks at processor time over requests."""
    seconds = service_seconds(cpu_s, workload, demand)
    busy_cores = demand.rps * cpu_s
    required = math.ceil(demand.rps * seconds / (1 - demand.headroom))
    autoscaler_count = required
    if demand.gpu_speedup is None:
        autoscaler_count = math.ceil(busy_cores / (workload.hpa.target * workload.cpu_request))
    return Replicas(workload, busy_cores, seconds, required, max(workload.hpa.min_replicas, required, autoscaler_count))


def _size_facade(limits: EnvironmentLimits, demand: Demand, cpu_s: float, in_system_s: float) -> Replicas:
    """Size the facade: its measuring processes, its places at work, and the in-flight images that it is scaled by."""
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
    """Return the greatest load that stays within every limit, to a hundredth, by halving."""

    def fits(rps: float) -> bool:
        return not _size_plan(replace(draft.demand, rps=rps), benchmark, limits, prices).violations()

    low, high = 0.0, draft.gateway_rps
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
