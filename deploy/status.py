"""Status of an environment: completed steps, deploy history, and readiness. Changes nothing."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.history import load_history
from deploy.kserve_annotations import annotation_problem
from deploy.pod_problems import find_pod_problems
from deploy.readiness import unready_objects
from deploy.state import State
from deploy.steps import STEPS, state_of_cluster


def print_status(context: DeployContext) -> None:
    """Print the status.

    Raises:
        DeployError: If the cluster is not reachable.
    """
    cluster = clusters.connect(context)
    cluster.check_environment()
    state = state_of_cluster(context, State.read(context.state_file))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("step", "completed on this machine (UTC)"):
        table.add_column(title)
    for step in STEPS:
        if step.belongs_to(context.environment):
            completed = state.steps.get(step.name)
            table.add_row(step.name, f"{completed.at:%Y-%m-%d %H:%M}" if completed else "not yet")
    context.console.print(table)
    if clusters.is_namespace_missing(cluster):
        context.log("thale is not deployed to this cluster")
        return
    for record in load_history(cluster):
        context.log(record.describe())
    problems = [line for line, _ in unready_objects(cluster)]
    problems += find_pod_problems(cluster) if problems else []
    problems += [problem for problem in (annotation_problem(context, cluster),) if problem]
    for line in problems:
        context.log(f"not ready: {line}")
    if not problems:
        context.log("all objects are ready")
