"""Upgrade of Kubernetes to the next minor version: control plane, then system pools, then the other pools."""

import re
from collections.abc import Iterator, Sequence

from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, TypeAdapter

from deploy import readiness
from deploy.addons.table import read_table
from deploy.cluster import Cluster, locate_cluster
from deploy.context import DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.procedure import Action, Command, Procedure
from deploy.errors import MissingPrerequisite
from deploy.subscription import az

_DEPRECATED_APIS = "apiserver_requested_deprecated_apis"
"""Metric of the API server: 1 for each deprecated API that a client has requested since its start."""
_LAST_METRICS = "workqueue_"
"""Start of the last metrics of an API server, which are in alphabetical order."""
_MAX_SKEW = 3
"""Minor versions that a kubelet may be older than the API server (kubernetes.io, version skew policy)."""


class _Version(BaseModel):
    kubernetesVersion: str
    isPreview: bool | None = None


class _ControlPlane(BaseModel):
    kubernetesVersion: str
    upgrades: tuple[_Version, ...] | None = None


class _Upgrades(BaseModel):
    controlPlaneProfile: _ControlPlane


class _Pool(BaseModel):
    name: str
    mode: str
    currentOrchestratorVersion: str
    provisioningState: str


_POOLS = TypeAdapter(tuple[_Pool, ...])


def plan_upgrade(context: DeployContext, cluster: Cluster, target: str) -> Procedure:
    """Return the upgrade to a version such as `1.36.1`. Parts that have the version already are left out.

    Raises:
        CommandError: If `az` or kubectl fails.
    """
    aks = locate_cluster(context)
    options = ("--resource-group", aks.resource_group)
    control_plane = _Upgrades.model_validate(
        az(context.settings, "aks", "get-upgrades", *options, "--name", aks.name)
    ).controlPlaneProfile
    pools = _POOLS.validate_python(
        az(context.settings, "aks", "nodepool", "list", *options, "--cluster-name", aks.name)
    )

    def check() -> None:
        cluster_checks.check_nodes(cluster)
        readiness.run(context)

    subscription = ("--subscription", str(context.settings.subscription_id))
    actions: list[Action] = []
    command: Command
    if control_plane.kubernetesVersion != target:
        command = (
            *("az", "aks", "upgrade", *options, "--name", aks.name, "--control-plane-only"),
            *("--kubernetes-version", target, "--yes", *subscription),
        )
        actions.append(Action(f"upgrade the control plane to {target}", [command], check=check))
    for pool in sorted(pools, key=lambda pool: (pool.mode != "System", pool.name)):
        if pool.currentOrchestratorVersion != target:
            command = (
                *("az", "aks", "nodepool", "upgrade", *options, "--cluster-name", aks.name, "--name", pool.name),
                *("--kubernetes-version", target, "--yes", *subscription),
            )
            actions.append(Action(f"upgrade the pool {pool.name} to {target}", [command], check=check))
    return Procedure(
        name=f"upgrade of Kubernetes to {target}",
        actions=actions,
        problems=[*_version_problems(control_plane, pools, target), *find_problems(cluster, target)] if actions else [],
        undo="a control plane cannot be downgraded; a pool can be replaced by a new one with the former version",
    )


def find_problems(cluster: Cluster, target: str) -> list[MissingPrerequisite]:
    """Return the reasons in the cluster against an upgrade to a version."""
    return [
        *_deprecated_apis(cluster, target),
        *cluster_checks.find_unready_nodes(cluster),
        *cluster_checks.find_unready_objects(cluster),
        *cluster_checks.find_running_rollouts(cluster),
        *cluster_checks.find_blocking_budgets(cluster),
    ]


def minor_version(version: str) -> tuple[int, int]:
    """Return major and minor version of a text such as `1.36.1` or `1.36`."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _version_problems(
    control_plane: _ControlPlane, pools: Sequence[_Pool], target: str
) -> Iterator[MissingPrerequisite]:
    current = control_plane.kubernetesVersion
    available = [each.kubernetesVersion for each in control_plane.upgrades or () if not each.isPreview]
    if current != target and target not in available:
        yield MissingPrerequisite(
            f"AKS offers no upgrade from {current} to {target}",
            f"pass one of {', '.join(available) or 'none'}; a minor version cannot be skipped",
        )
    for pool in pools:
        if pool.provisioningState != "Succeeded":
            yield MissingPrerequisite(
                f"the pool {pool.name} is {pool.provisioningState}",
                "wait for its present operation: az aks nodepool show",
            )
        if minor_version(target)[1] - minor_version(pool.currentOrchestratorVersion)[1] > _MAX_SKEW:
            yield MissingPrerequisite(
                f"the pool {pool.name} has {pool.currentOrchestratorVersion}, too old for a control plane {target}",
                "upgrade the pool to the version of the control plane first",
            )
    minimum = read_table().kubernetes
    if minor_version(target) < minor_version(minimum):
        yield MissingPrerequisite(f"the add-ons need Kubernetes {minimum}", "pass a newer version")


def _deprecated_apis(cluster: Cluster, target: str) -> Iterator[MissingPrerequisite]:
    """Yield each API that the target version no longer has and that a client still requests."""
    lines = cluster.kubectl("get", "--raw", "/metrics").splitlines()
    if not any(line.startswith(_LAST_METRICS) for line in lines):
        yield MissingPrerequisite(
            "the API server's metrics are incomplete, so requests of removed APIs are unknown",
            'set access = "direct" in the settings: az aks command invoke returns at most 512 kB',
        )
    text = "\n".join(line for line in lines if line.startswith(_DEPRECATED_APIS)) + "\n"
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            removed = labels.get("removed_release", "")
            if sample.value and removed and minor_version(removed) <= minor_version(target):
                name = f"{labels['resource']}.{labels['version']}.{labels['group']}".rstrip(".")
                yield MissingPrerequisite(
                    f"a client requests {name}, which {removed} removes",
                    "upgrade the client: the API server's audit log names it (userAgent)",
                )
