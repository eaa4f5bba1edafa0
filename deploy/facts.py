"""Writes the facts of the environment to the overlay's facts.yaml (kubernetes/README.md has the table)."""

from collections.abc import Mapping
from typing import Any

import yaml

from deploy import cluster, terraform
from deploy.caller_credential import entra_facts
from deploy.context import NAMESPACE, DeployContext
from deploy.experiments import experiment_facts
from deploy.runbooks import runbooks_url
from deploy.signing_keys import signing_facts
from thale.capacity.environment_limits import read_environment_limits
from thale.capacity.facade_cost import facade_cost_per_hour
from thale.capacity.nodes import read_prices
from thale.host.files import write_atomically

_AZURE_PORT = "443"
"""Port of AKS' API server in the virtual network."""
_NO_ADDRESS = (
    "no EndpointSlice of the Service `kubernetes` has an address "
    "(kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes)"
)
_HEADER = (
    "# Written by `make deploy`, from Terraform's outputs and the cluster. Components read it; it is not applied.\n"
)


def run(context: DeployContext) -> None:
    """Write the facts if they changed.

    Raises:
        StepOrderError: If Terraform has not been applied.
    """
    data = {**(azure_facts if context.environment.on_azure else _local_facts)(context), **signing_facts(context)}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "facts",
            "namespace": NAMESPACE,
            "annotations": {"config.kubernetes.io/local-config": "true"},
        },
        "data": data,
    }
    path = context.overlay / "facts.yaml"
    before = yaml.safe_load(path.read_text())
    if before == config_map:
        context.log("unchanged")
        return
    write_atomically(path, (_HEADER + yaml.safe_dump(config_map, sort_keys=False)).encode())
    context.log(f"{path.relative_to(context.root)} written for {data['host']}")


def azure_facts(context: DeployContext) -> Mapping[str, str]:
    """Return the facts of an environment on Azure.

    Raises:
        DeployError: If it has no app registration.
        SettingsError: If the overlay and Terraform disagree about the store of experiments.
        StepOrderError: If Terraform has not been applied.
    """
    outputs = terraform.facts(context)
    region, entra = terraform.region(context), entra_facts(context)
    identities = {name.replace("-", "_"): client_id for name, client_id in outputs["client_ids"].items()}
    return {
        "environment": outputs["environment"],
        "host": context.settings.host_name,
        **{name: outputs[name] for name in ("key_vault", "blob_endpoint", "prometheus_query")},
        "entra_tenant_id": entra["tenant_id"],
        "entra_audience": entra["audience"],
        **{f"client_id_{name}": identities[name] for name in ("facade", "model_server", "release_watcher", "keda")},
        "node_subnet": region["node_subnet"],
        "private_endpoints_range": region["ranges"]["private_endpoints"],
        "api_server_range": region["ranges"]["api_server"],
        "api_server_port": _AZURE_PORT,
        "runbooks_url": runbooks_url(context),
        **experiment_facts(context, outputs),
        **_cost_facts(outputs["environment"]),
    }


def _cost_facts(environment: str) -> Mapping[str, str]:
    """Return the cost per hour of a facade by the list prices (thale/capacity/prices.toml), for the dashboards."""
    prices = read_prices()
    cost = facade_cost_per_hour(read_environment_limits()[environment], prices)
    return {"cost_per_hour": f"{cost:.3f}", "currency": prices.currency}


def _local_facts(context: DeployContext) -> Mapping[str, str]:
    """Return the facts of a local cluster: the committed ones, with the address and port of its API server."""
    before: dict[str, str] = yaml.safe_load((context.overlay / "facts.yaml").read_text())["data"]
    before.pop("signing_public_keys", None)
    slices = cluster.connect(context).get(
        "endpointslices", "--namespace", "default", "--selector", "kubernetes.io/service-name=kubernetes"
    )
    addresses = _addresses(slices)
    facts = {
        **before,
        "host": context.settings.host_name,
        "api_server_port": _port(slices, before["api_server_port"]),
        "runbooks_url": runbooks_url(context),
    }
    if len(addresses) == 1:
        return {**facts, "api_server_range": f"{addresses[0]}/{128 if ':' in addresses[0] else 32}"}
    found = f"the API server has the addresses {', '.join(addresses)}" if addresses else _NO_ADDRESS
    context.log(
        f"{found}: api_server_range stays {before['api_server_range']}; check in "
        f"{(context.overlay / 'facts.yaml').relative_to(context.root)} that it covers the API server"
    )
    return facts


def _port(slices: Any, default: str) -> str:
    """Return the port of the API server (6443 in kind, 8443 in minikube), to which policies apply instead of 443."""
    ports = [port["port"] for each in (slices or {}).get("items", ()) for port in each.get("ports") or ()]
    return str(ports[0]) if ports else default


def _addresses(slices: Any) -> list[str]:
    """Return the addresses of the API server."""
    found = (slices or {}).get("items", ())
    endpoints = [endpoint for each in found for endpoint in each.get("endpoints") or ()]
    return [address for endpoint in endpoints for address in endpoint.get("addresses") or ()]
