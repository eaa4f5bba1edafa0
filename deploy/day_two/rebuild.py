"""Rebuild of a deleted cluster from the repository, Terraform's state and the model store.

The order is that of a first deploy: the steps of `make deploy` create everything that is not stored elsewhere. The
releases are read before, because a deploy rewrites release.yaml.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy import cluster as clusters
from deploy import smoke
from deploy.context import DeployContext
from deploy.day_two.procedure import run_procedure
from deploy.day_two.releases import plan_restore, read_releases
from deploy.steps import run_steps

Clock = Callable[[], float]


def rebuild(
    context: DeployContext, releases: Path | None, *, apply: bool, clock: Clock = time.monotonic
) -> Mapping[str, float]:
    """Deploy to a new cluster and restore its releases. Returns the seconds of each phase.

    Args:
        context: The environment.
        releases: File of the releases; by default the overlay's release.yaml.
        apply: False prints what would happen.
        clock: Measures the phases.

    Raises:
        DeployError: If the file has no release, or a step fails. Running it again continues.
    """
    saved = read_releases(releases or context.overlay / "release.yaml")
    versions = ", ".join(f"{each['metadata']['name']} {each['spec']['predictor']['name']}" for each in saved)
    context.log(f"releases to restore: {versions}")
    if not apply:
        context.log(f"1. make deploy ENV={context.environment} FRESH=1: Terraform, add-ons, secrets, manifests")
        context.log("2. apply the releases as thale release, then wait for readiness and measure a plate")
        context.log("dry run: nothing was changed; add --apply to run the actions")
        return {}
    started = clock()
    run_steps(context, fresh=True)
    deployed = clock()
    cluster = clusters.connect(context)
    run_procedure(context, cluster, plan_restore(context, cluster, saved), apply=True)
    smoke.run(context)
    seconds = {"deploy": deployed - started, "releases": clock() - deployed}
    context.log(f"recovered in {sum(seconds.values()):.0f} s: {seconds['deploy']:.0f} s for the deploy")
    return seconds
