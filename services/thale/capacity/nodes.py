"""Nodes: allocatable resources, hourly price, and the number of nodes for a set of pods."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thale.capacity.environment_limits import BaselineUsage, Workload
from thale.errors import ParameterError

_DEFAULT_PRICES_PATH = Path(__file__).with_name("prices.toml")

_GIB_A_CORE = {"Standard_D": 4.0, "Standard_NC4as_T4": 7.0, "Standard_NC24ads_A100": 9.1667}
"""Memory per core of a VM size (Azure's tables of sizes: D*ds_v5, NCasT4_v3, NC_A100_v4)."""
_KUBELET_RESERVED_CORES = ((1, 0.06), (2, 0.10), (4, 0.14), (8, 0.18), (16, 0.26), (32, 0.42), (64, 0.74))
"""Cores that AKS reserves for the kubelet (learn.microsoft.com, AKS, "Node resource reservations")."""
_KUBELET_RESERVED_MIB, _EVICTION_MIB = 20 * 110 + 50, 100
"""Memory that AKS reserves: 20 MB for each of 110 pods and 50 MB, and the eviction threshold."""
_DAEMONS = BaselineUsage(cpu=0.5, memory_mib=900)
"""Assumed usage of the DaemonSets of AKS and the platform: Cilium, CSI, collectors of metrics and logs."""


@dataclass(frozen=True)
class Prices:
    """Hourly price of each VM size, with currency and date."""

    vm_hour: Mapping[str, float]
    cores: Mapping[str, int]
    currency: str
    date: str
    hours_per_month: float


@dataclass(frozen=True)
class Node:
    """One node: its allocatable resources without AKS' reservations and DaemonSets, and its price."""

    vm_size: str
    cpu: float
    memory_mib: float
    price_per_hour: float


def read_prices(path: Path | None = None) -> Prices:
    """Read prices.toml, by default the one in the package.

    Raises:
        ParameterError: If the file is unreadable or incomplete.
    """
    path = path or _DEFAULT_PRICES_PATH
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Prices(
            vm_hour=data["vm_hour"],
            cores=data["vm_cores"],
            currency=data["currency"],
            date=str(data["date"]),
            hours_per_month=data["usage"]["hours"],
        )
    except (OSError, ValueError, KeyError) as error:
        raise ParameterError(f"the prices {path} are unreadable: {error}") from error


def get_node(vm_size: str, prices: Prices) -> Node:
    """Return a node of a VM size.

    Raises:
        ParameterError: If the VM size has no price or is unknown.
    """
    try:
        cores, price = prices.cores[vm_size], prices.vm_hour[vm_size]
        gib = cores * next(ratio for family, ratio in _GIB_A_CORE.items() if vm_size.startswith(family))
    except (KeyError, StopIteration):
        raise ParameterError(f"{vm_size}: unknown price or VM size") from None
    reserved = next(reserved for min_cores, reserved in reversed(_KUBELET_RESERVED_CORES) if cores >= min_cores)
    return Node(
        vm_size=vm_size,
        cpu=cores - reserved - _DAEMONS.cpu,
        memory_mib=gib * 1024 - _KUBELET_RESERVED_MIB - _EVICTION_MIB - _DAEMONS.memory_mib,
        price_per_hour=price,
    )


def required_nodes(pods: Sequence[tuple[Workload, int]], baseline: BaselineUsage, node: Node) -> int:
    """Return the number of nodes for the given pods, by first-fit decreasing.

    The Kubernetes scheduler packs about as well. The baseline usage counts as divisible.

    Args:
        pods: Workloads with their numbers of replicas.
        baseline: Resource requests of thale's other pods.
        node: The node type.

    Raises:
        ParameterError: If a pod does not fit on a node.
    """
    count = max(math.ceil(baseline.cpu / node.cpu), math.ceil(baseline.memory_mib / node.memory_mib))
    free_by_node = [[count * node.cpu - baseline.cpu, count * node.memory_mib - baseline.memory_mib]]
    for workload, replicas in sorted(pods, key=lambda pod: -pod[0].cpu_request):
        if workload.cpu_request > node.cpu or workload.memory_request_mib > node.memory_mib:
            raise ParameterError(f"a pod that requests {workload.cpu_request:g} cores does not fit on {node.vm_size}")
        unplaced = replicas
        for free in free_by_node:
            placed = min(unplaced, int(free[0] / workload.cpu_request), int(free[1] / workload.memory_request_mib))
            free[0] -= placed * workload.cpu_request
            free[1] -= placed * workload.memory_request_mib
            unplaced -= placed
        while unplaced > 0:
            placed = min(
                unplaced, int(node.cpu / workload.cpu_request), int(node.memory_mib / workload.memory_request_mib)
            )
            free_by_node.append(
                [node.cpu - placed * workload.cpu_request, node.memory_mib - placed * workload.memory_request_mib]
            )
            unplaced -= placed
            count += 1
    return count
