"""Monthly costs of plans, and updates of the prices."""

import importlib.util
import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def cost() -> ModuleType:
    path = Path(__file__).parents[1] / "monthly_cost.py"
    spec = importlib.util.spec_from_file_location("monthly_cost", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["monthly_cost"] = module
    spec.loader.exec_module(module)
    return module


def prices(cost: ModuleType) -> dict[str, Any]:
    return tomllib.loads(cost.PRICES.read_text())


def make_plan(*resource_blocks: Mapping[str, Any]) -> dict[str, Any]:
    managed = [{"mode": "managed", "address": resource["type"], **resource} for resource in resource_blocks]
    return {"planned_values": {"root_module": {"resources": managed}}}


def test_pool_cost_is_node_hours_times_price(cost: ModuleType) -> None:
    pool = {"name": "general", "vm_size": "Standard_D4ds_v5", "min_count": 2, "max_count": 5}
    [row] = cost.monthly_costs(
        make_plan({"type": "azurerm_kubernetes_cluster_node_pool", "values": pool}), prices(cost)
    )
    assert (row.at_rest, row.at_max) == (pytest.approx(2 * 0.272 * 730), pytest.approx(5 * 0.272 * 730))


def test_database_cost_doubles_with_a_standby(cost: ModuleType) -> None:
    kind = "azurerm_postgresql_flexible_server"
    common = {"sku_name": "GP_Standard_D2ds_v5", "storage_mb": 65536, "geo_redundant_backup_enabled": False}

    def total(**changes: Any) -> float:
        values = {**common, "high_availability": [], **changes}
        rows = cost.monthly_costs(make_plan({"type": kind, "values": values}), prices(cost))
        return float(sum(row.at_rest for row in rows))

    price = prices(cost)["database"]
    assert total() == pytest.approx(730 * price["server_hour"]["GP_Standard_D2ds_v5"] + 64 * price["stored_gb_month"])
    assert total(high_availability=[{"mode": "ZoneRedundant"}]) == pytest.approx(2 * total())
    backups = total(geo_redundant_backup_enabled=True) - total()
    assert backups == pytest.approx(64 * price["geo_backup_gb_month"])


def test_monthly_costs_reports_unpriced_resources(cost: ModuleType) -> None:
    with pytest.raises(cost.UnpricedError, match="azurerm_redis_cache is unknown"):
        cost.monthly_costs(make_plan({"type": "azurerm_redis_cache", "values": {}}), prices(cost))
    pool = {"name": "general", "vm_size": "Standard_M416", "min_count": 1, "max_count": 1}
    with pytest.raises(cost.UnpricedError, match="Standard_M416"):
        cost.monthly_costs(make_plan({"type": "azurerm_kubernetes_cluster_node_pool", "values": pool}), prices(cost))


def test_defender_cost_covers_cores_of_all_pools(cost: ModuleType) -> None:
    system = {"vm_size": "Standard_D4ds_v5", "min_count": 3, "max_count": 6}
    cluster = {"sku_tier": "Free", "default_node_pool": [system], "microsoft_defender": [{}], "network_profile": [{}]}
    general = {"name": "general", "vm_size": "Standard_D8ds_v5", "min_count": 1, "max_count": 2}
    plan = make_plan(
        {"type": "azurerm_kubernetes_cluster", "values": cluster},
        {"type": "azurerm_kubernetes_cluster_node_pool", "values": general},
    )
    [row] = [row for row in cost.monthly_costs(plan, prices(cost)) if row.description.startswith("Defender")]
    assert (row.at_rest, row.at_max) == (pytest.approx(6.87 * (12 + 8)), pytest.approx(6.87 * (24 + 16)))


def test_advanced_networking_cost_counts_all_nodes(cost: ModuleType) -> None:
    system = {"vm_size": "Standard_D4ds_v5", "min_count": 3, "max_count": 6}
    network = [{"advanced_networking": [{"observability_enabled": True}]}]
    cluster = {"sku_tier": "Free", "default_node_pool": [system], "microsoft_defender": [], "network_profile": network}
    general = {"name": "general", "vm_size": "Standard_D8ds_v5", "min_count": 1, "max_count": 2}
    plan = make_plan(
        {"type": "azurerm_kubernetes_cluster", "values": cluster},
        {"type": "azurerm_kubernetes_cluster_node_pool", "values": general},
    )
    [row] = [row for row in cost.monthly_costs(plan, prices(cost)) if row.description.startswith("Advanced")]
    assert (row.at_rest, row.at_max) == (pytest.approx(0.025 * 730 * 4), pytest.approx(0.025 * 730 * 8))


def test_log_cost_at_maximum_reaches_the_daily_cap(cost: ModuleType) -> None:
    workspace = {"retention_in_days": 41, "daily_quota_gb": 5}
    plan = make_plan({"type": "azurerm_log_analytics_workspace", "values": workspace})
    [row] = cost.monthly_costs(plan, prices(cost))
    daily_gb = 2.99 * 730 / 24 + 0.13 * 10
    assert (row.at_rest, row.at_max) == (pytest.approx(daily_gb), pytest.approx(5 * daily_gb))
    workspace["daily_quota_gb"] = -1
    with pytest.raises(cost.UnpricedError, match="set log_daily_quota_gb"):
        cost.monthly_costs(plan, prices(cost))


def test_administrators_access_has_a_price(cost: ModuleType) -> None:
    kinds = ("azurerm_virtual_network_gateway", "azurerm_private_dns_resolver_inbound_endpoint", "azurerm_public_ip")
    free = ("azurerm_virtual_network_peering", "azurerm_private_dns_resolver")
    plan = make_plan(*({"type": kind, "values": {}} for kind in kinds + free))
    assert cost.total(cost.monthly_costs(plan, prices(cost))).at_rest == pytest.approx((0.19 + 0.005) * 730 + 180)


@pytest.mark.integration
def test_each_environment_costs_less_than_its_budget(cost: ModuleType, plans: Mapping[str, Any]) -> None:
    totals = {name: cost.total(cost.monthly_costs(plan, prices(cost))) for name, plan in plans.items()}
    assert totals["dev"].at_rest < totals["staging"].at_rest < totals["prod"].at_rest
    for name, plan in plans.items():
        # The first alert of the budget is at 80 %.
        assert totals[name].at_rest < 0.8 * plan["variables"]["monthly_budget"]["value"]
    assert plans["prod"]["variables"]["monthly_budget"]["value"] <= 5000


@pytest.mark.integration
def test_readme_has_the_cost_of_the_plans(cost: ModuleType, plans: Mapping[str, Any]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for name, plan in plans.items():
        total = cost.total(cost.monthly_costs(plan, prices(cost)))
        assert f"| {name} | {total.at_rest:,.0f} | {total.at_max:,.0f} |" in readme


def test_main_prints_totals_as_json(
    cost: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = {"name": "general", "vm_size": "Standard_D4ds_v5", "min_count": 2, "max_count": 5}
    plan = make_plan({"type": "azurerm_kubernetes_cluster_node_pool", "values": pool})
    (tmp_path / "dev.json").write_text(json.dumps(plan))
    monkeypatch.setattr(sys, "argv", ["monthly_cost.py", "--json", str(tmp_path / "dev.json")])
    assert cost.main() == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["plans"]["dev"]["at_rest"] / totals["hours"] == pytest.approx(2 * 0.272)
    assert totals["currency"] == "USD"
