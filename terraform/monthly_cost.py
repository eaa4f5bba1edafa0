"""Monthly cost of an environment, from its plan and services/thale/capacity/prices.toml.

    terraform show -json prod.tfplan > prod.json
    python terraform/monthly_cost.py prod.json

Each row has two values: at rest (each pool at its minimum size) and at maximum (each pool at its maximum size, all
month). Free resources are omitted. An unknown resource type is an error, so that no cost is omitted by accident.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PRICES = Path(__file__).parents[1] / "services" / "thale" / "capacity" / "prices.toml"

FREE_RESOURCES = {
    "azurerm_consumption_budget_subscription",
    "azurerm_container_registry_task",  # billed by the second of build time: cents
    "azurerm_federated_identity_credential",
    "azurerm_key_vault",
    "azurerm_management_lock",
    "azurerm_machine_learning_workspace",
    "azurerm_monitor_action_group",
    "azurerm_monitor_alert_prometheus_rule_group",
    "azurerm_monitor_data_collection_endpoint",
    "azurerm_monitor_data_collection_rule",
    "azurerm_monitor_data_collection_rule_association",
    "azurerm_monitor_diagnostic_setting",
    "azurerm_monitor_metric_alert",  # 0.1 a month each
    "azurerm_nat_gateway_public_ip_association",
    "azurerm_monitor_scheduled_query_rules_alert_v2",  # 0.5 a month at 15 minutes
    "azurerm_network_security_group",
    "azurerm_network_security_rule",
    "azurerm_postgresql_flexible_server_active_directory_administrator",
    "azurerm_private_dns_resolver",  # billed by its endpoints
    "azurerm_private_dns_zone_virtual_network_link",
    "azurerm_resource_group",
    "azurerm_role_assignment",
    "azurerm_storage_container",
    "azurerm_storage_container_immutability_policy",
    "azurerm_storage_management_policy",
    "azurerm_subnet",
    "azurerm_subnet_nat_gateway_association",
    "azurerm_subnet_network_security_group_association",
    "azurerm_user_assigned_identity",
    "azurerm_virtual_network",
    "azurerm_virtual_network_peering",  # billed by traffic, 0.01 a GB in each direction
    "azurerm_application_insights",  # its data is part of the logs
    "azurerm_cdn_frontdoor_custom_domain",
    "azurerm_cdn_frontdoor_custom_domain_association",
    "azurerm_cdn_frontdoor_endpoint",
    "azurerm_cdn_frontdoor_firewall_policy",
    "azurerm_cdn_frontdoor_origin",
    "azurerm_cdn_frontdoor_origin_group",
    "azurerm_cdn_frontdoor_route",
    "azurerm_cdn_frontdoor_security_policy",
}


@dataclass(frozen=True)
class CostLine:
    """One cost item, in the price file's currency per month."""

    description: str
    at_rest: float
    at_max: float


class UnpricedError(Exception):
    """A plan has a resource without a known price."""


def monthly_costs(plan: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    """Return the monthly cost of a plan's resources.

    Args:
        plan: The output of `terraform show -json`.
        prices: The content of prices.toml.

    Raises:
        UnpricedError: If a resource type or a size has no price.
    """
    rows: list[CostLine] = []
    resources = list(_resources(plan["planned_values"]["root_module"]))
    for resource in resources:
        kind = resource["type"]
        if kind in FREE_RESOURCES:
            continue
        if kind not in COST_FUNCTIONS:
            raise UnpricedError(f"{resource['address']}: {kind} is unknown: add a price, or add it to FREE_RESOURCES")
        try:
            rows += COST_FUNCTIONS[kind](resource["values"], prices)
        except KeyError as error:
            raise UnpricedError(f"{resource['address']}: {PRICES.name} has no price for {error}") from error
    return _merge_lines(rows + _defender(resources, prices) + _advanced_networking(resources, prices))


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (resource for resource in module.get("resources", []) if resource["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _cluster(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    tier, pool = values["sku_tier"], values["default_node_pool"][0]
    return [_hourly_line(f"AKS, {tier} tier", prices["cluster_hour"][tier], prices), _node_cost("system", pool, prices)]


def _defender(resources: list[dict[str, Any]], prices: dict[str, Any]) -> list[CostLine]:
    """Return the cost of Defender: a setting of the clusters, billed by the cores of all nodes."""
    if not any(cluster["microsoft_defender"] for cluster in _values(resources, "azurerm_kubernetes_cluster")):
        return []
    at_rest = at_max = 0.0
    for pool, nodes_at_rest in _node_pools(resources, prices):
        price = prices["other"]["defender_core"] * prices["vm_cores"][pool["vm_size"]]
        at_rest += price * nodes_at_rest
        at_max += price * pool["max_count"]
    return [CostLine("Defender, cores of all nodes", at_rest, at_max)]


def _advanced_networking(resources: list[dict[str, Any]], prices: dict[str, Any]) -> list[CostLine]:
    """Return the cost of Advanced Container Networking Services: a setting of the clusters, billed by node."""
    profiles = [cluster["network_profile"][0] for cluster in _values(resources, "azurerm_kubernetes_cluster")]
    if not any(profile.get("advanced_networking") for profile in profiles):
        return []
    price = prices["other"]["advanced_networking_node_hour"] * prices["usage"]["hours"]
    pools = list(_node_pools(resources, prices))
    at_rest = price * sum(nodes_at_rest for _, nodes_at_rest in pools)
    return [CostLine("Advanced container networking", at_rest, price * sum(pool["max_count"] for pool, _ in pools))]


def _node_pools(resources: list[dict[str, Any]], prices: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """Return each pool of nodes with its number of nodes at rest; of a GPU pool, the mean over the month."""
    pools = [cluster["default_node_pool"][0] for cluster in _values(resources, "azurerm_kubernetes_cluster")]
    for pool in pools + _values(resources, "azurerm_kubernetes_cluster_node_pool"):
        yield pool, pool["min_count"] or _gpu_hours(pool, prices) / prices["usage"]["hours"]


def _values(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource["values"] for resource in resources if resource["type"] == kind]


def _pool(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    return [_gpu_node_cost(values, prices) if values["min_count"] == 0 else _node_cost(values["name"], values, prices)]


def _node_cost(name: str, pool: dict[str, Any], prices: dict[str, Any]) -> CostLine:
    min_count, max_count, size = pool["min_count"], pool["max_count"], pool["vm_size"]
    price = prices["vm_hour"][size] * prices["usage"]["hours"]
    return CostLine(
        f"{name} nodes, {min_count} to {max_count} x {_short_size(size)}", price * min_count, price * max_count
    )


def _gpu_node_cost(pool: dict[str, Any], prices: dict[str, Any]) -> CostLine:
    """Return the cost of a GPU pool. At rest, one node runs for the hours in `usage`; an unused pool costs nothing."""
    spot, usage = pool["priority"] == "Spot", prices["usage"]
    price = prices["vm_hour_spot" if spot else "vm_hour"][pool["vm_size"]]
    hours = _gpu_hours(pool, prices)
    kind = "spot" if spot else "on demand"
    description = (
        f"{pool['name']} GPU, {kind}, {hours:g} h of 1 to {pool['max_count']} x {_short_size(pool['vm_size'])}"
    )
    return CostLine(description, price * hours, price * usage["hours"] * pool["max_count"])


def _gpu_hours(pool: dict[str, Any], prices: dict[str, Any]) -> float:
    return float(prices["usage"]["gpu_hours"][pool["node_labels"]["thale/purpose"]])


def _machine_learning(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    price = prices["vm_hour_spot"][values["vm_size"]] * prices["usage"]["hours"]
    return [CostLine("Azure ML, spot nodes", 0, price * values["scale_settings"][0]["max_node_count"])]


def _storage(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    stored, price = prices["usage"]["stored_gb"], prices["stored_gb_month"][values["account_replication_type"]]
    return [_monthly_line(f"Storage, {stored} GB hot", price * stored)]


def _database(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    """Return the cost of PostgreSQL. A standby in another zone is a second server with a second disk.

    Backups are free up to the size of the disk, and geo-redundant ones are billed as a second copy.
    """
    stored_gb, price = values["storage_mb"] / 1024, prices["database"]
    servers = 1 + len(values["high_availability"])
    compute = _hourly_line("PostgreSQL, servers", price["server_hour"][values["sku_name"]] * servers, prices)
    disks = _monthly_line("PostgreSQL, disks", price["stored_gb_month"] * stored_gb * servers)
    copies = [_monthly_line("PostgreSQL, backups in a second region", price["geo_backup_gb_month"] * stored_gb)]
    return [compute, disks, *(copies if values["geo_redundant_backup_enabled"] else [])]


def _registry(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    replica_count = 1 + len(values["georeplications"])
    return [_hourly_line("Registry, Premium", prices["other"]["registry_day"] / 24 * replica_count, prices)]


def _logs(values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    """Return the cost of logs. At maximum, each day reaches the daily cap; without one, the cost has no maximum.

    Raises:
        UnpricedError: If the workspace has no daily cap.
    """
    usual, cap = prices["usage"]["log_gb_a_day"], values["daily_quota_gb"]
    if cap < 0:
        raise UnpricedError("the logs have no maximum cost: set log_daily_quota_gb")
    days = values["retention_in_days"]
    at_rest, at_max = _log_cost(min(usual, cap), days, prices), _log_cost(cap, days, prices)
    return [CostLine(f"Logs, {usual} to {cap:g} GB a day", at_rest, at_max)]


def _log_cost(gb_a_day: float, retention_days: int, prices: dict[str, Any]) -> float:
    """Return the monthly cost of ingestion, and of retention from the 32nd day on."""
    other, days_a_month = prices["other"], prices["usage"]["hours"] / 24
    retained_gb = gb_a_day * max(0, retention_days - 31)
    return float(other["log_gb"] * gb_a_day * days_a_month + other["log_gb_kept_month"] * retained_gb)


def _metrics(_values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    return [
        _monthly_line("Prometheus samples", prices["other"]["metric_million"] * prices["usage"]["metric_samples"] / 1e6)
    ]


def _grafana(_values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    other, users = prices["other"], prices["usage"]["grafana_users"]
    hours = other["grafana_hour"] * prices["usage"]["hours"]
    return [_monthly_line(f"Grafana, {users} users", hours + other["grafana_user"] * users)]


def _nat(_values: dict[str, Any], prices: dict[str, Any]) -> list[CostLine]:
    transferred_cost = prices["other"]["nat_gb"] * prices["usage"]["nat_gb"]
    return [
        _hourly_line("NAT gateway", prices["other"]["nat_gateway_hour"], prices),
        _monthly_line("NAT gateway", transferred_cost),
    ]


COST_FUNCTIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[CostLine]]] = {
    "azurerm_kubernetes_cluster": _cluster,
    "azurerm_kubernetes_cluster_node_pool": _pool,
    "azurerm_machine_learning_compute_cluster": _machine_learning,
    "azurerm_storage_account": _storage,
    "azurerm_postgresql_flexible_server": _database,
    "azurerm_container_registry": _registry,
    "azurerm_log_analytics_workspace": _logs,
    "azurerm_monitor_workspace": _metrics,
    "azurerm_dashboard_grafana": _grafana,
    "azurerm_nat_gateway": _nat,
    "azurerm_public_ip": lambda _, prices: [
        _hourly_line("Public addresses", prices["other"]["public_ip_hour"], prices)
    ],
    "azurerm_private_endpoint": lambda _, prices: [
        _hourly_line("Private endpoints", prices["other"]["private_endpoint_hour"], prices)
    ],
    "azurerm_private_dns_zone": lambda _, prices: [
        _monthly_line("Private DNS zones", prices["other"]["private_dns_zone"])
    ],
    "azurerm_virtual_network_gateway": lambda _, prices: [
        _hourly_line("VPN gateways", prices["other"]["vpn_gateway_hour"], prices)
    ],
    "azurerm_private_dns_resolver_inbound_endpoint": lambda _, prices: [
        _monthly_line("DNS resolvers of VPN clients", prices["other"]["dns_resolver_endpoint"])
    ],
    "azurerm_cdn_frontdoor_profile": lambda _, prices: [
        _monthly_line("Front Door, Premium", prices["other"]["front_door_premium"])
    ],
}


def _monthly_line(description: str, cost: float) -> CostLine:
    return CostLine(description, cost, cost)


def _hourly_line(description: str, price: float, prices: dict[str, Any]) -> CostLine:
    return _monthly_line(description, price * prices["usage"]["hours"])


def _short_size(size: str) -> str:
    return size.removeprefix("Standard_")


def _merge_lines(rows: list[CostLine]) -> list[CostLine]:
    sums: dict[str, CostLine] = {}
    for row in rows:
        previous = sums.get(row.description, CostLine(row.description, 0, 0))
        sums[row.description] = CostLine(row.description, previous.at_rest + row.at_rest, previous.at_max + row.at_max)
    return sorted(sums.values(), key=lambda row: -row.at_rest)


def total(rows: list[CostLine]) -> CostLine:
    """Return the sum of all rows."""
    return CostLine("Total", sum(row.at_rest for row in rows), sum(row.at_max for row in rows))


def _table(title: str, rows: list[CostLine], prices: dict[str, Any]) -> Table:
    origin = "fetched" if prices["fetched"] else "entered by hand"
    table = Table(title=f"{title}: {prices['currency']} per month (prices of {prices['date']}, {origin})")
    table.add_column("Item")
    table.add_column("At rest", justify="right")
    table.add_column("At maximum", justify="right")
    for row in rows:
        table.add_row(row.description, f"{row.at_rest:,.0f}", f"{row.at_max:,.0f}")
    table.add_section()
    summed = total(rows)
    table.add_row(summed.description, f"{summed.at_rest:,.0f}", f"{summed.at_max:,.0f}")
    return table


def _totals(costs: dict[str, list[CostLine]], prices: dict[str, Any]) -> dict[str, Any]:
    """Return the totals by plan, with the currency and the hours of a month."""
    totals = {name: total(rows) for name, rows in costs.items()}
    plans = {name: {"at_rest": summed.at_rest, "at_max": summed.at_max} for name, summed in totals.items()}
    return {"currency": prices["currency"], "hours": prices["usage"]["hours"], "plans": plans}


def main() -> int:
    """Print the cost of plans. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Monthly cost of an environment, from its plan.")
    parser.add_argument("plans", nargs="*", type=Path, help="Output files of `terraform show -json`.")
    parser.add_argument("--json", action="store_true", help="Print the totals as JSON.")
    options = parser.parse_args()
    try:
        prices = tomllib.loads(PRICES.read_text())
        costs = {path.stem: monthly_costs(json.loads(path.read_text()), prices) for path in options.plans}
        if options.json:
            sys.stdout.write(json.dumps(_totals(costs, prices)) + "\n")
        else:
            for name, rows in costs.items():
                Console().print(_table(name, rows, prices))
    except (OSError, ValueError, UnpricedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
