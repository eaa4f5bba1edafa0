"""Plans and applies terraform/azure, and leaves what it knows: outputs.json, and plan.json for prices."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.commands import answer, show
from deploy.commands import run as run_program
from deploy.context import Job
from deploy.errors import DeployError
from deploy.state import digest_of_files

OUTPUTS, PLAN = "outputs.json", "plan.json"
_SAVED = "plan.tfplan"
_CHANGES = 2
"""Exit status of `plan -detailed-exitcode` where there is something to apply."""


def inputs(job: Job) -> Mapping[str, object]:
    """Return what the cloud is made from."""
    files = [path for path in job.tracked("terraform/azure", "terraform/modules") if path.suffix == ".tf"]
    return {
        "files": digest_of_files(job.root, [*files, _tfvars(job)]),
        "organisation": _organisation(job),
        "state": job.settings.state_account_name,
    }


def run(job: Job) -> None:
    """Plan, and apply exactly what was planned, if anything was.

    Raises:
        CommandError: If terraform fails.
    """
    changes = plan(job)
    _write_json(
        job, PLAN, answer(_terraform(job, "show", "-json", str(job.folder / _SAVED)), variables=_variables(job))
    )
    if changes:
        apply_saved(job)
    outputs = answer(_terraform(job, "output", "-json"), variables=_variables(job))
    if "facts" not in outputs:
        raise DeployError("terraform knows no facts of the environment: its apply has not come to an end")
    _write_json(job, OUTPUTS, outputs)
    job.say("applied" if changes else "nothing to change")


def plan(job: Job, *options: str) -> bool:
    """Print what would change, and save the plan. Returns whether anything would.

    Raises:
        CommandError: If terraform fails.
    """
    _initialise(job)
    arguments = ["plan", "-input=false", "-detailed-exitcode", f"-out={job.folder / _SAVED}", *options]
    files = [f"-var-file={path}" for path in (_tfvars(job), job.folder / "organisation.tfvars.json")]
    planned = run_program(_terraform(job, *arguments, *files), variables=_variables(job), fine=(0, _CHANGES))
    changes = planned.returncode == _CHANGES
    said = planned.stdout if changes else planned.stdout.strip().splitlines()[-1]
    job.console.print(said, markup=False, highlight=False, soft_wrap=True)
    return changes


def apply_saved(job: Job) -> None:
    """Apply the plan that was saved.

    Raises:
        CommandError: If terraform fails.
    """
    show(_terraform(job, "apply", "-input=false", str(job.folder / _SAVED)), variables=_variables(job))


def facts(job: Job) -> Mapping[str, Any]:
    """Return what Terraform knows of the environment (terraform/azure/outputs.tf).

    Raises:
        NotYetError: If it has not been applied here.
    """
    told: Mapping[str, Any] = json.loads(job.made(OUTPUTS, "terraform").read_text())["facts"]["value"]
    return told


def region(job: Job) -> Mapping[str, Any]:
    """Return what Terraform knows of the region that is deployed to.

    Raises:
        DeployError: If the environment has no such region.
        NotYetError: If it has not been applied here.
    """
    regions: Mapping[str, Mapping[str, Any]] = facts(job)["regions"]
    if job.settings.region not in regions:
        raise DeployError(f"{job.environment} has no region {job.settings.region}: it has {', '.join(sorted(regions))}")
    return regions[job.settings.region]


def _initialise(job: Job) -> None:
    """Tie the folder to the environment's state, as terraform/bootstrap prints it."""
    backend = {
        "resource_group_name": "rg-thale-bootstrap",
        "storage_account_name": job.settings.state_account_name,
        "container_name": str(job.environment),
        "key": "thale.tfstate",
    }
    options = [f"-backend-config={name}={value}" for name, value in backend.items()]
    run_program(_terraform(job, "init", "-reconfigure", "-input=false", *options), variables=_variables(job))
    _write_json(job, "organisation.tfvars.json", _organisation(job))


def _terraform(job: Job, *arguments: str) -> Sequence[str]:
    command, *rest = arguments
    no_colour = [] if job.console.is_terminal or command in ("show", "output") else ["-no-color"]
    return ["terraform", f"-chdir={job.root / 'terraform' / 'azure'}", command, *no_colour, *rest]


def _variables(job: Job) -> Mapping[str, str]:
    """Give each environment a folder for the provider and the tie to its state: no apply can meet another's."""
    return {"TF_DATA_DIR": str(job.folder / "terraform"), "TF_IN_AUTOMATION": "1"}


def _tfvars(job: Job) -> Path:
    return job.root / "terraform" / "environments" / f"{job.environment}.tfvars"


def _organisation(job: Job) -> Mapping[str, object]:
    settings = job.settings
    return {
        "subscription_id": settings.subscription_id,
        "admin_group_ids": list(settings.admin_group_ids),
        "deployer_ids": list(settings.deployer_ids),
        "alert_emails": settings.alert_emails.model_dump(mode="json") if settings.alert_emails else None,
    }


def _write_json(job: Job, name: str, value: object) -> None:
    (job.folder / name).write_text(json.dumps(value))
