"""Checks all prerequisites of a deploy and reports every missing one at once."""

from deploy import cluster
from deploy.context import DeployContext
from deploy.errors import (
    ClusterUnreachableError,
    CommandError,
    DeployError,
    MissingPrerequisite,
    PrerequisitesMissingError,
)
from deploy.gpu_nodes import missing_gpu_nodes
from deploy.machines import missing_machines
from deploy.signing_keys import missing_signing_keys
from deploy.state import State
from deploy.steps import get_step
from deploy.subscription import missing_from_subscription, missing_login
from deploy.tools import missing_tools


def run(context: DeployContext) -> None:
    """Check programs, settings, login, subscription and cluster.

    Raises:
        PrerequisitesMissingError: If prerequisites are missing, with all of them.
    """
    missing = [
        *context.settings.missing_prerequisites(),
        *missing_signing_keys(context),
        *missing_tools(context.settings),
    ]
    missing_names = {each.description.split()[0] for each in missing}
    if context.environment.on_azure:
        if not missing_names & {"az", "subscription_id"}:
            missing += _missing_on_azure(context)
    elif "kubectl" not in missing_names:
        missing += _missing_locally(context)
    if missing:
        raise PrerequisitesMissingError(missing)
    context.log("all prerequisites are met")


def _missing_on_azure(context: DeployContext) -> list[MissingPrerequisite]:
    """Check the subscription only if Terraform has changes to apply: Azure takes 30 s to list VM sizes."""
    if (login := missing_login(context.settings)) is not None:
        return [login]
    state = State.read(context.state_file)
    if not context.settings.missing_fields() and state.is_current(
        "terraform", get_step("terraform").inputs_digest(context)
    ):
        return []
    try:
        machines = [
            *missing_gpu_nodes(context),
            *missing_machines(context, environment_exists="terraform" in state.steps),
        ]
        return [*missing_from_subscription(context), *machines]
    except CommandError as error:
        return [MissingPrerequisite("permission to read the subscription's providers, features and quotas", str(error))]


def _missing_locally(context: DeployContext) -> list[MissingPrerequisite]:
    remedy = "kind create cluster, or set `context = …` in the settings to one of: kubectl config get-contexts"
    try:
        cluster.connect(context).check_environment()
    except ClusterUnreachableError as error:
        return [MissingPrerequisite(f"a reachable cluster: {error.problem}", error.remedy)]
    except DeployError as error:
        return [MissingPrerequisite(f"a reachable cluster: {error}", remedy)]
    return []
