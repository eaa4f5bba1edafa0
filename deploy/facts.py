"""Writes what the overlay must know of the place: its facts.yaml (kubernetes/README.md has the table)."""

from collections.abc import Mapping
from typing import Any

import yaml

from deploy import cluster, terraform
from deploy.context import NAMESPACE, Job
from thale.files import write_atomically

_HEAD = "# Written by `make deploy`, from what Terraform and the cluster say. Not applied, read by components.\n"


def run(job: Job) -> None:
    """Write the facts, if they are others than before.

    Raises:
        NotYetError: If Terraform has not been applied.
    """
    told = azures_facts(job) if job.environment.on_azure else _laptops_facts(job)
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "facts",
            "namespace": NAMESPACE,
            "annotations": {"config.kubernetes.io/local-config": "true"},
        },
        "data": told,
    }
    path = job.overlay / "facts.yaml"
    before = yaml.safe_load(path.read_text())
    if before == config_map:
        job.say("as before")
        return
    write_atomically(path, (_HEAD + yaml.safe_dump(config_map, sort_keys=False)).encode())
    job.say(f"{path.relative_to(job.root)} written, for {told['host']}")


def azures_facts(job: Job) -> Mapping[str, str]:
    """Return the facts of an environment on Azure."""
    told = terraform.facts(job)
    region = terraform.region(job)
    identities = {name.replace("-", "_"): client_id for name, client_id in told["client_ids"].items()}
    return {
        "environment": told["environment"],
        "host": job.settings.host_name,
        **{name: told[name] for name in ("tenant_id", "key_vault", "blob_endpoint", "prometheus_query")},
        **{f"client_id_{name}": identities[name] for name in ("facade", "model_server", "release_watcher", "keda")},
        "node_subnet": region["node_subnet"],
        "private_endpoints_range": region["ranges"]["private_endpoints"],
        "api_server_range": region["ranges"]["api_server"],
    }


def _laptops_facts(job: Job) -> Mapping[str, str]:
    """Return the facts of a cluster at hand: as they are, with its own API server's address."""
    before: Mapping[str, str] = yaml.safe_load((job.overlay / "facts.yaml").read_text())["data"]
    slices = cluster.connect(job).get(
        "endpointslices", "--namespace", "default", "--selector", "kubernetes.io/service-name=kubernetes"
    )
    addresses = _addresses(slices)
    facts = {**before, "host": job.settings.host_name}
    if len(addresses) == 1:
        return {**facts, "api_server_range": f"{addresses[0]}/{128 if ':' in addresses[0] else 32}"}
    job.say(
        f"the API server is at {addresses}: api_server_range stays {before['api_server_range']}, see that it holds them"
    )
    return facts


def _addresses(slices: Any) -> list[str]:
    """Return where the API server answers."""
    found = (slices or {}).get("items", ())
    return [address for each in found for endpoint in each["endpoints"] for address in endpoint["addresses"]]
