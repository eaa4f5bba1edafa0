"""Takes an environment down, after its name was typed. What is protected is not destroyed, and the reason is told."""

import shutil
from collections.abc import Callable

from deploy import cluster as clusters
from deploy import terraform
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import ForbiddenError
from deploy.subscription import tfvars

Prompt = Callable[[str], str]


def destroy(context: DeployContext, prompt: Prompt) -> None:
    """Destroy an environment.

    Args:
        job: Which one.
        ask: Puts a question to a person, and returns the answer.

    Raises:
        RefusedError: If something of it is protected, or the name was not given.
    """
    with context.lock():
        if context.environment.on_azure:
            _check_not_protected(context)
            terraform.plan(context, "-destroy")
            warning = (
                f"Everything above is destroyed: {context.environment}'s cluster, models, photographs and results."
            )
        else:
            clusters.connect(context).check_environment()
            warning = (
                f"The namespace {NAMESPACE} is deleted, with the models in its volume. Add-ons and the cluster stay."
            )
        context.log(warning)
        if prompt(f"Type the environment's name to go on ({context.environment})") != context.environment:
            raise ForbiddenError(f"that is not its name: nothing was destroyed of {context.environment}")
        if context.environment.on_azure:
            terraform.apply_plan(context)
        else:
            clusters.connect(context).kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(context.folder)
    context.log(f"{context.environment} is gone, and so is what was remembered of its deploys")


def _check_not_protected(context: DeployContext) -> None:
    """Say what protects the environment, as the tfvars have it.

    Raises:
        RefusedError: If anything does.
    """
    values = tfvars(context)
    file = f"terraform/environments/{context.environment}.tfvars"
    if values.get("model_retention", {}).get("locked"):
        raise ForbiddenError(
            f"{file} has locked the registered models for {values['model_retention']['days']} days, which nobody can "
            "undo: Azure refuses to delete the storage account before the last of them is that old"
        )
    if values.get("deletion_lock"):
        raise ForbiddenError(
            f"{context.environment}'s storage account and vault are locked against deletion. If you mean it: set "
            f"deletion_lock = false in {file}, have somebody agree to that change, deploy, and destroy then"
        )
