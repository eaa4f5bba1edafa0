"""The table of principals, roles and scopes, and the locks that would block the removal of an assignment."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.terraform_configuration import (
    ENVIRONMENTS,
    RoleGrant,
    TerraformModule,
    ancestors,
    expression,
    parse_module,
    read_module,
    read_tfvars,
    references,
    role_grants,
)

FOLDERS = ("azure", "bootstrap", "modules/region", "modules/gpu-pool")

MODELS, VAULT = 'azurerm_storage_container.this["models"]', "azurerm_key_vault.this"
RELEASES = 'azurerm_storage_container.this["releases"]'
METRICS, LOGS = "azurerm_monitor_workspace.this", "azurerm_log_analytics_workspace.this"
REGISTRY, GRAFANA, CLUSTERS = (
    "azurerm_container_registry.this",
    "azurerm_dashboard_grafana.this",
    "module.region[*].cluster_id",
)
COMMANDS = "local.command_role_id"
ADMINS = "Group var.admin_group_ids"
BUILD_TASK = "ServicePrincipal azurerm_container_registry_task.build.identity[0]"
GRAFANA_IDENTITY = "ServicePrincipal azurerm_dashboard_grafana.this.identity[0]"


def workload(name: str) -> str:
    return f'ServicePrincipal azurerm_user_assigned_identity.workload["{name}"]'


EVERYWHERE = [
    RoleGrant(workload("facade"), "Key Vault Secrets User", VAULT),
    RoleGrant(workload("model-server"), "Storage Blob Data Reader", MODELS),
    RoleGrant(workload("release-watcher"), "Storage Blob Data Reader", MODELS),
    RoleGrant(workload("release-watcher"), "Storage Blob Data Contributor", RELEASES),
    RoleGrant(workload("release-watcher"), "Key Vault Reader", VAULT),
    RoleGrant(workload("trainer"), "Storage Blob Data Contributor", MODELS),
    RoleGrant(workload("keda"), "Monitoring Data Reader", METRICS),
    RoleGrant(GRAFANA_IDENTITY, "Monitoring Data Reader", METRICS),
    RoleGrant(GRAFANA_IDENTITY, "Log Analytics Reader", LOGS),
    RoleGrant(BUILD_TASK, "AcrPush", REGISTRY),
    RoleGrant(ADMINS, "Key Vault Secrets Officer", VAULT),
    RoleGrant(ADMINS, "Storage Blob Data Contributor", MODELS),
    RoleGrant(ADMINS, "Grafana Admin", GRAFANA),
    RoleGrant(ADMINS, COMMANDS, CLUSTERS),
    RoleGrant(ADMINS, "Azure Kubernetes Service Cluster User Role", CLUSTERS),
    RoleGrant(ADMINS, "Azure Kubernetes Service RBAC Cluster Admin", CLUSTERS),
]
"""The roles of azure/ in each environment."""

OPTIONAL = {
    "machine_learning": [RoleGrant(workload("trainer"), "AcrPull", REGISTRY)],
    "experiments_enabled": [
        RoleGrant(workload("facade"), "Storage Blob Data Contributor", "azurerm_storage_container.experiments[0]"),
    ],
}
"""The additional roles of azure/ with an option, which no environment sets."""

CLUSTER = "ServicePrincipal azurerm_user_assigned_identity.cluster"
KUBELET = "ServicePrincipal azurerm_user_assigned_identity.kubelet"
EACH_REGION = [
    RoleGrant(CLUSTER, "Network Contributor", "azurerm_subnet.nodes"),
    RoleGrant(CLUSTER, "Network Contributor", "azurerm_subnet.api_server"),
    RoleGrant(CLUSTER, "Managed Identity Operator", "azurerm_user_assigned_identity.kubelet"),
    RoleGrant(KUBELET, "AcrPull", "var.registry_id"),
]

CI = "ServicePrincipal azurerm_user_assigned_identity.ci[each.value]"
STATE_ADMINS = "Group var.state_admin_group_id"
BOOTSTRAP = [
    RoleGrant(CI, "Contributor", "local.subscription"),
    RoleGrant(CI, "Role Based Access Control Administrator", "local.subscription"),
    RoleGrant(CI, "Azure Kubernetes Service RBAC Cluster Admin", "local.subscription"),
    RoleGrant(CI, "Storage Blob Data Contributor", "azurerm_storage_container.state[each.value]"),
    RoleGrant(STATE_ADMINS, "Storage Blob Data Contributor", "azurerm_storage_account.state"),
]


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_roles_of_an_environment_are_the_table(environment: str) -> None:
    options = {option for option in OPTIONAL if read_tfvars(environment).get(option)}
    grants = [grant for grant in role_grants(read_module("azure")) if grant.option in {"", *options}]
    assert sorted(grants) == sorted(EVERYWHERE)


@pytest.mark.parametrize("option", OPTIONAL)
def test_an_option_adds_only_its_roles(option: str) -> None:
    grants = [grant for grant in role_grants(read_module("azure")) if grant.option]
    assert {grant.option for grant in grants} == set(OPTIONAL)
    expected = [RoleGrant(grant.principal, grant.role, grant.scope, option) for grant in OPTIONAL[option]]
    assert sorted(grant for grant in grants if grant.option == option) == sorted(expected)


def test_roles_of_a_region_are_the_table() -> None:
    assert sorted(role_grants(read_module("modules/region"))) == sorted(EACH_REGION)
    region = read_module("azure").modules["region"]
    assert expression(region["registry_id"]) == "azurerm_container_registry.this.id"


def test_roles_of_ci_are_the_table() -> None:
    assert sorted(role_grants(read_module("bootstrap"))) == sorted(BOOTSTRAP)


@pytest.mark.integration
def test_planned_roles_are_the_table(terraform: Callable[..., Any], workspace: Path) -> None:
    """The test file gives each principal and each scope its address as the name in its id, and sets all options."""
    result = terraform("test", "-json", "-verbose", "-filter=tests/roles.tftest.hcl", folder=workspace / "azure")
    assert result.returncode == 0, result.stdout
    [plan] = [line["test_plan"] for line in map(json.loads, result.stdout.splitlines()) if "test_plan" in line]
    planned = [
        (after["principal_type"], after["principal_id"], _planned_role(after), after["scope"])
        for change in plan["resource_changes"]
        if change["type"] == "azurerm_role_assignment" and not change.get("module_address")
        for after in [change["change"]["after"]]
    ]
    assert len(planned) == len(set(planned))
    ids = {name: f"00000000-0000-0000-0001-{number:012}" for number, name in enumerate(PRINCIPALS, start=1)}
    expected = [
        (*_planned_principal(grant, ids), grant.role, SCOPES[grant.scope])
        for grant in [*EVERYWHERE, *(grant for grants in OPTIONAL.values() for grant in grants)]
    ]
    assert sorted(planned) == sorted(expected)


PRINCIPALS = (
    *map(workload, ("facade", "model-server", "release-watcher", "trainer", "keda")),
    GRAFANA_IDENTITY,
    BUILD_TASK,
)
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers"
_ACCOUNT = f"{_GROUP}/Microsoft.Storage/storageAccounts/stthale"
SCOPES = {
    MODELS: f"{_ACCOUNT}/blobServices/default/containers/models",
    RELEASES: f"{_ACCOUNT}/blobServices/default/containers/releases",
    "azurerm_storage_container.experiments[0]": f"{_ACCOUNT}/blobServices/default/containers/experiments",
    VAULT: f"{_GROUP}/Microsoft.KeyVault/vaults/kv-thale",
    METRICS: f"{_GROUP}/Microsoft.Monitor/accounts/amw-thale",
    LOGS: f"{_GROUP}/Microsoft.OperationalInsights/workspaces/log-thale",
    GRAFANA: f"{_GROUP}/Microsoft.Dashboard/grafana/gf-thale",
    REGISTRY: f"{_GROUP}/Microsoft.ContainerRegistry/registries/crthale",
    CLUSTERS: f"{_GROUP}/Microsoft.ContainerService/managedClusters/aks-thale",
}


def _planned_role(after: Mapping[str, Any]) -> str:
    """Return the name of the role, or the expression of the one role that azure/ assigns by its id."""
    identifier = str(after.get("role_definition_id", ""))
    prefix = "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/"
    return COMMANDS if identifier.startswith(prefix) else str(after["role_definition_name"])


def _planned_principal(grant: RoleGrant, ids: dict[str, str]) -> tuple[str, str]:
    kind = grant.principal.partition(" ")[0]
    return kind, "00000000-0000-0000-0000-000000000002" if grant.principal == ADMINS else ids[grant.principal]


def locks_above_role_assignments(module: TerraformModule, scopes: list[str]) -> dict[str, list[str]]:
    """Return the role assignments' scopes that each lock covers: Azure refuses to delete an assignment there."""
    found = {}
    for name, lock in module.of_type("azurerm_management_lock").items():
        locked = references(lock["scope"])
        covered = [scope for scope in scopes if not locked or locked & ancestors(module, scope)]
        if covered:
            found[name] = covered
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_lock_covers_a_role_assignment(folder: str) -> None:
    module = read_module(folder)
    scopes = [grant.scope for grant in role_grants(module)]
    assert locks_above_role_assignments(module, scopes) == {}


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        ("azurerm_storage_account.this.id", True),
        ('azurerm_storage_container.this["models"].id', True),
        ("azurerm_resource_group.this.id", True),
        ('"/subscriptions/${var.subscription_id}"', True),
        ("azurerm_virtual_network.this.id", False),
    ],
)
def test_a_lock_covers_the_assignments_beneath_it(scope: str, covers: bool) -> None:
    text = """
        resource "azurerm_storage_account" "this" { resource_group_name = azurerm_resource_group.this.name }
        resource "azurerm_storage_container" "this" { storage_account_id = azurerm_storage_account.this.id }
        resource "azurerm_management_lock" "keep" { scope = %s }
    """
    found = locks_above_role_assignments(parse_module(text % scope), [MODELS])
    assert found == ({"keep": [MODELS]} if covers else {})


def test_people_have_roles_only_as_a_group() -> None:
    for folder in FOLDERS:
        for grant in role_grants(read_module(folder)):
            assert grant.principal.startswith("Group" if "group" in grant.principal else "ServicePrincipal")
