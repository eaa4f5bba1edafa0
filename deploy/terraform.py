"""Plans and applies terraform/azure, and writes outputs.json, and plan.json for the cost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.commands import run as run_program
from deploy.commands import run_json, run_streaming
from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.runbooks import runbooks_url
from deploy.state import digest_files

OUTPUTS, PLAN = "outputs.json", "plan.json"
_SAVED_PLAN = "plan.tfplan"
_CHANGES_STATUS = 2
"""Exit status of `plan -detailed-exitcode` if there are changes to apply."""


def cache_inputs(context: DeployContext) -> Mapping[str, object]:
    """Return the digest of the configuration, the organisation's values, and the state account."""
    files = [path for path in context.tracked_files("terraform/azure", "terraform/modules") if path.suffix == ".tf"]
    return {
        "files": digest_files(context.root, [*files, _tfvars(context)]),
        "organisation": _organisation(context),
        "state": context.settings.state_account_name,
    }


def run(context: DeployContext) -> None:
    """Plan, and apply the saved plan if it has changes.

    Raises:
        CommandError: If terraform fails.
        DeployError: If the outputs lack the facts.
    """
    has_changes = plan(context)
    _write_json(
        context,
        PLAN,
        run_json(
            _terraform(context, "show", "-json", str(context.folder / _SAVED_PLAN)), variables=_variables(context)
        ),
    )
    if has_changes:
        apply_plan(context)
    outputs = run_json(_terraform(context, "output", "-json"), variables=_variables(context))
    if "facts" not in outputs:
        raise DeployError("the outputs of terraform have no facts: the apply did not complete; run it again")
    _write_json(context, OUTPUTS, outputs)
    context.log("applied" if has_changes else "no changes")


def plan(context: DeployContext, *options: str) -> bool:
    """Print and save the plan. Returns whether it has changes.

    Raises:
        CommandError: If terraform fails.
    """
    _init_backend(context)
    arguments = ["plan", "-input=false", "-detailed-exitcode", f"-out={context.folder / _SAVED_PLAN}", *options]
    files = [f"-var-file={path}" for path in (_tfvars(context), context.folder / "organisation.tfvars.json")]
    result = run_program(
        _terraform(context, *arguments, *files), variables=_variables(context), ok_statuses=(0, _CHANGES_STATUS)
    )
    has_changes = result.returncode == _CHANGES_STATUS
    output = result.stdout if has_changes else result.stdout.strip().splitlines()[-1]
    context.console.print(output, markup=False, highlight=False, soft_wrap=True)
    return has_changes


def apply_plan(context: DeployContext) -> None:
    """Apply the saved plan.

    Raises:
        CommandError: If terraform fails.
    """
    run_streaming(
        _terraform(context, "apply", "-input=false", str(context.folder / _SAVED_PLAN)), variables=_variables(context)
    )


def facts(context: DeployContext) -> Mapping[str, Any]:
    """Return the facts of the environment from the outputs (terraform/azure/outputs.tf).

    Raises:
        StepOrderError: If Terraform has not been applied from this machine.
    """
    values: Mapping[str, Any] = json.loads(context.artifact(OUTPUTS, "terraform").read_text())["facts"]["value"]
    return values


def region(context: DeployContext) -> Mapping[str, Any]:
    """Return the facts of the configured region.

    Raises:
        DeployError: If the environment has no such region.
        StepOrderError: If Terraform has not been applied from this machine.
    """
    regions: Mapping[str, Mapping[str, Any]] = facts(context)["regions"]
    if context.settings.region not in regions:
        raise DeployError(
            f"{context.environment} has no region {context.settings.region}: set one of {', '.join(sorted(regions))}"
        )
    return regions[context.settings.region]


def _init_backend(context: DeployContext) -> None:
    """Initialise the backend with the environment's state, as the output `init` of terraform/bootstrap does."""
    backend = {
        "resource_group_name": "rg-thale-bootstrap",
        "storage_account_name": context.settings.state_account_name,
        "container_name": str(context.environment),
        "key": "thale.tfstate",
    }
    options = [f"-backend-config={name}={value}" for name, value in backend.items()]
    run_program(_terraform(context, "init", "-reconfigure", "-input=false", *options), variables=_variables(context))
    _write_json(context, "organisation.tfvars.json", _organisation(context))


def _terraform(context: DeployContext, *arguments: str) -> Sequence[str]:
    command, *rest = arguments
    no_colour = [] if context.console.is_terminal or command in ("show", "output") else ["-no-color"]
    return ["terraform", f"-chdir={context.root / 'terraform' / 'azure'}", command, *no_colour, *rest]


def _variables(context: DeployContext) -> Mapping[str, str]:
    """Return a separate data directory for each environment, so that no apply can use the state of another."""
    return {"TF_DATA_DIR": str(context.folder / "terraform"), "TF_IN_AUTOMATION": "1"}


def _tfvars(context: DeployContext) -> Path:
    return context.root / "terraform" / "environments" / f"{context.environment}.tfvars"


def _organisation(context: DeployContext) -> Mapping[str, object]:
    settings = context.settings
    entra = {"audience": settings.entra_audience, "tenant_id": settings.entra_tenant_id}
    return {
        "subscription_id": settings.subscription_id,
        "admin_group_ids": list(settings.admin_group_ids),
        "alert_emails": settings.alert_emails.model_dump(mode="json") if settings.alert_emails else None,
        "entra": entra if settings.entra_audience else None,
        "runbooks_url": runbooks_url(context),
    }


def _write_json(context: DeployContext, name: str, value: object) -> None:
    (context.folder / name).write_text(json.dumps(value))
