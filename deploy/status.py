"""Tells how an environment is: which steps are finished here, what runs, and what was deployed. Changes nothing."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from deploy import cluster as clusters
from deploy.context import Job
from deploy.history import records
from deploy.readiness import unready
from deploy.state import State
from deploy.steps import STEPS


def tell(job: Job) -> None:
    """Print it.

    Raises:
        DeployError: If the cluster cannot be reached.
    """
    state = State.read(job.state_file)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("step", "finished on this machine (UTC)"):
        table.add_column(title)
    for step in STEPS:
        if step.belongs_to(job.environment):
            finished = state.steps.get(step.name)
            table.add_row(step.name, f"{finished.at:%Y-%m-%d %H:%M}" if finished else "not yet")
    job.console.print(table)
    cluster = clusters.connect(job)
    cluster.check()
    if clusters.missing_namespace(cluster):
        job.say("nothing of thale is in the cluster")
        return
    for record in records(cluster):
        job.say(record.told())
    states = unready(cluster)
    for line, _ in states:
        job.say(f"not ready: {line}")
    if not states:
        job.say("everything is ready")
