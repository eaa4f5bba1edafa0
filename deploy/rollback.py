"""Puts back the deploy before: its images and manifests, as they were recorded in the cluster.

Not the models: which version answers is `thale release`'s, and stays as it is. What only the newer deploy has stays as
well, and is named; Terraform and the platform's add-ons are not touched.
"""

import yaml

from deploy import cluster as clusters
from deploy import overlay, readiness, smoke
from deploy.context import Job
from deploy.history import before, keep, manifests_of, records
from deploy.release_file import live_releases, with_releases


def roll_back(job: Job) -> None:
    """Apply the manifests of the deploy before, wait, and try the plate.

    Raises:
        DeployError: If there is none, or it does not get ready.
    """
    with job.alone():
        cluster = clusters.connect(job)
        cluster.check()
        known = records(cluster)
        target = before(known)
        job.say(f"now:  {known[-1].told()}")
        job.say(f"back: {target.told()}")
        manifests = with_releases(manifests_of(cluster, target.number), live_releases(cluster))
        text = yaml.safe_dump_all(manifests, sort_keys=False)
        path = job.folder / "rollback.yaml"
        path.write_text(text)
        overlay.apply(cluster, path)
        keep(job, cluster, target.images, text, restores=target.number)
        readiness.run(job)
        smoke.run(job)
    job.say("Models are as they were: their way back is `thale release rollback`.")
    job.say(f"The next `make deploy ENV={job.environment}` applies the working tree again: put it right first.")
