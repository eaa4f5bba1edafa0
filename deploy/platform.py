"""Has kubernetes/platform install the cluster's add-ons: Gateway API, cert-manager, KServe, KEDA and so on."""

import sys
from collections.abc import Mapping, Sequence

from deploy import cluster
from deploy.commands import show
from deploy.context import Job
from deploy.state import digest_of_files

_PLACE = "kubernetes/platform"
_COLLECTOR = "observability/otel"
"""What the collector of traces is told."""


def inputs(job: Job) -> Mapping[str, object]:
    """Return what the add-ons are made from, and where they go."""
    return {
        "files": digest_of_files(job.root, job.tracked(_PLACE, _COLLECTOR)),
        "facts": digest_of_files(job.root, [job.overlay / "facts.yaml"]),
        "cluster": list(cluster.connect(job).command),
    }


def run(job: Job) -> None:
    """Install what is missing, and bring up to date what is not.

    Raises:
        CommandError: If an add-on cannot be installed.
    """
    install(job, "apply")


def install(job: Job, what: str, *options: str) -> None:
    """Run `plan`, `apply` or `status` of the add-ons, by the cluster's kubectl and helm.

    Raises:
        CommandError: If it fails.
    """
    show(_command(job, what, *options), variables=cluster.connect(job).variables, folder=job.root)


def _command(job: Job, what: str, *options: str) -> Sequence[str]:
    return [sys.executable, f"{_PLACE}/install.py", what, "--environment", str(job.environment), *options]
