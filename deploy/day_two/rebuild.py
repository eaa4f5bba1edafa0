"""Rebuild of a deleted cluster from the repository, Terraform's state and the model store.

The order is that of a first deploy: the steps of `make deploy` create everything that is not stored elsewhere. Then
the releases return to their copies in the store. A saved file replaces the copies. The overlay's release.yaml is for
models without a copy, and is read before, because a deploy rewrites it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy import cluster as clusters
from deploy import readiness, smoke
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two.procedure import run_procedure
from deploy.day_two.release_copies import models_without_copy, restore_from_copies
from deploy.day_two.releases import Release, plan_restore, read_releases
from deploy.errors import DeployError
from deploy.steps import run_steps

Clock = Callable[[], float]


def rebuild(
    context: DeployContext, releases: Path | None, *, apply: bool, clock: Clock = time.monotonic
) -> Mapping[str, float]:
    """Deploy to a new cluster and restore its releases. Returns the seconds of each phase.

    Args:
        context: The environment.
        releases: File of the releases, instead of the copies in the store.
        apply: False prints what would happen.
        clock: Measures the phases.

    Raises:
        DeployError: If the file has no release, or a step fails. Running it again continues.
    """
    saved = read_releases(releases) if releases is not None else _committed_releases(context)
    versions = ", ".join(f"{each['metadata']['name']} {each['spec']['predictor']['name']}" for each in saved)
    source = "" if releases is not None else "the copies in the store; without a copy: "
    context.log(f"releases to restore: {source}{versions or 'the first releases'}")
    if not apply:
        context.log(f"1. make deploy ENV={context.environment} FRESH=1: Terraform, add-ons, secrets, manifests")
        context.log("2. apply the releases as thale release, then wait for readiness and measure a plate")
        context.log("dry run: nothing was changed; add --apply to run the actions")
        return {}
    started = clock()
    run_steps(context, fresh=True)
    deployed = clock()
    cluster = clusters.connect(context)
    if releases is None:
        saved = _restore_copies(context, cluster, saved)
    if saved:
        run_procedure(context, cluster, plan_restore(context, cluster, saved), apply=True)
    smoke.run(context)
    seconds = {"deploy": deployed - started, "releases": clock() - deployed}
    context.log(f"recovered in {sum(seconds.values()):.0f} s: {seconds['deploy']:.0f} s for the deploy")
    return seconds


def _committed_releases(context: DeployContext) -> Sequence[Release]:
    try:
        return read_releases(context.overlay / "release.yaml")
    except DeployError:
        return ()  # no deploy has written it yet


def _restore_copies(context: DeployContext, cluster: Cluster, saved: Sequence[Release]) -> Sequence[Release]:
    """Restore the copies in the store. Returns the saved releases of models without a copy."""
    output = restore_from_copies(cluster, "rebuild of the cluster")
    for line in output.splitlines():
        context.log(line)
    readiness.run(context)
    missing = models_without_copy(output)
    return [release for release in saved if release["metadata"]["name"] in missing]
