"""Copies of the releases in the store, which the rollout controller writes after each change (ADR 0124).

Only pods of the cluster reach the store, so the commands run in a pod of the controller.
"""

import getpass
import re
from collections.abc import Sequence

from deploy.cluster import Cluster
from deploy.context import NAMESPACE
from deploy.errors import CommandError, DeployError

_WITHOUT_COPY = re.compile(r"(?m)^([\w.-]+): no copy in ")


def restore_from_copies(cluster: Cluster, why: str) -> str:
    """Restore the releases of a new cluster, and return a line for each model. Running it again continues.

    Raises:
        CommandError: If the store cannot be read, or a version cannot be loaded.
    """
    return _run_in_controller(cluster, "restore", "--why", why)


def check_copies(cluster: Cluster) -> str:
    """Return a line for each model, whose release has a current copy.

    Raises:
        DeployError: If a release has no current copy.
    """
    try:
        return _run_in_controller(cluster, "restore", "--check", "--why", "check")
    except CommandError as error:
        raise DeployError(f"the copies of the releases are not current: {error.output.strip() or error}") from error


def models_without_copy(output: str) -> Sequence[str]:
    """Return the models without a copy, from the lines of `restore_from_copies`."""
    return _WITHOUT_COPY.findall(output)


def _run_in_controller(cluster: Cluster, *arguments: str) -> str:
    pod = ("deploy/release-watcher", "--namespace", NAMESPACE, "--container", "release-watcher")
    return cluster.kubectl("exec", *pod, "--", "thale", "release", "--as", getpass.getuser(), *arguments).strip()
