"""Installs the cluster's add-ons with `deploy.addons.install`: Gateway API, cert-manager, KServe, KEDA and others."""

import sys
from collections.abc import Mapping, Sequence

from deploy import cluster
from deploy.commands import run_streaming
from deploy.context import DeployContext
from deploy.state import digest_files

_ADDONS_DIRS = ("deploy/addons", "kubernetes/platform")
_COLLECTOR_DIR = "observability/otel"
"""Configuration of the trace collector."""


def cache_inputs(context: DeployContext) -> Mapping[str, object]:
    """Return the digests of the add-on files and facts."""
    return {
        "files": digest_files(context.root, context.tracked_files(*_ADDONS_DIRS, _COLLECTOR_DIR)),
        "facts": digest_files(context.root, [context.overlay / "facts.yaml"]),
    }


def run(context: DeployContext) -> None:
    """Install missing add-ons and update outdated ones.

    Raises:
        CommandError: If an add-on cannot be installed.
    """
    run_installer(context, "apply")


def run_installer(context: DeployContext, action: str, *options: str) -> None:
    """Run the add-on installer with the cluster's kubectl and helm.

    Args:
        context: The environment.
        action: `plan`, `apply` or `status`.
        options: Further options of the installer.

    Raises:
        CommandError: If the installer fails.
    """
    run_streaming(
        _command(context, action, *options), variables=cluster.connect(context).variables, folder=context.root
    )


def _command(context: DeployContext, action: str, *options: str) -> Sequence[str]:
    return [sys.executable, "-m", "deploy.addons.install", action, "--environment", str(context.environment), *options]
