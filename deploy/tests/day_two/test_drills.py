"""Tests of the drills. test_rebuild.py runs the restoration with a fake API server."""

from collections.abc import Callable

import pytest

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.day_two import drills
from deploy.day_two.procedure import Procedure
from deploy.day_two.release_copies import models_without_copy
from deploy.errors import DeployError, MissingPrerequisite, NotReadyError, PrerequisitesMissingError
from deploy.settings import Environment
from tests.support.recorded_cluster import RecordedCluster, make_service

Output = Callable[[], str]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, Procedure]:
    """The procedures forth and back; a test may replace them."""
    found = {"forth": Procedure("forth", ()), "back": Procedure("back", ())}
    monkeypatch.setattr(drills, "plan_failover", lambda context, *, back, **_: found["back" if back else "forth"])
    return found


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the procedures that ran. One with a problem fails as `run_procedure` does."""
    names: list[str] = []

    def run(context: DeployContext, cluster: None, procedure: Procedure, *, apply: bool) -> None:
        if procedure.problems:
            raise PrerequisitesMissingError(procedure.problems)
        names.append(procedure.name)
        if procedure.undo == "fails":
            raise NotReadyError("the edge returned 503")

    monkeypatch.setattr(drills, "run_procedure", run)
    return names


@pytest.mark.usefixtures("plans")
def test_failover_drill_goes_forth_and_back(context: DeployContext, ran: list[str], output: Output) -> None:
    times = iter([0.0, 1800.0, 1800.0, 2400.0])
    drills.drill_failover(context, apply=True, clock=lambda: next(times))
    assert ran == ["forth", "back"]
    assert "failover in 1800 s, return in 600 s" in output()


def test_failed_failover_returns_to_the_first_region(
    context: DeployContext, plans: dict[str, Procedure], ran: list[str]
) -> None:
    plans["forth"] = Procedure("forth", (), undo="fails")
    with pytest.raises(NotReadyError):
        drills.drill_failover(context, apply=True)
    assert ran == ["forth", "back"]


def test_refused_failover_changes_nothing(context: DeployContext, plans: dict[str, Procedure], ran: list[str]) -> None:
    plans["forth"] = Procedure("forth", (), problems=[MissingPrerequisite("not ready", "repair it")])
    with pytest.raises(PrerequisitesMissingError):
        drills.drill_failover(context, apply=True)
    assert ran == []


def test_restore_drill_refuses_prod(context: DeployContext) -> None:
    prod = context.settings.model_copy(update={"environment": Environment.PROD})
    with pytest.raises(DeployError, match="interrupts serving: run it in laptop, dev or staging"):
        drills.drill_restore(DeployContext(prod, context.console, context.root), apply=True)


def test_restore_drill_refuses_a_running_rollout(
    context: DeployContext, cluster: RecordedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects["inferenceservices"] = [make_service("plate-seg", "v1-0-0", has_canary=True)]
    cluster.check_environment = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(clusters, "connect", lambda _: cluster)
    with pytest.raises(PrerequisitesMissingError, match="rollout of plate-seg is running"):
        drills.drill_restore(context, apply=True)
    assert cluster.commands == []


@pytest.mark.parametrize(
    "after",
    [
        {},
        {"plate-seg": ("v1-0-0", [{"at": "1"}])},
        {"plate-seg": ("v1-1-0", [])},
    ],
)
def test_lost_change_fails_the_drill(after: dict[str, tuple[str, list[object]]]) -> None:
    before = {"plate-seg": ("v1-1-0", [{"at": "1"}])}
    with pytest.raises(DeployError, match=r"plate-seg is .* instead of v1-1-0"):
        drills._check_nothing_lost(before, after)
    drills._check_nothing_lost(before, {"plate-seg": ("v1-1-0", [{"at": "1"}, {"at": "2"}])})


def test_models_without_copy_are_read_from_the_output() -> None:
    output = "plate-landmarks: no copy in /releases\n2026-11-30 12:00:00 plate-seg: restore 1.1.0"
    assert models_without_copy(output) == ["plate-landmarks"]
