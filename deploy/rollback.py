"""Puts back the deploy before: its images and manifests, as they were recorded in the cluster.

Not the models: which version answers is `thale release`'s, and stays as it is. What only the newer deploy has stays as
well, and is named; Terraform and the platform's add-ons are not touched.
"""

import yaml

from deploy import cluster as clusters
from deploy import overlay, readiness, smoke
from deploy.context import DeployContext
from deploy.history import load_history, load_manifests, previous, save
from deploy.release_file import merge_releases, read_live_releases


def roll_back(context: DeployContext) -> None:
    """Apply the manifests of the deploy before, wait, and try the plate.

    Raises:
        DeployError: If there is none, or it does not get ready.
    """
    with context.lock():
        cluster = clusters.connect(context)
        cluster.check_environment()
        history = load_history(cluster)
        target = previous(history)
        context.log(f"now:  {history[-1].describe()}")
        context.log(f"back: {target.describe()}")
        manifests = merge_releases(load_manifests(cluster, target.number), read_live_releases(cluster))
        text = yaml.safe_dump_all(manifests, sort_keys=False)
        path = context.folder / "rollback.yaml"
        path.write_text(text)
        overlay.apply(cluster, path)
        save(context, cluster, target.images, text, restores=target.number)
        readiness.run(context)
        smoke.run(context)
    context.log("Models are as they were: their way back is `thale release rollback`.")
    context.log(f"The next `make deploy ENV={context.environment}` applies the working tree again: put it right first.")
