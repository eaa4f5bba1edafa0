"""Checks of a cluster before and after a change: readiness, rollouts, disruption budgets, nodes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy import readiness
from deploy.cluster import Cluster
from deploy.context import NAMESPACE
from deploy.errors import MissingPrerequisite, NotReadyError

POOL_LABEL = "kubernetes.azure.com/agentpool"
_SERVICES = "inferenceservices.serving.kserve.io"

Resource = Mapping[str, Any]


def find_unready_objects(cluster: Cluster) -> list[MissingPrerequisite]:
    """Return a problem for each object of thale that is not ready."""
    return [
        MissingPrerequisite(f"not ready: {line}", "repair it first: kubectl describe, or make rollback")
        for line, _ in readiness.unready_objects(cluster)
    ]


def find_running_rollouts(cluster: Cluster) -> list[MissingPrerequisite]:
    """Return a problem for each model with a canary: a change of the cluster would disturb its judgement."""
    found = (cluster.get(_SERVICES, "--namespace", NAMESPACE) or {}).get("items", ())
    return [
        MissingPrerequisite(
            f"a rollout of {name} is running",
            f"wait for its end, or end it: thale release rollback {name}",
        )
        for service in found
        if service["spec"].get("canary")
        for name in [service["metadata"]["name"]]
    ]


def find_blocking_budgets(cluster: Cluster) -> list[MissingPrerequisite]:
    """Return a problem for each PodDisruptionBudget that allows no eviction: it would block the drain of a node."""
    found = (cluster.get("poddisruptionbudgets.policy", "--all-namespaces") or {}).get("items", ())
    return [
        MissingPrerequisite(
            f"the PodDisruptionBudget {budget['metadata']['namespace']}/{budget['metadata']['name']} allows no "
            f"eviction ({status.get('currentHealthy', 0)} of {status.get('desiredHealthy', 0)} required pods healthy)",
            "repair its pods, or add a replica",
        )
        for budget in found
        if (status := budget.get("status") or {}).get("expectedPods", 0) > 0
        and status.get("disruptionsAllowed", 0) == 0
    ]


def list_nodes(cluster: Cluster, pool: str | None = None) -> Sequence[Resource]:
    """Return all nodes, or those of a pool."""
    selector = ("--selector", f"{POOL_LABEL}={pool}") if pool else ()
    found: Sequence[Resource] = (cluster.get("nodes", *selector) or {}).get("items", ())
    return found


def is_schedulable(node: Resource) -> bool:
    """Return whether a node is ready and accepts new pods."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and not node["spec"].get("unschedulable", False)


def find_unready_nodes(cluster: Cluster) -> list[MissingPrerequisite]:
    """Return a problem for each node that is not ready. A cordoned node is not a problem."""
    return [
        MissingPrerequisite(f"the node {name} is not ready", f"kubectl describe node {name}")
        for name in _unready_names(list_nodes(cluster))
    ]


def check_nodes(cluster: Cluster) -> None:
    """Check that all nodes are ready.

    Raises:
        NotReadyError: If one is not.
    """
    if names := list(_unready_names(list_nodes(cluster))):
        raise NotReadyError(f"nodes that are not ready: {', '.join(names)}; kubectl describe node names the reason")


def _unready_names(nodes: Sequence[Resource]) -> Iterator[str]:
    for node in nodes:
        conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
        if conditions.get("Ready") != "True":
            yield node["metadata"]["name"]
