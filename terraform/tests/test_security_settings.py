"""Security settings of networks, clusters and edge, read from the files: without terraform and Azure."""

import re
from typing import Any

import pytest

from deploy.destroy import PROTECTED
from tests.support.terraform_configuration import ENVIRONMENTS, TERRAFORM, expression, read_module, read_tfvars

DNS_ZONES = {
    "blob": {"privatelink.blob.core.windows.net"},
    "blob_secondary": {"privatelink.blob.core.windows.net"},
    "postgresqlServer": {"privatelink.postgres.database.azure.com"},
    "vault": {"privatelink.vaultcore.azure.net"},
    "registry": {"privatelink.azurecr.io"},
    "amlworkspace": {"privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"},
}
"""Azure's zone of each kind of private endpoint. In another zone, a name resolves to the public address."""


def blocks(body: Any, name: str) -> list[Any]:
    """Return the nested blocks of a name, those of `dynamic` blocks included."""
    dynamic = [content for block in body.get("dynamic", ()) for content in block.get(name, {}).get("content", ())]
    return [*body.get(name, ()), *dynamic]


def test_private_endpoint_rules_end_with_a_denial() -> None:
    rules = [
        rule
        for rule in read_module("modules/region").of_type("azurerm_network_security_rule").values()
        if "private_endpoints" in expression(rule["network_security_group_name"]) and rule["direction"] == "Inbound"
    ]
    last = max(rules, key=lambda rule: int(rule["priority"]))
    anything = ("source_address_prefix", "source_port_range", "destination_address_prefix", "destination_port_range")
    assert (last["access"], last["protocol"]) == ("Deny", "*")
    assert [last[name] for name in anything] == ["*"] * 4
    for rule in rules:
        if rule is not last:
            assert (rule["access"], rule["protocol"]) == ("Allow", "Tcp")
            assert rule["destination_port_range"] in ("443", "5432")
            if rule["destination_port_range"] == "5432":
                assert expression(rule["source_address_prefixes"]) == "azurerm_subnet.nodes.address_prefixes"
            assert rule.get("source_address_prefix") not in ("*", "Internet", "0.0.0.0/0", "VirtualNetwork")


def test_private_endpoints_apply_their_security_group() -> None:
    module = read_module("modules/region")
    assert module.of_type("azurerm_subnet")["private_endpoints"]["private_endpoint_network_policies"] == "Enabled"
    associations = module.of_type("azurerm_subnet_network_security_group_association")
    assert {
        expression(each["subnet_id"]): expression(each["network_security_group_id"]) for each in associations.values()
    } == {
        f"azurerm_subnet.{name}.id": f"azurerm_network_security_group.{name}.id"
        for name in ("nodes", "private_endpoints")
    }


def test_private_endpoints_have_azures_dns_zones() -> None:
    links = expression(read_module("azure").modules["region"]["private_links"])
    pattern = r'subresource = "(\w+)",? dns_zones = \[([^\]]*)\]'
    found = {kind: set(re.findall(r'"([^"]+)"', zones)) for kind, zones in re.findall(pattern, links)}
    assert found == DNS_ZONES
    assert links.count("dns_zones") == len(re.findall(pattern, links))


def test_subnets_have_no_default_outbound_access() -> None:
    subnets = read_module("modules/region").of_type("azurerm_subnet")
    assert {name: subnet["default_outbound_access_enabled"] for name, subnet in subnets.items()} == dict.fromkeys(
        subnets, False
    )
    assert {"nodes", "private_endpoints", "api_server"} <= subnets.keys()


def test_api_server_subnet_is_delegated_to_aks() -> None:
    [delegation] = read_module("modules/region").of_type("azurerm_subnet")["api_server"]["delegation"]
    [service] = delegation["service_delegation"]
    assert service["name"] == "Microsoft.ContainerService/managedClusters"
    assert service["actions"] == ["Microsoft.Network/virtualNetworks/subnets/join/action"]


def test_cluster_is_private_without_a_public_name() -> None:
    module = read_module("modules/region")
    cluster = module.of_type("azurerm_kubernetes_cluster")["this"]
    assert expression(module.local_values["private"]) == "length(var.cluster.authorized_ip_ranges) == 0"
    assert expression(cluster["private_cluster_enabled"]) == "local.private"
    assert cluster["private_cluster_public_fqdn_enabled"] is False
    assert cluster["local_account_disabled"] is True
    assert read_module("azure").variables["api_server_authorized_ip_ranges"]["default"] == []


def test_each_node_pool_encrypts_on_the_host() -> None:
    region, pool = read_module("modules/region"), read_module("modules/gpu-pool")
    [default] = region.of_type("azurerm_kubernetes_cluster")["this"]["default_node_pool"]
    pools = [default, *region.of_type("azurerm_kubernetes_cluster_node_pool").values()]
    assert {expression(each["host_encryption_enabled"]) for each in pools} == {"var.cluster.host_encryption"}
    assert expression(region.modules["gpu_pool"]["host_encryption"]) == "var.cluster.host_encryption"
    [gpu] = pool.of_type("azurerm_kubernetes_cluster_node_pool").values()
    assert expression(gpu["host_encryption_enabled"]) == "var.host_encryption"
    azure = read_module("azure")
    assert expression(azure.modules["region"]["cluster"]["host_encryption"]) == "var.host_encryption"
    assert azure.variables["host_encryption"]["default"] is True


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_do_not_relax_settings(environment: str) -> None:
    values = read_tfvars(environment)
    assert values.get("host_encryption", True) is True
    assert not values.get("api_server_authorized_ip_ranges")
    assert values.get("deletion_protection", False) is (environment == "prod")


def test_firewall_of_the_edge_blocks() -> None:
    [policy] = read_module("azure").of_type("azurerm_cdn_frontdoor_firewall_policy").values()
    assert policy["mode"] == "Prevention"
    assert policy.get("enabled", True) is True
    managed, custom = blocks(policy, "managed_rule"), blocks(policy, "custom_rule")
    assert {rule["type"] for rule in managed} >= {"Microsoft_DefaultRuleSet", "Microsoft_BotManagerRuleSet"}
    assert {rule["type"] for rule in custom} >= {"RateLimitRule", "MatchRule"}
    assert {rule["action"] for rule in [*managed, *custom]} == {"Block"}
    for rule in managed:
        assert not blocks(rule, "override"), "an override may log instead of block"
        assert not blocks(rule, "exclusion"), "an exclusion lets requests pass"


def test_edge_requires_authentication_of_the_facade() -> None:
    """terraform/azure/tests/validation.tftest.hcl has the refusal itself."""
    azure = read_module("azure")
    rules = [expression(rule["condition"]) for rule in azure.variables["edge"]["validation"]]
    assert "var.edge == null || var.entra != null" in rules
    for option in ("edge", "entra"):
        assert expression(azure.variables[option]["default"]) in ("null", "None")
    for address, body in azure.resources.items():
        if address.startswith("azurerm_cdn_frontdoor_"):
            repetition = expression(body.get("count", body.get("for_each")))
            assert repetition in ("var.edge == null ? 0 : 1", "local.edge", "local.edge_domains"), address
    assert expression(azure.local_values["edge"]) == "var.edge == null ? {} : local.locations"
    assert expression(azure.local_values["edge_domains"]).startswith("{for edge in var.edge[*] :")


def test_data_is_protected_against_destruction() -> None:
    """Instead of locks: Terraform refuses to destroy data, and only `make destroy` overrides this."""
    protected = {
        folder: {
            address
            for address, body in read_module(folder).resources.items()
            if any(each.get("prevent_destroy") is True for each in body.get("lifecycle", ()))
        }
        for folder in ("azure", "bootstrap")
    }
    assert protected["azure"] == {f"{kind}.{name}" for kind, names in PROTECTED.items() for name in names}
    assert protected["bootstrap"] == {"azurerm_storage_account.state", "azurerm_storage_container.state"}


def test_deleted_data_can_be_restored() -> None:
    azure, bootstrap = read_module("azure"), read_module("bootstrap")
    vault = azure.of_type("azurerm_key_vault")["this"]
    assert (vault["purge_protection_enabled"], vault["soft_delete_retention_days"]) == (True, 90)
    assert expression(azure.local_values["restore_days"]) == "var.deletion_protection ? 90 : 30"
    for module, account, days in ((azure, "this", "local.restore_days"), (bootstrap, "state", "90")):
        [blobs] = module.of_type("azurerm_storage_account")[account]["blob_properties"]
        assert blobs["versioning_enabled"] is True
        for policy in ("delete_retention_policy", "container_delete_retention_policy"):
            assert expression(blobs[policy][0]["days"]) == days


def test_checkov_reads_each_file_but_the_rule_groups() -> None:
    """checkov reports nothing about a file that it cannot parse, as each one with an argument named `for`."""
    excluded = TERRAFORM / "azure" / "alerts.tf"
    unreadable = {path for path in TERRAFORM.rglob("*.tf") if re.search(r"^\s*for\s*=", path.read_text(), re.MULTILINE)}
    assert unreadable == {excluded}
    makefile = (TERRAFORM.parent / "Makefile").read_text()
    assert re.findall(r"--skip-path (terraform\S*)", makefile) == ["terraform/azure/alerts.tf"]
    blocks_of_file = re.findall(r'^resource "(\w+)"', excluded.read_text(), re.MULTILINE)
    assert blocks_of_file == ["azurerm_monitor_alert_prometheus_rule_group"]
