"""Replacement of a node pool: cordon all its nodes, then drain one after the other."""

from collections.abc import Iterator, Sequence

from deploy import readiness
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.cluster_checks import POOL_LABEL, Resource, is_schedulable
from deploy.day_two.procedure import Action, Procedure
from deploy.errors import MissingPrerequisite

_PURPOSE_LABEL = "thale/purpose"
_GRACE_TIMEOUT = "10m"
"""Time limit of one drain. A predictor's pod ends within 60 s, a facade's within 100 s (docs/adr/0111)."""


def plan_drain(context: DeployContext, cluster: Cluster, pool: str) -> Procedure:
    """Return the actions that move all pods off a pool. Nodes that are cordoned and empty are drained again at no cost.

    Raises:
        CommandError: If kubectl fails.
    """
    nodes = cluster_checks.list_nodes(cluster, pool)
    cordon = [("kubectl", "cordon", node["metadata"]["name"]) for node in nodes if is_schedulable(node)]
    actions = (
        [Action(f"cordon the nodes of {pool}, so that no pod moves to another old node", cordon)] if cordon else []
    )
    actions += [_drain(context, node) for node in nodes]
    return Procedure(
        name=f"drain of the pool {pool}",
        actions=actions,
        problems=list(_problems(cluster, pool, nodes)),
        undo=f"kubectl uncordon --selector {POOL_LABEL}={pool}",
    )


def _drain(context: DeployContext, node: Resource) -> Action:
    name = node["metadata"]["name"]
    command = (
        *("kubectl", "drain", name, "--ignore-daemonsets", "--delete-emptydir-data"),
        *("--timeout", _GRACE_TIMEOUT),
    )
    return Action(f"drain {name}", [command], check=lambda: readiness.run(context))


def _problems(cluster: Cluster, pool: str, nodes: Sequence[Resource]) -> Iterator[MissingPrerequisite]:
    if not nodes:
        yield MissingPrerequisite(f"the cluster has no node of a pool {pool}", f"kubectl get nodes -L {POOL_LABEL}")
        return
    purposes = {node["metadata"].get("labels", {}).get(_PURPOSE_LABEL) for node in nodes}
    others = [
        node
        for node in cluster_checks.list_nodes(cluster)
        if node["metadata"].get("labels", {}).get(POOL_LABEL) != pool
        and node["metadata"].get("labels", {}).get(_PURPOSE_LABEL) in purposes
        and is_schedulable(node)
    ]
    if not others:
        yield MissingPrerequisite(
            f"no other pool has a ready node with the same {_PURPOSE_LABEL}",
            "create it first: terraform/modules/region/pools.tf (GPUs: gpu_pools in the tfvars), then make deploy",
        )
    yield from cluster_checks.find_unready_objects(cluster)
    yield from cluster_checks.find_running_rollouts(cluster)
    yield from cluster_checks.find_blocking_budgets(cluster)
