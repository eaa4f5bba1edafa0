"""Tests of the upgrade of Kubernetes: order, skipped parts, and each reason against it."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two.kubernetes_upgrade import minor_version, plan_upgrade
from deploy.day_two.procedure import Procedure, run_procedure
from tests.support.recorded_cluster import RecordedCluster, make_budget, make_node, make_service

TARGET = "1.36.1"
DEPRECATED = (
    "# TYPE apiserver_requested_deprecated_apis gauge\n"
    'apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="%s",'
    'resource="flowschemas",subresource="",version="v1beta3"} 1\n'
    "workqueue_retries_total 0\n"
)
POOLS = {"gpu": "User", "system": "System", "general": "User"}


def add_responses(
    respond: Callable[[str, Any], None], control_plane: str = "1.35.4", state: str = "Succeeded", **versions: str
) -> None:
    upgrades = [{"kubernetesVersion": TARGET, "isPreview": None}, {"kubernetesVersion": "1.37.0", "isPreview": True}]
    profile = {"kubernetesVersion": control_plane, "upgrades": upgrades}
    respond("aks get-upgrades", {"controlPlaneProfile": profile, "agentPoolProfiles": None})
    pools = [
        {
            "name": name,
            "mode": mode,
            "currentOrchestratorVersion": versions.get(name, "1.35.4"),
            "provisioningState": state,
        }
        for name, mode in POOLS.items()
    ]
    respond("aks nodepool list", pools)


def plan(context: DeployContext, cluster: RecordedCluster, target: str = TARGET) -> Procedure:
    return plan_upgrade(context, cast(Cluster, cluster), target)


def test_upgrade_starts_with_control_plane_and_system_pool(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond)
    procedure = plan(context, cluster)
    assert [action.title for action in procedure.actions] == [
        f"upgrade the control plane to {TARGET}",
        f"upgrade the pool system to {TARGET}",
        f"upgrade the pool general to {TARGET}",
        f"upgrade the pool gpu to {TARGET}",
    ]
    assert "--control-plane-only" in procedure.actions[0].commands[0]
    assert not procedure.problems


def test_upgrade_resumes_at_the_first_old_pool(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond, TARGET, system=TARGET)
    assert [action.title.split()[3] for action in plan(context, cluster).actions] == ["general", "gpu"]
    add_responses(respond, TARGET, system=TARGET, general=TARGET, gpu=TARGET)
    assert plan(context, cluster).actions == []


def test_each_action_is_followed_by_checks(
    context: DeployContext,
    cluster: RecordedCluster,
    respond: Callable[[str, Any], None],
    az_calls: Callable[[], list[list[str]]],
    readiness_checks: list[str],
) -> None:
    add_responses(respond)
    for subcommand in ("aks upgrade", "aks nodepool upgrade"):
        respond(subcommand, None)
    run_procedure(context, cast(Cluster, cluster), plan(context, cluster), apply=True)
    changes = [call for call in az_calls() if "upgrade" in call]
    assert [call[call.index("--name") + 1] for call in changes] == [
        "aks-thale-dev-westeurope",
        "system",
        "general",
        "gpu",
    ]
    assert readiness_checks == ["dev"] * 4


@pytest.mark.parametrize(("removed", "is_problem"), [("1.36", True), ("1.32", True), ("1.37", False)])
def test_upgrade_finds_requested_apis_that_are_removed(
    removed: str,
    is_problem: bool,
    context: DeployContext,
    cluster: RecordedCluster,
    respond: Callable[[str, Any], None],
) -> None:
    add_responses(respond)
    cluster.metrics = DEPRECATED % removed
    found = [problem.description for problem in plan(context, cluster).problems]
    expected = f"a client requests flowschemas.v1beta3.flowcontrol.apiserver.k8s.io, which {removed} removes"
    assert found == ([expected] if is_problem else [])


def test_upgrade_needs_the_complete_metrics(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond)
    cluster.metrics = 'apiserver_request_total{code="200"} 1\n'
    (problem,) = plan(context, cluster).problems
    assert "metrics are incomplete" in problem.description
    assert 'access = "direct"' in problem.remedy


@pytest.mark.parametrize(
    ("kind", "item", "expected"),
    [
        ("poddisruptionbudgets", make_budget("facade", 0, healthy=1), "thale/facade allows no eviction (1 of 2"),
        ("nodes", make_node("node-1", "general", is_ready=False), "the node node-1 is not ready"),
        (
            "inferenceservices",
            make_service("plate-seg", "v1-0-0", has_canary=True),
            "a rollout of plate-seg is running",
        ),
    ],
)
def test_upgrade_names_what_blocks_it(
    kind: str,
    item: Any,
    expected: str,
    context: DeployContext,
    cluster: RecordedCluster,
    respond: Callable[[str, Any], None],
) -> None:
    add_responses(respond)
    cluster.objects[kind] = [item]
    (problem,) = plan(context, cluster).problems
    assert expected in problem.description


def test_budget_without_pods_or_with_evictions_is_no_problem(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond)
    empty = make_budget("plate-seg", 0)
    empty["status"]["expectedPods"] = 0
    cluster.objects["poddisruptionbudgets"] = [empty, make_budget("facade", 1)]
    assert not plan(context, cluster).problems


def test_upgrade_rejects_a_version_that_aks_does_not_offer(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond)
    (problem,) = plan(context, cluster, "1.37.0").problems
    assert problem.description == "AKS offers no upgrade from 1.35.4 to 1.37.0"
    assert "pass one of 1.36.1" in problem.remedy


def test_upgrade_waits_for_pools_and_their_skew(
    context: DeployContext, cluster: RecordedCluster, respond: Callable[[str, Any], None]
) -> None:
    add_responses(respond, state="Upgrading", gpu="1.32.0")
    found = [problem.description for problem in plan(context, cluster).problems]
    assert "the pool system is Upgrading" in found
    assert f"the pool gpu has 1.32.0, too old for a control plane {TARGET}" in found


@pytest.mark.parametrize(("text", "expected"), [("1.36.1", (1, 36)), ("v1.9", (1, 9)), ("", (0, 0))])
def test_minor_version_reads_versions(text: str, expected: tuple[int, int]) -> None:
    assert minor_version(text) == expected
