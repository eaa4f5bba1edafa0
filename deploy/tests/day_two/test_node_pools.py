"""Tests of the drain of a node pool."""

from typing import Any, cast

import pytest

from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two.node_pools import plan_drain
from deploy.day_two.procedure import run_procedure
from tests.support.recorded_cluster import RecordedCluster, make_budget, make_node

OLD = [make_node("old-1", "general"), make_node("old-2", "general")]
NEW = make_node("new-1", "generalb")


def test_drain_cordons_all_nodes_before_the_first_drain(
    context: DeployContext, cluster: RecordedCluster, readiness_checks: list[str]
) -> None:
    cluster.objects["nodes"] = [*OLD, NEW]
    run_procedure(context, cast(Cluster, cluster), plan_drain(context, cast(Cluster, cluster), "general"), apply=True)
    assert [command[:2] for command in cluster.commands] == [
        ("cordon", "old-1"),
        ("cordon", "old-2"),
        ("drain", "old-1"),
        ("drain", "old-2"),
    ]
    assert "--ignore-daemonsets" in cluster.commands[2]
    assert not any("--force" in command or "--disable-eviction" in command for command in cluster.commands)
    assert readiness_checks == ["dev", "dev"]


def test_drain_resumes_with_cordoned_nodes(context: DeployContext, cluster: RecordedCluster) -> None:
    cluster.objects["nodes"] = [make_node("old-1", "general", cordoned=True), NEW]
    (action,) = plan_drain(context, cast(Cluster, cluster), "general").actions
    assert action.title == "drain old-1"


@pytest.mark.parametrize(
    "other",
    [
        make_node("new-1", "gpu", purpose="inference"),
        make_node("new-1", "generalb", is_ready=False),
        make_node("new-1", "generalb", cordoned=True),
    ],
    ids=["other purpose", "not ready", "cordoned"],
)
def test_drain_needs_a_ready_node_of_the_same_purpose(
    other: Any, context: DeployContext, cluster: RecordedCluster
) -> None:
    cluster.objects["nodes"] = [*OLD, other]
    (problem,) = plan_drain(context, cast(Cluster, cluster), "general").problems
    assert problem.description == "no other pool has a ready node with the same thale/purpose"


def test_drain_names_blocking_budgets_and_unknown_pools(context: DeployContext, cluster: RecordedCluster) -> None:
    cluster.objects["nodes"] = [*OLD, NEW]
    cluster.objects["poddisruptionbudgets"] = [make_budget("facade", 0)]
    (problem,) = plan_drain(context, cast(Cluster, cluster), "general").problems
    assert "thale/facade allows no eviction" in problem.description
    (problem,) = plan_drain(context, cast(Cluster, cluster), "typo").problems
    assert problem.description == "the cluster has no node of a pool typo"
