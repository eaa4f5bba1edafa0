"""Takes an environment down, after its name was typed. What is protected is not destroyed, and the reason is told."""

import shutil
from collections.abc import Callable

from deploy import cluster as clusters
from deploy import terraform
from deploy.context import NAMESPACE, Job
from deploy.errors import RefusedError
from deploy.subscription import tfvars

Ask = Callable[[str], str]


def destroy(job: Job, ask: Ask) -> None:
    """Destroy an environment.

    Args:
        job: Which one.
        ask: Puts a question to a person, and returns the answer.

    Raises:
        RefusedError: If something of it is protected, or the name was not given.
    """
    with job.alone():
        if job.environment.on_azure:
            _refuse_what_is_protected(job)
            terraform.plan(job, "-destroy")
            what = f"Everything above is destroyed: {job.environment}'s cluster, models, photographs and results."
        else:
            clusters.connect(job).check()
            what = f"The namespace {NAMESPACE} is deleted, with the models in its volume. Add-ons and the cluster stay."
        job.say(what)
        if ask(f"Type the environment's name to go on ({job.environment})") != job.environment:
            raise RefusedError(f"that is not its name: nothing was destroyed of {job.environment}")
        if job.environment.on_azure:
            terraform.apply_saved(job)
        else:
            clusters.connect(job).kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(job.folder)
    job.say(f"{job.environment} is gone, and so is what was remembered of its deploys")


def _refuse_what_is_protected(job: Job) -> None:
    """Say what protects the environment, as the tfvars have it.

    Raises:
        RefusedError: If anything does.
    """
    values = tfvars(job)
    file = f"terraform/environments/{job.environment}.tfvars"
    if values.get("model_retention", {}).get("locked"):
        raise RefusedError(
            f"{file} has locked the registered models for {values['model_retention']['days']} days, which nobody can "
            "undo: Azure refuses to delete the storage account before the last of them is that old"
        )
    if values.get("deletion_lock"):
        raise RefusedError(
            f"{job.environment}'s storage account and vault are locked against deletion. If you mean it: set "
            f"deletion_lock = false in {file}, have somebody agree to that change, deploy, and destroy then"
        )
