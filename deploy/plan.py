"""Tells what a deploy would do, and does nothing of it: `plan` for all steps, `diff` for the manifests."""

from deploy import cluster as clusters
from deploy import overlay, platform, terraform
from deploy.context import Job
from deploy.errors import NotYetError
from deploy.state import State
from deploy.steps import STEPS, Step


def tell_plan(job: Job) -> None:
    """Print which steps have something to do; for the cloud and the add-ons, what.

    Raises:
        DeployError: If a program fails.
    """
    with job.alone():
        state = State.read(job.state_file)
        for step in STEPS:
            if step.belongs_to(job.environment) and step.remembered:
                job.say(f"{step.name}: {_word(job, step, state)}")
        if job.environment.on_azure:
            terraform.plan(job)
        if terraform.OUTPUTS in {path.name for path in job.folder.iterdir()} or not job.environment.on_azure:
            platform.install(job, "plan")


def tell_diff(job: Job) -> None:
    """Print what applying the overlay would change in the cluster. Writes release.yaml as a deploy would.

    Raises:
        DeployError: If a program fails.
    """
    with job.alone():
        cluster = clusters.connect(job)
        cluster.check()
        told = overlay.difference(cluster, overlay.render(job, cluster)) or "nothing differs"
        job.console.print(told, markup=False, highlight=False, soft_wrap=True)


def _word(job: Job, step: Step, state: State) -> str:
    try:
        return "unchanged" if state.holds(step.name, step.inputs(job)) else "would run"
    except NotYetError as error:
        return f"would run ({error})"
