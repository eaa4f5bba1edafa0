"""Each resource of Terraform is used by another one, by an output that `make deploy` reads, or by a file of the table.

A role, a rule, a log or an alert is not a use of the resource that it belongs to: without a reader, all of them watch
and protect an empty store. This is what a queue without a consumer looks like.
"""

from collections.abc import Iterator

import pytest

from tests.support.terraform_configuration import TERRAFORM, TerraformModule, parse_module, read_module, references

FOLDERS = ("azure", "bootstrap", "modules/region", "modules/gpu-pool")
REPOSITORY = TERRAFORM.parent

SUPPLEMENTS = {
    "azurerm_consumption_budget_subscription",
    "azurerm_federated_identity_credential",
    "azurerm_monitor_alert_prometheus_rule_group",
    "azurerm_monitor_diagnostic_setting",
    "azurerm_monitor_metric_alert",
    "azurerm_monitor_scheduled_query_rules_alert_v2",
    "azurerm_network_security_rule",
    "azurerm_postgresql_flexible_server_active_directory_administrator",
    "azurerm_private_dns_zone_virtual_network_link",
    "azurerm_role_assignment",
    "azurerm_storage_container_immutability_policy",
    "azurerm_storage_management_policy",
}
"""Types that protect, watch or open another resource, and are no use of it."""

CONNECTIONS = {
    "azurerm_cdn_frontdoor_custom_domain_association",
    "azurerm_cdn_frontdoor_security_policy",
    "azurerm_monitor_data_collection_rule_association",
    "azurerm_nat_gateway_public_ip_association",
    "azurerm_subnet_nat_gateway_association",
    "azurerm_subnet_network_security_group_association",
    "azurerm_virtual_network_peering",
}
"""Types that connect two resources. The connection is the use of both."""

SCOPE_LOCALS = {"scopes", "experiment_scopes"}
"""Locals that only role assignments read."""

USES = {
    "azure": {
        "azurerm_container_registry_task.build": ("deploy/images.py", '"acr"'),
        "azurerm_machine_learning_compute_cluster.training": (
            "terraform/azure/machine-learning.tf",
            'image_build_compute_name      = "training"',
        ),
        "azurerm_monitor_action_group.this": ("terraform/azure/alerts.tf", "azurerm_monitor_action_group.this[action"),
        "azurerm_storage_container.this": ("deploy/models.py", "/models"),
    },
    "bootstrap": {
        "azurerm_role_definition.runs_commands": (
            "terraform/azure/run-command.tf",
            "role_definition_id = local.command",
        ),
        "azurerm_storage_container.state": ("deploy/terraform.py", "container_name"),
    },
    "modules/region": {
        "azurerm_kubernetes_cluster_node_pool.general": ("terraform/environments/prod.tfvars", "general_pool"),
    },
    "modules/gpu-pool": {},
}
"""Resources that no other one refers to: the file that uses each, and the text that does."""


def unused_resources(module: TerraformModule) -> Iterator[str]:
    """Yield the resources that nothing but their supplements refers to."""
    used: set[str] = set()
    for address, body in module.resources.items():
        if address.split(".")[0] not in SUPPLEMENTS:
            used |= references(body) - {address}
    used |= references({name: value for name, value in module.local_values.items() if name not in SCOPE_LOCALS})
    used |= references(module.modules) | references(module.outputs)
    for address in module.resources:
        if address.split(".")[0] not in SUPPLEMENTS | CONNECTIONS and address not in used:
            yield address


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_resource_is_used_or_in_the_table(folder: str) -> None:
    assert set(unused_resources(read_module(folder))) == USES[folder].keys()
    for address, (file, text) in USES[folder].items():
        assert text in (REPOSITORY / file).read_text(), address


@pytest.mark.parametrize("folder", FOLDERS)
def test_supplements_and_connections_name_a_resource(folder: str) -> None:
    module = read_module(folder)
    for address, body in module.resources.items():
        if address.split(".")[0] in SUPPLEMENTS | CONNECTIONS:
            named = references(body) or [name for name in ("local.", "module.", "var.") if name in str(body)]
            assert named, address


def test_queue_without_a_consumer_is_unused() -> None:
    module = parse_module("""
    locals { scopes = { jobs = azurerm_storage_queue.jobs.id } }
    resource "azurerm_storage_queue" "jobs" { storage_account_id = azurerm_storage_account.this.id }
    resource "azurerm_storage_account" "this" { name = "st" }
    resource "azurerm_role_assignment" "jobs" { scope = azurerm_storage_queue.jobs.id }
    resource "azurerm_monitor_diagnostic_setting" "jobs" { target_resource_id = azurerm_storage_queue.jobs.id }
    """)
    assert list(unused_resources(module)) == ["azurerm_storage_queue.jobs"]


def test_each_fact_is_read_by_deploy() -> None:
    [(_, value)] = [(name, each["value"]) for name, each in read_module("azure").outputs.items() if name == "facts"]
    programs = "\n".join(
        path.read_text() for path in (REPOSITORY / "deploy").glob("**/*.py") if "tests" not in path.parts
    )
    facts = {name for name in value if not name.startswith("__")}
    assert {"key_vault", "experiments"} <= facts
    assert [name for name in sorted(facts) if f'"{name}"' not in programs] == []
