"""Destroys an environment after a confirmation with its name, unless the environment is protected."""

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
        context: The environment to destroy.
        prompt: Shows a text to the operator and returns the input.

    Raises:
        PrerequisitesMissingError: If required settings are missing.
        ForbiddenError: If a part of it is protected, or the input is not its name.
    """
    context.settings.require_fields()
    with context.lock():
        if context.environment.on_azure:
            _check_not_protected(context)
            terraform.plan(context, "-destroy")
            warning = (
                f"This destroys everything above: {context.environment}'s cluster, models, photographs and results."
            )
        else:
            clusters.connect(context).check_environment()
            warning = f"This deletes the namespace {NAMESPACE} and the models in its volume. Add-ons and cluster stay."
        context.log(warning)
        if prompt(f"Type the name of the environment to confirm ({context.environment})") != context.environment:
            raise ForbiddenError(f"the name does not match: nothing of {context.environment} was destroyed")
        if context.environment.on_azure:
            terraform.apply_plan(context)
        else:
            clusters.connect(context).kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(context.folder)
    context.log(f"{context.environment} and its local deploy state are deleted")


def _check_not_protected(context: DeployContext) -> None:
    """Check the protection that the environment's tfvars set.

    Raises:
        ForbiddenError: If the environment is protected.
    """
    values = tfvars(context)
    file = f"terraform/environments/{context.environment}.tfvars"
    if values.get("model_retention", {}).get("locked"):
        raise ForbiddenError(
            f"{file} locks the registered models for {values['model_retention']['days']} days. The lock is "
            "permanent: Azure refuses to delete the storage account until the newest model is that old"
        )
    if values.get("deletion_lock"):
        raise ForbiddenError(
            f"{context.environment}'s storage account and vault are locked against deletion. To destroy them, set "
            f"deletion_lock = false in {file}, have the change reviewed, deploy it, and run destroy again"
        )
