"""Tests of procedures: a dry run changes nothing, and a failed check stops."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two.procedure import Action, Procedure, run_procedure
from deploy.errors import DeployError, MissingPrerequisite, PrerequisitesMissingError
from tests.support.recorded_cluster import RecordedCluster

PROBLEM = MissingPrerequisite("a rollout of plate-seg is running", "wait for its end")


def run(context: DeployContext, cluster: RecordedCluster, procedure: Procedure, *, apply: bool) -> None:
    run_procedure(context, cast(Cluster, cluster), procedure, apply=apply)


def test_dry_run_prints_the_commands_and_runs_none(
    context: DeployContext, cluster: RecordedCluster, output: Callable[[], str]
) -> None:
    executed: list[str] = []
    action = Action("cordon", [("kubectl", "cordon", "a b")], execute=lambda: executed.append("x"))
    run(context, cluster, Procedure("drain", [action], undo="kubectl uncordon"), apply=False)
    assert "kubectl cordon 'a b'" in output()
    assert "dry run: nothing was changed" in output()
    assert "to go back: kubectl uncordon" in output()
    assert not cluster.commands
    assert not executed


def test_apply_runs_commands_then_code_then_check(context: DeployContext, cluster: RecordedCluster) -> None:
    order: list[Any] = []
    action = Action(
        "change",
        [("kubectl", "apply", "--filename", "-")],
        execute=lambda: order.append(list(cluster.commands)),
        check=lambda: order.append("check"),
        stdin="kind: X",
    )
    run(context, cluster, Procedure("change", [action]), apply=True)
    assert order == [[("apply", "--filename", "-")], "check"]
    assert cluster.stdin == ["kind: X"]


def test_problems_stop_apply_and_are_printed_by_a_dry_run(
    context: DeployContext, cluster: RecordedCluster, output: Callable[[], str]
) -> None:
    procedure = Procedure("upgrade", [Action("change", [("kubectl", "x")])], [PROBLEM])
    run(context, cluster, procedure, apply=False)
    assert "not possible now: a rollout of plate-seg is running. wait for its end" in output()
    with pytest.raises(PrerequisitesMissingError, match="a rollout of plate-seg"):
        run(context, cluster, procedure, apply=True)
    assert not cluster.commands


def test_failed_check_stops_before_the_next_action(context: DeployContext, cluster: RecordedCluster) -> None:
    def fail() -> None:
        raise DeployError("not ready")

    actions = [Action("first", [("kubectl", "1")], check=fail), Action("second", [("kubectl", "2")])]
    with pytest.raises(DeployError, match="not ready"):
        run(context, cluster, Procedure("upgrade", actions), apply=True)
    assert cluster.commands == [("1",)]


def test_procedure_without_actions_has_nothing_to_do(
    context: DeployContext, cluster: RecordedCluster, output: Callable[[], str]
) -> None:
    run(context, cluster, Procedure("upgrade", []), apply=True)
    assert "upgrade: nothing to do" in output()
