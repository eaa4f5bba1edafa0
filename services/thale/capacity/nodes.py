"""Nodes: what one has room for, what an hour of one costs, and how many a set of pods takes."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thale.capacity.environment_limits import Standing, Workload
from thale.capacity.packaged import packaged
from thale.errors import ParameterError

_GIB_A_CORE = {"Standard_D": 4.0, "Standard_NC4as_T4": 7.0, "Standard_NC24ads_A100": 9.1667}
"""Memory of a size for each core (Azure's tables of sizes: D*ds_v5, NCasT4_v3, NC_A100_v4)."""
_KUBELET_CORES = ((1, 0.06), (2, 0.10), (4, 0.14), (8, 0.18), (16, 0.26), (32, 0.42), (64, 0.74))
"""Cores that AKS keeps for the kubelet (learn.microsoft.com, AKS, "Node resource reservations")."""
_KUBELET_MIB, _EVICTION_MIB = 20 * 110 + 50, 100
"""Memory likewise: 20 MB for each of 110 pods and 50 MB, and the eviction threshold."""
_DAEMONS = Standing(cpu=0.5, memory_mib=900)
"""Assumed for the pods that AKS and the platform run on every node: Cilium, CSI, metrics and logs collectors."""


@dataclass(frozen=True)
class Prices:
    """An hour of each size of machine, and where the figures are from."""

    vm_hour: Mapping[str, float]
    cores: Mapping[str, int]
    currency: str
    date: str
    hours_a_month: float


@dataclass(frozen=True)
class Node:
    """One node: what it has room for after AKS and its daemons, and its price."""

    vm_size: str
    cpu: float
    memory_mib: float
    price_hour: float


def read_prices(path: Path | None = None) -> Prices:
    """Read prices.toml; None reads the one that thale comes with.

    Raises:
        ParameterError: If the file cannot be read or lacks something.
    """
    path = path or packaged("prices.toml", "terraform")
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Prices(
            vm_hour=told["vm_hour"],
            cores=told["vm_cores"],
            currency=told["currency"],
            date=str(told["date"]),
            hours_a_month=told["usage"]["hours"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise ParameterError(f"the prices cannot be read from {path}: {error}") from error


def node_of(vm_size: str, prices: Prices) -> Node:
    """Return a node of a size.

    Raises:
        ParameterError: If the size has no price or is not known here.
    """
    try:
        cores, price = prices.cores[vm_size], prices.vm_hour[vm_size]
        gib = cores * next(ratio for family, ratio in _GIB_A_CORE.items() if vm_size.startswith(family))
    except (KeyError, StopIteration):
        raise ParameterError(f"{vm_size}: no price or no size is known for it") from None
    kept = next(kept for most, kept in reversed(_KUBELET_CORES) if cores >= most)
    return Node(
        vm_size=vm_size,
        cpu=cores - kept - _DAEMONS.cpu,
        memory_mib=gib * 1024 - _KUBELET_MIB - _EVICTION_MIB - _DAEMONS.memory_mib,
        price_hour=price,
    )


def nodes_for(pods: Sequence[tuple[Workload, int]], standing: Standing, node: Node) -> int:
    """Return how many nodes have room for so many pods of each workload: largest first, each where it fits first.

    The scheduler does about as well; what stands there already is taken as divisible.

    Raises:
        ParameterError: If a pod fits on no node.
    """
    count = max(math.ceil(standing.cpu / node.cpu), math.ceil(standing.memory_mib / node.memory_mib))
    room = [[count * node.cpu - standing.cpu, count * node.memory_mib - standing.memory_mib]]
    for workload, replicas in sorted(pods, key=lambda pod: -pod[0].cpu_request):
        if workload.cpu_request > node.cpu or workload.memory_request_mib > node.memory_mib:
            raise ParameterError(f"a pod that asks for {workload.cpu_request:g} cores fits on no {node.vm_size}")
        left = replicas
        for free in room:
            fit = min(left, int(free[0] / workload.cpu_request), int(free[1] / workload.memory_request_mib))
            free[0] -= fit * workload.cpu_request
            free[1] -= fit * workload.memory_request_mib
            left -= fit
        while left > 0:
            fit = min(left, int(node.cpu / workload.cpu_request), int(node.memory_mib / workload.memory_request_mib))
            room.append([node.cpu - fit * workload.cpu_request, node.memory_mib - fit * workload.memory_request_mib])
            left -= fit
            count += 1
    return count
