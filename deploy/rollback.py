"""Restores the previous deploy: its images and manifests, from the record in the cluster.

The models stay as they are: `thale release` controls them. Objects that only the newer deploy has are not deleted, and
the next deploy logs them. Terraform and the add-ons do not change.
"""

import yaml

from deploy import cluster as clusters
from deploy import overlay, readiness, smoke
from deploy.context import DeployContext
from deploy.history import load_history, load_manifests, previous, save
from deploy.release_file import merge_releases, read_live_releases


def roll_back(context: DeployContext) -> None:
    """Apply the manifests of the previous deploy, wait for readiness, and run the smoke test.

    Raises:
        DeployError: If there is no previous deploy, or a check fails.
    """
    with context.lock():
        cluster = clusters.connect(context)
        cluster.check_environment()
        history = load_history(cluster)
        target = previous(history)
        context.log(f"current:  {history[-1].describe()}")
        context.log(f"restored: {target.describe()}")
        manifests = merge_releases(load_manifests(cluster, target.number), read_live_releases(cluster))
        text = yaml.safe_dump_all(manifests, sort_keys=False)
        path = context.folder / "rollback.yaml"
        path.write_text(text)
        overlay.apply(cluster, path)
        save(context, cluster, target.images, text, restores=target.number)
        readiness.run(context)
        smoke.run(context)
    context.log("The models did not change: `thale release rollback` returns to an earlier version.")
    context.log(f"The next `make deploy ENV={context.environment}` applies the working tree again: fix it first.")
