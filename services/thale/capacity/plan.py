"""From a load to replicas, nodes and money: pure functions of what was measured and what the environment may run.

Scaling assumptions, said with every plan: a picture takes the same processor seconds on a cluster's cores as on the
machine that was measured; a pod's cores work in parallel on one picture with the stated efficiency; the load is spread
evenly over the replicas. The headroom pays for what these leave out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from thale.capacity.benchmark import Measured, Part
from thale.capacity.environment_limits import Fleet, Pool, Workload
from thale.capacity.nodes import Node, Prices, node_of, nodes_for
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
    gpu_times: float | None = None
    """How many times faster a predictor on a GPU node is than one core, for who has measured that; None: no GPU."""

    def __post_init__(self) -> None:
        if not (0 < self.rps < math.inf and 0 <= self.headroom < 1 and 0 < self.efficiency <= 1):
            raise ParameterError("rps must be positive, headroom from 0 to below 1, efficiency above 0 and at most 1")
        if self.gpu_times is not None and not self.gpu_times > 0:
            raise ParameterError("a GPU is some times faster than a core: gpu_times must be positive")
        if any(share < 0 for share in self.mix.values()) or not math.isclose(sum(self.mix.values()), 1, abs_tol=1e-6):
            raise ParameterError(f"the shares of the mix must sum up to 1, not to {sum(self.mix.values()):g}")


@dataclass(frozen=True)
class Replicas:
    """How many replicas of one workload a load takes, and why."""

    workload: Workload
    busy_cores: float
    """Cores' worth of work at any moment."""
    seconds: float
    """One picture's time in one replica, with nobody before it."""
    needed: int
    """With the headroom."""
    count: int
    """What the autoscaler settles at: it may keep more free than the headroom asks for."""

    @property
    def allowed(self) -> bool:
        """Whether the manifest lets the autoscaler go so far."""
        return self.count <= self.workload.scaler.most


@dataclass(frozen=True)
class Plan:
    """What a load takes in one environment."""

    demand: Demand
    parts: Mapping[str, Replicas]
    """By workload: facade, segmentation, landmarks."""
    general: Node
    general_nodes: int
    general_pool: Pool
    gpu: Node | None
    gpu_nodes: int
    gpu_pool: Pool
    gateway_rps: float
    """What the gateways let through before they answer 429."""
    holds_rps: float
    """The load at which the first of the environment's limits is reached, with the same mix and headroom."""

    @property
    def cost_hour(self) -> float:
        """Price of an hour of the nodes that carry the load."""
        gpu = self.gpu.price_hour * self.gpu_nodes if self.gpu else 0.0
        return self.general.price_hour * self.general_nodes + gpu

    @property
    def cost_1000(self) -> float:
        """Price of 1,000 plates at this load."""
        return self.cost_hour / (self.demand.rps * 3600) * 1000

    def beyond(self) -> list[str]:
        """Return the limits of the environment that this load does not fit into, each with what it would take."""
        told = [
            f"{name}: {found.count} replicas, and maxReplicas is {found.workload.scaler.most}"
            for name, found in self.parts.items()
            if not found.allowed
        ]
        pools = [("general", self.general_nodes, self.general_pool)]
        pools += [("inference (GPU)", self.gpu_nodes, self.gpu_pool)] if self.gpu else []
        told += [
            f"pool {name}: {count} nodes, and max_nodes is {pool.most}"
            for name, count, pool in pools
            if count > pool.most
        ]
        if self.demand.rps > self.gateway_rps:
            told.append(
                f"gateway: {self.demand.rps:g} requests/s, and its rate limit lets {self.gateway_rps:g} through"
            )
        return told


def plan(demand: Demand, measured: Measured, fleet: Fleet, prices: Prices) -> Plan:
    """Return what a load takes.

    Raises:
        ParameterError: If the mix names a class that was not measured, or a size of machine is not known.
    """
    made = _sized(demand, measured, fleet, prices)
    return replace(made, holds_rps=_holds(made, measured, fleet, prices))


def service_seconds(processor_s: float, workload: Workload, demand: Demand) -> float:
    """Return how long a predictor works on a picture that costs so many processor seconds."""
    if demand.gpu_times is not None:
        return processor_s / demand.gpu_times
    return processor_s / max(1.0, workload.cpu_limit * demand.efficiency)


def _sized(demand: Demand, measured: Measured, fleet: Fleet, prices: Prices) -> Plan:
    work = work_of(demand.mix, measured)
    general = node_of(fleet.general_pool.vm_size, prices)
    gpu = node_of(fleet.gpu_pool.vm_size, prices) if demand.gpu_times else None
    predictors = {
        name: _predictor(workload, demand, work[name])
        for name, workload in (("segmentation", fleet.segmentation), ("landmarks", fleet.landmarks))
    }
    in_system_s = max(found.seconds for found in predictors.values()) + work["facade"]
    parts = {"facade": _facade(fleet, demand, work["facade"], in_system_s), **predictors}
    on_general = ["facade"] if gpu else list(parts)
    pods = [(parts[name].workload, parts[name].count) for name in on_general]
    busy = sum(parts[name].busy_cores for name in on_general)
    by_requests = nodes_for(pods, fleet.standing, general)
    by_work = math.ceil(busy / (1 - demand.headroom) / general.cpu)
    return Plan(
        demand=demand,
        parts=parts,
        general=general,
        general_nodes=max(fleet.general_pool.least, by_requests, by_work),
        general_pool=fleet.general_pool,
        gpu=gpu,
        gpu_nodes=sum(found.count for found in predictors.values()) if gpu else 0,
        gpu_pool=fleet.gpu_pool,
        gateway_rps=fleet.gateway.replicas * fleet.gateway.requests_per_s,
        holds_rps=0.0,
    )


def work_of(mix: Mapping[str, float], measured: Measured) -> dict[str, float]:
    """Return the processor seconds of a picture by workload. TorchServe's frontend runs in both predictors' pods."""
    spent: dict[Part, float] = measured.processor_s(dict(mix))
    frontend = spent["torchserve"] / 2
    return {
        "facade": spent["facade"],
        "segmentation": spent["segmentation"] + frontend,
        "landmarks": spent["landmarks"] + frontend,
    }


def _predictor(workload: Workload, demand: Demand, processor_s: float) -> Replicas:
    """Size a predictor: it works on one picture at a time, and its autoscaler looks at processor time over requests."""
    seconds = service_seconds(processor_s, workload, demand)
    busy_cores = demand.rps * processor_s
    needed = math.ceil(demand.rps * seconds / (1 - demand.headroom))
    settles = needed
    if demand.gpu_times is None:
        settles = math.ceil(busy_cores / (workload.scaler.target * workload.cpu_request))
    return Replicas(workload, busy_cores, seconds, needed, max(workload.scaler.least, needed, settles))


def _facade(fleet: Fleet, demand: Demand, processor_s: float, in_system_s: float) -> Replicas:
    """Size the facade: its measuring processes, its places at work, and the in-flight images that it is scaled by."""
    workload, places = fleet.facade, fleet.places
    cores = min(workload.cpu_limit, places.measuring)
    by_work = demand.rps * processor_s / cores
    in_flight = demand.rps * in_system_s  # Little's law
    needed = math.ceil(max(by_work, in_flight / places.working) / (1 - demand.headroom))
    settles = math.ceil(in_flight / workload.scaler.target)
    return Replicas(
        workload, demand.rps * processor_s, processor_s, needed, max(workload.scaler.least, needed, settles)
    )


def _holds(made: Plan, measured: Measured, fleet: Fleet, prices: Prices) -> float:
    """Return the greatest load that stays within every limit, to a hundredth, by halving."""

    def fits(rps: float) -> bool:
        return not _sized(replace(made.demand, rps=rps), measured, fleet, prices).beyond()

    least, most = 0.0, made.gateway_rps
    while most - least > 0.01:
        middle = (least + most) / 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least
