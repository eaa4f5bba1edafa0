"""Previews of a deploy without changes: `plan` for all steps, `diff` for the manifests."""

from deploy import cluster as clusters
from deploy import overlay, platform, terraform
from deploy.context import DeployContext
from deploy.errors import ClusterUnreachableError, StepOrderError
from deploy.state import State
from deploy.steps import STEPS, DeployStep, state_of_cluster


def print_plan(context: DeployContext) -> None:
    """Print the steps that would run, and the changes of Terraform and the add-ons.

    Raises:
        PrerequisitesMissingError: If required settings are missing.
        DeployError: If a command fails.
    """
    context.settings.require_fields()
    with context.lock():
        state = _known_state(context)
        for step in STEPS:
            if step.belongs_to(context.environment) and step.cached:
                context.log(f"{step.name}: {_step_status(context, step, state)}")
        if context.environment.on_azure:
            terraform.plan(context)
        if terraform.OUTPUTS in {path.name for path in context.folder.iterdir()} or not context.environment.on_azure:
            platform.run_installer(context, "plan")


def _known_state(context: DeployContext) -> State:
    """Return the state for the environment's cluster, or the recorded one if Terraform has yet to create or repair it.

    Raises:
        ClusterUnreachableError: If the cluster of a laptop does not respond.
    """
    state = State.read(context.state_file)
    try:
        return state_of_cluster(context, state)
    except StepOrderError:
        return state
    except ClusterUnreachableError as error:
        if not context.environment.on_azure:
            raise
        context.log(str(error))
        return state


def print_diff(context: DeployContext) -> None:
    """Print the changes that applying the overlay would make. Writes release.yaml as a deploy does.

    Raises:
        DeployError: If a command fails.
    """
    with context.lock():
        cluster = clusters.connect(context)
        cluster.check_environment()
        text = overlay.difference(cluster, overlay.render(context, cluster)) or "no differences"
        context.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _step_status(context: DeployContext, step: DeployStep, state: State) -> str:
    try:
        return "unchanged" if state.is_current(step.name, step.inputs_digest(context)) else "would run"
    except StepOrderError as error:
        return f"would run ({error})"
