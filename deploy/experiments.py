"""Facts of the experiment store on Azure, and the overlay's component that uses them."""

from collections.abc import Mapping
from typing import Any

from deploy.context import DeployContext
from deploy.errors import SettingsError

COMPONENT = "../../components/azure-experiments"


def experiment_facts(context: DeployContext, outputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the addresses of the database and of the container; empty without a store.

    Raises:
        SettingsError: If the overlay uses a store that Terraform does not create, or does not use one that it creates.
    """
    store: Mapping[str, str] = outputs.get("experiments") or {}
    kustomization = (context.overlay / "kustomization.yaml").relative_to(context.root)
    is_used = COMPONENT in context.overlay_components
    if is_used and not store:
        raise SettingsError(
            f"{kustomization} has the component `{COMPONENT}`, but Terraform creates no store: set "
            f"`experiments_enabled = true` in terraform/environments/{context.environment}.tfvars, or remove the "
            "component"
        )
    if store and not is_used:
        raise SettingsError(
            f"Terraform creates a store of experiments that nothing uses: add `- {COMPONENT}` to the components in "
            f"{kustomization}"
        )
    return {f"experiments_{name}": url for name, url in store.items()}
