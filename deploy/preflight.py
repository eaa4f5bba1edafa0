"""Looks whether everything is there that a deploy needs, and says all of what is missing at once."""

from deploy import cluster
from deploy.context import Job
from deploy.errors import CommandError, DeployError, Missing, MissingError
from deploy.settings import FOLDER
from deploy.state import State
from deploy.steps import step_named
from deploy.subscription import missing_from_subscription, missing_login
from deploy.tools import missing_tools


def run(job: Job) -> None:
    """Check programs, settings, login, subscription and cluster.

    Raises:
        MissingError: If something is missing: all of it.
    """
    missing = [*_missing_settings(job), *missing_tools(job.settings)]
    broken = {each.what.split()[0] for each in missing}
    if job.environment.on_azure:
        if not broken & {"az", "subscription_id"}:
            missing += _missing_on_azure(job)
    elif "kubectl" not in broken:
        missing += _missing_on_a_laptop(job)
    if missing:
        raise MissingError(missing)
    job.say("nothing is missing")


def _missing_settings(job: Job) -> list[Missing]:
    file = FOLDER / f"{job.environment}.toml"
    return [
        Missing(f"{name} is not set", f"{file} (after {FOLDER / 'example.toml'}), or THALE_DEPLOY_{name.upper()}")
        for name in job.settings.unsaid()
    ]


def _missing_on_azure(job: Job) -> list[Missing]:
    """Ask the subscription only for what Terraform is still to make: Azure takes half a minute to list its machines."""
    if (login := missing_login(job.settings)) is not None:
        return [login]
    state = State.read(job.state_file)
    if not job.settings.unsaid() and state.holds("terraform", step_named("terraform").inputs(job)):
        return []
    try:
        return missing_from_subscription(job, made_already="terraform" in state.steps)
    except CommandError as error:
        return [Missing("the right to look at the subscription's providers, features and quotas", str(error))]


def _missing_on_a_laptop(job: Job) -> list[Missing]:
    how = "kind create cluster, or choose one: kubectl config get-contexts, then `context = …` in the settings"
    try:
        cluster.connect(job).check()
    except DeployError as error:
        return [Missing(f"a cluster that answers and is a laptop's: {error}", how)]
    return []
