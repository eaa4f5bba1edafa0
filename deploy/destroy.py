"""Destroys an environment after a confirmation with its name, unless the environment is protected."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy import cluster as clusters
from deploy import terraform
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import ForbiddenOperationError
from deploy.subscription import tfvars

Prompt = Callable[[str], str]

PROTECTED = {
    "azurerm_storage_account": ("this",),
    "azurerm_storage_container": ("this", "experiments"),
    "azurerm_postgresql_flexible_server": ("experiments",),
    "azurerm_key_vault": ("this",),
}
"""The resources of terraform/azure that Terraform refuses to destroy, by type."""


def destroy(context: DeployContext, prompt: Prompt) -> None:
    """Destroy an environment.

    Args:
        context: The environment to destroy.
        prompt: Shows a text to the operator and returns the input.

    Raises:
        PrerequisitesMissingError: If required settings are missing.
        ForbiddenOperationError: If a part of it is protected, or the input is not its name.
    """
    context.settings.require_fields()
    with context.lock():
        if context.environment.on_azure:
            _check_not_protected(context)
            with _unprotected_data(context):
                terraform.plan(context, "-destroy")
            warning = (
                f"This destroys everything above: {context.environment}'s cluster, models, photographs and results."
            )
        else:
            clusters.connect(context).check_environment()
            warning = f"This deletes the namespace {NAMESPACE} and the models in its volume. Add-ons and cluster stay."
        context.log(warning)
        if prompt(f"Type the name of the environment to confirm ({context.environment})") != context.environment:
            raise ForbiddenOperationError(f"the name does not match: nothing of {context.environment} was destroyed")
        if context.environment.on_azure:
            terraform.apply_plan(context)
        else:
            clusters.connect(context).kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(context.folder)
    context.log(f"{context.environment} and its local deploy state are deleted")


@contextmanager
def _unprotected_data(context: DeployContext) -> Iterator[None]:
    """Override `prevent_destroy` of the resources that hold data, for a plan. The saved plan contains the override."""
    off = {"lifecycle": {"prevent_destroy": False}}
    resources = {kind: dict.fromkeys(names, off) for kind, names in PROTECTED.items()}
    path = context.root / "terraform" / "azure" / "destroy_override.tf.json"
    path.write_text(json.dumps({"resource": resources}))
    try:
        yield
    finally:
        path.unlink()


def _check_not_protected(context: DeployContext) -> None:
    """Check the protection that the environment's tfvars set.

    Raises:
        ForbiddenOperationError: If the environment is protected.
    """
    values = tfvars(context)
    file = f"terraform/environments/{context.environment}.tfvars"
    if values.get("model_retention", {}).get("locked"):
        raise ForbiddenOperationError(
            f"{file} locks the registered models for {values['model_retention']['days']} days. The lock is "
            "permanent: Azure refuses to delete the storage account until the newest model is that old"
        )
    if values.get("deletion_protection"):
        raise ForbiddenOperationError(
            f"{context.environment}'s storage account and vault are protected against deletion. To destroy them, set "
            f"deletion_protection = false in {file}, have the change reviewed, and run destroy again"
        )
