"""Looks whether everything is there that a deploy needs, and says all of what is missing at once."""

from deploy import cluster
from deploy.context import DeployContext
from deploy.errors import CommandError, DeployError, MissingPrerequisite, PrerequisitesMissingError
from deploy.settings import SETTINGS_DIR
from deploy.state import State
from deploy.steps import get_step
from deploy.subscription import missing_from_subscription, missing_login
from deploy.tools import missing_tools


def run(context: DeployContext) -> None:
    """Check programs, settings, login, subscription and cluster.

    Raises:
        MissingError: If something is missing: all of it.
    """
    missing = [*_missing_settings(context), *missing_tools(context.settings)]
    missing_names = {each.description.split()[0] for each in missing}
    if context.environment.on_azure:
        if not missing_names & {"az", "subscription_id"}:
            missing += _missing_on_azure(context)
    elif "kubectl" not in missing_names:
        missing += _missing_locally(context)
    if missing:
        raise PrerequisitesMissingError(missing)
    context.log("nothing is missing")


def _missing_settings(context: DeployContext) -> list[MissingPrerequisite]:
    file = SETTINGS_DIR / f"{context.environment}.toml"
    return [
        MissingPrerequisite(
            f"{name} is not set", f"{file} (after {SETTINGS_DIR / 'example.toml'}), or THALE_DEPLOY_{name.upper()}"
        )
        for name in context.settings.missing_fields()
    ]


def _missing_on_azure(context: DeployContext) -> list[MissingPrerequisite]:
    """Ask the subscription only for what Terraform is still to make: Azure takes half a minute to list its machines."""
    if (login := missing_login(context.settings)) is not None:
        return [login]
    state = State.read(context.state_file)
    if not context.settings.missing_fields() and state.is_current(
        "terraform", get_step("terraform").inputs_digest(context)
    ):
        return []
    try:
        return missing_from_subscription(context, environment_exists="terraform" in state.steps)
    except CommandError as error:
        return [
            MissingPrerequisite("the right to look at the subscription's providers, features and quotas", str(error))
        ]


def _missing_locally(context: DeployContext) -> list[MissingPrerequisite]:
    how = "kind create cluster, or choose one: kubectl config get-contexts, then `context = …` in the settings"
    try:
        cluster.connect(context).check_environment()
    except DeployError as error:
        return [MissingPrerequisite(f"a cluster that answers and is a laptop's: {error}", how)]
    return []
