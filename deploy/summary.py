"""Tells what was deployed: addresses, versions, and what an hour costs."""

import json
import sys
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy import terraform
from deploy.commands import answer
from deploy.context import Job
from deploy.errors import CommandError
from deploy.history import records
from deploy.images import images
from deploy.smoke import MADE


def run(job: Job) -> None:
    """Print the summary.

    Raises:
        NotYetError: If the smoke test has not passed.
    """
    tried = json.loads(job.made(MADE, "smoke").read_text())
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("environment", str(job.environment))
    table.add_row("address", f"https://{tried['host']} at {tried['address']} (internal)")
    if job.environment.on_azure:
        facts = terraform.facts(job)
        if facts.get("edge_host"):
            table.add_row("edge", f"https://{facts['edge_host']}")
        table.add_row("cluster", clusters.place(job).cluster)
        table.add_row("dashboards", facts["grafana"])
    table.add_row("thale", tried["version"])
    for name, version in sorted(tried["models"].items()):
        table.add_row(name, version)
    for image in images(job):
        table.add_row(image.name, image.reference)
    table.add_row("smoke test", f"passed, {tried['seconds']} s")
    if known := records(clusters.connect(job)):
        table.add_row("record", known[-1].told())
    if job.environment.on_azure:
        table.add_row("cost", cost(job))
    job.console.print(table)


def cost(job: Job) -> str:
    """Return what the environment costs an hour by the last plan; where there is no price, why."""
    path = job.made(terraform.PLAN, "terraform")
    try:
        told: Any = answer([sys.executable, str(job.root / "terraform" / "monthly_cost.py"), "--json", str(path)])
    except CommandError as error:
        return str(error).splitlines()[-1]
    at_rest, at_most = (told["plans"][path.stem][which] / told["hours"] for which in ("at_rest", "at_most"))
    return f"{at_rest:.2f} {told['currency']} an hour at rest, {at_most:.2f} at most"
