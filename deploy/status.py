"""Status of an environment: completed steps, deploy history, and readiness. Changes nothing."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.history import load_history
from deploy.readiness import unready_objects
from deploy.state import State
from deploy.steps import STEPS


def print_status(context: DeployContext) -> None:
    """Print the status.

    Raises:
        DeployError: If the cluster is not reachable.
    """
    state = State.read(context.state_file)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("step", "completed on this machine (UTC)"):
        table.add_column(title)
    for step in STEPS:
        if step.belongs_to(context.environment):
            completed = state.steps.get(step.name)
            table.add_row(step.name, f"{completed.at:%Y-%m-%d %H:%M}" if completed else "not yet")
    context.console.print(table)
    cluster = clusters.connect(context)
    cluster.check_environment()
    if clusters.is_namespace_missing(cluster):
        context.log("thale is not deployed to this cluster")
        return
    for record in load_history(cluster):
        context.log(record.describe())
    problems = unready_objects(cluster)
    for line, _ in problems:
        context.log(f"not ready: {line}")
    if not problems:
        context.log("all objects are ready")
