"""Summary of a deploy: addresses, versions, and cost per hour."""

import json
import sys
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy import terraform
from deploy.commands import run_json
from deploy.context import DeployContext
from deploy.errors import CommandError
from deploy.history import load_history
from deploy.images import load_image_references
from deploy.smoke import ARTIFACT


def run(context: DeployContext) -> None:
    """Print the summary.

    Raises:
        StepOrderError: If the smoke test has not passed.
    """
    smoke_result = json.loads(context.artifact(ARTIFACT, "smoke").read_text())
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("environment", str(context.environment))
    table.add_row("address", f"https://{smoke_result['host']} at {smoke_result['address']} (internal)")
    if context.environment.on_azure:
        facts = terraform.facts(context)
        if facts.get("edge_host"):
            table.add_row("edge", f"https://{facts['edge_host']}")
        table.add_row("cluster", clusters.locate_cluster(context).name)
        table.add_row("dashboards", facts["grafana"])
        table.add_row("API keys", describe_first_key(facts["key_vault"]))
    table.add_row("thale", smoke_result["version"])
    for name, version in sorted(smoke_result["models"].items()):
        table.add_row(name, version)
    for image in load_image_references(context):
        table.add_row(image.name, image.reference)
    table.add_row("smoke test", f"passed, {smoke_result['seconds']} s")
    if history := load_history(clusters.connect(context)):
        table.add_row("record", history[-1].describe())
    if context.environment.on_azure:
        table.add_row("cost", describe_cost(context))
    context.console.print(table)


def describe_first_key(vault: str) -> str:
    """Return the command of the first API key. The vault is private, so a deploy can neither create nor read keys."""
    return (
        f"an administrator creates them inside the network: thale keys create --key-vault {vault} --name NAME --scope "
        "predict --expires 90d. Until the first one, the facade accepts only tokens of Entra ID"
    )


def describe_cost(context: DeployContext) -> str:
    """Return the cost per hour according to the last plan, or the reason why it is unknown."""
    path = context.artifact(terraform.PLAN, "terraform")
    try:
        costs: Any = run_json(
            [sys.executable, str(context.root / "terraform" / "monthly_cost.py"), "--json", str(path)]
        )
    except CommandError as error:
        return str(error).splitlines()[-1]
    at_rest, at_max = (costs["plans"][path.stem][load] / costs["hours"] for load in ("at_rest", "at_max"))
    return f"{at_rest:.2f} {costs['currency']} an hour at rest, {at_max:.2f} at maximum size"
