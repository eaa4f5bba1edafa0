"""Has kubernetes/platform install the cluster's add-ons: Gateway API, cert-manager, KServe, KEDA and so on."""

import sys
from collections.abc import Mapping, Sequence

from deploy import cluster
from deploy.commands import run_streaming
from deploy.context import DeployContext
from deploy.state import digest_files

_ADDONS_DIRS = ("deploy/addons", "kubernetes/platform")
_COLLECTOR_DIR = "observability/otel"
"""What the collector of traces is told."""


def cache_inputs(context: DeployContext) -> Mapping[str, object]:
    """Return what the add-ons are made from, and where they go."""
    return {
        "files": digest_files(context.root, context.tracked_files(*_ADDONS_DIRS, _COLLECTOR_DIR)),
        "facts": digest_files(context.root, [context.overlay / "facts.yaml"]),
        "cluster": list(cluster.connect(context).command),
    }


def run(context: DeployContext) -> None:
    """Install what is missing, and bring up to date what is not.

    Raises:
        CommandError: If an add-on cannot be installed.
    """
    run_installer(context, "apply")


def run_installer(context: DeployContext, action: str, *options: str) -> None:
    """Run `plan`, `apply` or `status` of the add-ons, by the cluster's kubectl and helm.

    Raises:
        CommandError: If it fails.
    """
    run_streaming(
        _command(context, action, *options), variables=cluster.connect(context).variables, folder=context.root
    )


def _command(context: DeployContext, action: str, *options: str) -> Sequence[str]:
    return [sys.executable, "-m", "deploy.addons.install", action, "--environment", str(context.environment), *options]
