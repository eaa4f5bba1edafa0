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
    assert kinds["staging"] == kinds["dev"]
    assert kinds["prod"] - kinds["staging"] == {"azurerm_management_lock"}


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
    assert len(planned_values(prod, "azurerm_management_lock")) == 2
    assert not planned_values(dev, "azurerm_management_lock")
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


def test_ci_may_assign_each_role_in_the_plans(plans: Mapping[str, Any], workspace: Path) -> None:
    allowed = (workspace / "bootstrap" / "ci.tf").read_text()
    for plan in plans.values():
        for assignment in planned_values(plan, "azurerm_role_assignment"):
            if "role_definition_id" in assignment:
                continue  # thale's own role: bootstrap/tests/roles.tftest.hcl
            assert f'"{assignment["role_definition_name"]}"' in allowed
