"""Tests of the failover drill: readiness of both regions, steps, verification, return."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.day_two.failover import check_edge, plan_failover
from deploy.day_two.procedure import Procedure, run_procedure
from deploy.errors import DeployError, NotReadyError
from tests.support.recorded_cluster import RecordedCluster, make_service

Respond = Callable[[str, Any], None]


@pytest.fixture(name="regions")
def make_regions(
    context: DeployContext, respond: Respond, monkeypatch: pytest.MonkeyPatch
) -> dict[str, RecordedCluster]:
    """An environment with an edge and two regions, each with a cluster."""
    path = context.folder / "outputs.json"
    outputs = json.loads(path.read_text())
    facts = outputs["facts"]["value"]
    facts["edge_host"] = "thale.example.org"
    facts["regions"]["secondary"] = {**facts["regions"]["primary"], "cluster": "aks-thale-dev-northeurope"}
    path.write_text(json.dumps(outputs))
    found = {
        name: RecordedCluster(
            {
                "deployments": [make_service("plate-seg", "v1-0-0")],
                "inferenceservices": [make_service("plate-seg", "v1-0-0")],
            }
        )
        for name in ("primary", "secondary")
    }
    monkeypatch.setattr(clusters, "connect", lambda region: found[region.settings.region])
    respond("afd profile list", [{"name": "afd-thale-dev", "resourceGroup": "rg-thale-dev"}])
    respond("afd origin list", [origin("primary", 1), origin("secondary", 2)])
    respond("afd origin update", {})
    return found


def origin(name: str, priority: int, state: str = "Enabled") -> Any:
    return {"name": name, "enabledState": state, "priority": priority, "weight": 1000}


def plan(context: DeployContext, **options: Any) -> Procedure:
    return plan_failover(context, probe=lambda _: 200, pause=lambda _: None, **options)


@pytest.mark.usefixtures("regions")
def test_failover_moves_traffic_in_three_steps(context: DeployContext, az_calls: Callable[[], list[list[str]]]) -> None:
    probed: list[str] = []
    pauses: list[float] = []
    procedure = plan_failover(context, settle_s=5, probe=lambda url: probed.append(url) or 200, pause=pauses.append)
    run_procedure(context, None, procedure, apply=True)
    updates = [
        tuple(call[call.index(option) + 1] for option in ("--origin-name", "--priority", "--weight"))
        for call in az_calls()
        if "update" in call
    ]
    assert updates == [
        ("secondary", "1", "100"),
        ("primary", "1", "900"),
        ("secondary", "1", "500"),
        ("primary", "1", "500"),
        ("secondary", "1", "1000"),
        ("primary", "2", "1000"),
    ]
    assert pauses == [5, 5, 5]
    assert set(probed) == {"https://thale.example.org/health/ready"}


@pytest.mark.usefixtures("regions")
def test_failover_resumes_at_the_present_share(context: DeployContext, respond: Respond) -> None:
    halves = [{**origin(name, 1), "weight": 500} for name in ("primary", "secondary")]
    respond("afd origin list", halves)
    assert [action.title.split()[0] for action in plan(context).actions] == ["50", "100"]


@pytest.mark.usefixtures("regions")
def test_return_restores_the_values_of_terraform(context: DeployContext) -> None:
    (action,) = plan(context, back=True).actions
    assert [command[-6:-2] for command in action.commands] == [
        ("--priority", "2", "--weight", "1000"),
        ("--priority", "1", "--weight", "1000"),
    ]


@pytest.mark.usefixtures("regions")
def test_failover_stops_at_the_first_bad_response(
    context: DeployContext, az_calls: Callable[[], list[list[str]]]
) -> None:
    procedure = plan_failover(context, probe=lambda _: 503, pause=lambda _: None)
    with pytest.raises(NotReadyError, match="go back with `failover --back`"):
        run_procedure(context, None, procedure, apply=True)
    assert len([call for call in az_calls() if "update" in call]) == 2


def test_failover_needs_equal_versions_in_both_regions(
    context: DeployContext, regions: dict[str, RecordedCluster]
) -> None:
    regions["secondary"].objects["inferenceservices"] = [make_service("plate-seg", "v1-1-0")]
    (problem,) = plan(context).problems
    assert problem.description.startswith("the regions serve different versions")


def test_failover_needs_a_ready_second_region(
    context: DeployContext, regions: dict[str, RecordedCluster], respond: Respond
) -> None:
    regions["secondary"].objects["deployments"][0]["status"]["conditions"][0]["status"] = "False"
    respond("afd origin list", [origin("primary", 1), origin("secondary", 2, "Disabled")])
    found = [problem.description for problem in plan(context).problems]
    assert "the origin secondary is disabled" in found
    assert any(text.startswith("not ready: InferenceService plate-seg") for text in found)


def test_failover_works_if_the_first_region_is_lost(
    context: DeployContext, regions: dict[str, RecordedCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DeployError("no route to host")

    monkeypatch.setattr(regions["primary"], "get", fail)
    assert not plan(context).problems
    (problem,) = plan(context, back=True).problems
    assert "the cluster of primary does not respond" in problem.description


def test_failover_needs_an_edge_and_a_second_region(context: DeployContext) -> None:
    with pytest.raises(DeployError, match="set edge and secondary_location"):
        plan(context)


def test_check_edge_rejects_a_single_failure() -> None:
    statuses = iter([200, 200, 503, 200, 200])
    with pytest.raises(NotReadyError, match="503"):
        check_edge("https://thale.example.org/health/ready", lambda _: next(statuses))
