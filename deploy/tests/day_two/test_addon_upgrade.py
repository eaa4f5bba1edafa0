"""Tests of the upgrade of the add-ons: the order of the table, and checks between."""

from typing import cast

import pytest

from deploy.addons.status import AddonStatus
from deploy.addons.table import read_table
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two import addon_upgrade
from deploy.day_two.addon_upgrade import plan_upgrade
from deploy.day_two.procedure import run_procedure
from deploy.errors import PrerequisitesMissingError
from tests.support.recorded_cluster import RecordedCluster, make_node, make_service

OUTDATED = ("kserve", "cert-manager", "envoy-gateway-crds")


@pytest.fixture(name="installed", autouse=True)
def record_installations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Three outdated add-ons, and an installer that records its options."""
    calls: list[tuple[str, ...]] = []
    outdated = AddonStatus("differs", "upgrade")
    current = AddonStatus("up to date", "")
    monkeypatch.setattr(addon_upgrade, "addon_status", lambda addon, _: outdated if addon.name in OUTDATED else current)
    monkeypatch.setattr(addon_upgrade, "run_installer", lambda _, *options: calls.append(options))
    return calls


def test_addons_are_upgraded_one_by_one_in_order(
    context: DeployContext,
    cluster: RecordedCluster,
    installed: list[tuple[str, ...]],
    readiness_checks: list[str],
) -> None:
    run_procedure(context, cast(Cluster, cluster), plan_upgrade(context, cast(Cluster, cluster)), apply=True)
    order = [addon.name for addon in read_table().for_environment("dev") if addon.name in OUTDATED]
    assert installed == [("apply", "--only", name) for name in order]
    assert order.index("envoy-gateway-crds") < order.index("cert-manager") < order.index("kserve")
    assert readiness_checks == ["dev"] * 3


def test_addons_are_not_upgraded_during_a_rollout(
    context: DeployContext, cluster: RecordedCluster, installed: list[tuple[str, ...]]
) -> None:
    cluster.objects["inferenceservices"] = [make_service("plate-seg", "v1-0-0", has_canary=True)]
    cluster.objects["nodes"] = [make_node("node-1", "general", is_ready=False)]
    with pytest.raises(PrerequisitesMissingError, match="thale release rollback plate-seg"):
        run_procedure(context, cast(Cluster, cluster), plan_upgrade(context, cast(Cluster, cluster)), apply=True)
    assert not installed


def test_current_addons_need_nothing(
    context: DeployContext, cluster: RecordedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addon_upgrade, "addon_status", lambda *_: AddonStatus("up to date", ""))
    cluster.objects["nodes"] = [make_node("node-1", "general", is_ready=False)]
    procedure = plan_upgrade(context, cast(Cluster, cluster))
    assert (procedure.actions, procedure.problems) == ([], [])
