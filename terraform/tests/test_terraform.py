"""Terraform: format, validation, its own tests, and the plans of the environments."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def planned_values(plan: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Return the values of all resources of a type."""
    everything = resources(plan["planned_values"]["root_module"])
    return [resource["values"] for resource in everything if resource["type"] == kind]


def test_files_are_formatted(terraform: Callable[..., Any]) -> None:
    result = terraform("fmt", "-check", "-recursive", "-no-color", folder=Path(__file__).parents[1])
    assert result.returncode == 0, f"run `terraform fmt -recursive terraform`: {result.stdout}"


@pytest.mark.parametrize("folder", ["azure", "bootstrap"])
def test_configuration_is_valid(terraform: Callable[..., Any], workspace: Path, folder: str) -> None:
    report = json.loads(terraform("validate", "-json", folder=workspace / folder).stdout)
    assert (report["valid"], report["diagnostics"]) == (True, [])


@pytest.mark.timeout(900)
def test_terraform_tests_pass(terraform: Callable[..., Any], workspace: Path) -> None:
    files = sorted(workspace.glob("*/tests/*.tftest.hcl"))
    assert {file.parents[1].name for file in files} == {"azure", "bootstrap"}

    def run_tests(file: Path) -> Any:
        return terraform("test", "-no-color", f"-filter=tests/{file.name}", folder=file.parents[1])

    with ThreadPoolExecutor() as pool:
        for result in pool.map(run_tests, files):
            assert result.returncode == 0, result.stdout + result.stderr
            assert " 0 passed" not in result.stdout


def test_environments_have_the_same_resource_types(plans: Mapping[str, Any]) -> None:
    kinds = {name: {resource["type"] for resource in _all(plan)} for name, plan in plans.items()}
    assert kinds["staging"] == kinds["dev"] == kinds["prod"]


def _all(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return resources(plan["planned_values"]["root_module"])


def test_data_stores_have_no_public_network_access(plans: Mapping[str, Any]) -> None:
    for plan in plans.values():
        for kind in ("azurerm_storage_account", "azurerm_key_vault", "azurerm_container_registry"):
            assert [values["public_network_access_enabled"] for values in planned_values(plan, kind)] == [False]


def test_production_has_stricter_settings(plans: Mapping[str, Any]) -> None:
    prod, dev = plans["prod"], plans["dev"]
    assert planned_values(prod, "azurerm_storage_account")[0]["account_replication_type"] == "RAGZRS"
    assert planned_values(prod, "azurerm_kubernetes_cluster")[0]["sku_tier"] == "Standard"
    assert planned_values(prod, "azurerm_kubernetes_cluster")[0]["default_node_pool"][0]["zones"] == ["1", "2", "3"]
    restorable_days = [
        planned_values(plan, "azurerm_storage_account")[0]["blob_properties"][0]["delete_retention_policy"][0]["days"]
        for plan in (dev, prod)
    ]
    assert restorable_days == [30, 90]
    rules = [planned_values(plan, "azurerm_storage_container_immutability_policy")[0] for plan in (dev, prod)]
    assert [(rule["immutability_period_in_days"], rule["locked"]) for rule in rules] == [(1, False), (3650, False)]


def test_gpu_pools_scale_to_zero(plans: Mapping[str, Any]) -> None:
    for plan in plans.values():
        pools = [
            pool
            for pool in planned_values(plan, "azurerm_kubernetes_cluster_node_pool")
            if "_N" in str(pool["vm_size"])
        ]
        assert {pool["min_count"] for pool in pools} == {0}
        assert {pool["priority"] for pool in pools} == {"Regular", "Spot"}


def test_planned_networks_are_closed(plans: Mapping[str, Any]) -> None:
    for plan in plans.values():
        subnets = {values["name"]: values for values in planned_values(plan, "azurerm_subnet")}
        assert {values["default_outbound_access_enabled"] for values in subnets.values()} == {False}
        [delegation] = subnets["snet-api-server"]["delegation"]
        assert delegation["service_delegation"][0]["name"] == "Microsoft.ContainerService/managedClusters"
        rules = planned_values(plan, "azurerm_network_security_rule")
        last = max(rules, key=lambda rule: int(rule["priority"]))
        assert (last["access"], last["protocol"], last["source_address_prefix"]) == ("Deny", "*", "*")
        zones = {values["name"] for values in planned_values(plan, "azurerm_private_dns_zone")}
        assert zones == {
            "privatelink.blob.core.windows.net",
            "privatelink.vaultcore.azure.net",
            "privatelink.azurecr.io",
        }


def test_planned_clusters_are_private_and_encrypted(plans: Mapping[str, Any]) -> None:
    for plan in plans.values():
        [cluster] = planned_values(plan, "azurerm_kubernetes_cluster")
        pools = planned_values(plan, "azurerm_kubernetes_cluster_node_pool")
        assert cluster["private_cluster_enabled"] is True
        assert cluster["private_cluster_public_fqdn_enabled"] is False
        assert len(pools) >= 3
        encrypted = [pool["host_encryption_enabled"] for pool in [*cluster["default_node_pool"], *pools]]
        assert encrypted == [True] * len(encrypted)
