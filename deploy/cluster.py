"""The environment's cluster, by kubectl: directly, or carried into a private network by `az aks command invoke`.

Every environment has a kubeconfig of its own in `.deploy/ENV`, so that nobody's current context decides where a deploy
goes; and a cluster that says it is another environment's is left alone.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import terraform
from deploy.commands import run
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import UnexpectedOutputError, WrongClusterError
from deploy.settings import Access

FIELD_MANAGER = "thale-deploy"
_DIFF_STATUS = 1
"""Exit status of `kubectl diff` where something would change."""


@dataclass(frozen=True)
class AksCluster:
    """Where the cluster is on Azure."""

    resource_group: str
    name: str


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be talked to."""

    context: DeployContext
    command: Sequence[str]
    """kubectl, and how it finds the cluster."""
    variables: Mapping[str, str]
    """By which other programs that run kubectl or helm find it too."""

    def kubectl(self, *arguments: str, stdin: str | None = None, ok_statuses: Sequence[int] = (0,)) -> str:
        """Run kubectl and return what it prints.

        Raises:
            CommandError: If it fails.
        """
        return run([*self.command, *arguments], stdin=stdin, variables=self.variables, ok_statuses=ok_statuses).stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get … -o json` prints, None where there is no such object.

        Raises:
            CommandError: If it fails.
        """
        output = self.kubectl("get", *arguments, "--ignore-not-found", "--output", "json")
        if not output.strip():
            return None
        try:
            return json.loads(output)
        except ValueError as error:
            raise UnexpectedOutputError(
                f"kubectl get {' '.join(arguments)} printed no JSON: {output[:200]!r}"
            ) from error

    def diff(self, manifests: Path) -> str:
        """Return what applying would change; empty for nothing.

        Raises:
            CommandError: If it fails.
        """
        arguments = ["diff", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests)]
        return self.kubectl(*arguments, ok_statuses=(0, _DIFF_STATUS))

    def apply(self, manifests: Path) -> str:
        """Apply by fields, and never take one from somebody else. Returns what was done.

        Raises:
            CommandError: If it fails, or another manager holds one of the fields with another value.
        """
        return self.kubectl("apply", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests))

    def check_environment(self) -> None:
        """See whether it answers, and is nobody else's.

        Raises:
            CommandError: If it does not answer.
            WrongPlaceError: If it is another environment's.
        """
        namespace = self.get("namespace", NAMESPACE) or {}
        label = namespace.get("metadata", {}).get("labels", {}).get("thale/environment", self.context.environment)
        if label != self.context.environment:
            raise WrongClusterError(
                f"this cluster is the environment {label}, and {self.context.environment} was asked for"
            )


def connect(context: DeployContext) -> Cluster:
    """Return the environment's cluster.

    Raises:
        CommandError: If it cannot be reached.
        NotYetError: If Terraform has not made it.
    """
    if not context.environment.on_azure:
        return _cluster_from_kubeconfig(context, _write_local_kubeconfig(context))
    if context.settings.access is Access.DIRECT:
        return _cluster_from_kubeconfig(context, _fetch_aks_kubeconfig(context))
    return _cluster_by_invoke(context)


def locate_cluster(context: DeployContext) -> AksCluster:
    """Return where the cluster is on Azure.

    Raises:
        NotYetError: If Terraform has not made it.
    """
    region = terraform.region(context)
    return AksCluster(region["resource_group"], region["cluster"])


def _cluster_from_kubeconfig(context: DeployContext, kubeconfig: Path) -> Cluster:
    return Cluster(context, ["kubectl", f"--kubeconfig={kubeconfig}"], {"KUBECONFIG": str(kubeconfig)})


def _write_local_kubeconfig(context: DeployContext) -> Path:
    """Take the chosen context out of the user's kubeconfig."""
    context_options = [f"--context={context.settings.context}"] if context.settings.context else []
    kubeconfig = run(["kubectl", "config", "view", "--raw", "--minify", "--flatten", *context_options]).stdout
    return _write_kubeconfig(context, kubeconfig)


def _fetch_aks_kubeconfig(context: DeployContext) -> Path:
    """Fetch the cluster's kubeconfig, once; who comes is asked of `az` each time, so there is no secret in it."""
    aks = locate_cluster(context)
    path = context.folder / f"{aks.name}.kubeconfig"
    if path.exists():
        return path
    partial = path.with_suffix(".part")
    fetch = ["az", "aks", "get-credentials", "--resource-group", aks.resource_group, "--name", aks.name]
    run(
        [
            *fetch,
            "--subscription",
            str(context.settings.subscription_id),
            "--file",
            str(partial),
            "--overwrite-existing",
        ]
    )
    run(["kubelogin", "convert-kubeconfig", "--login", "azurecli", "--kubeconfig", str(partial)])
    return partial.rename(path)


def _write_kubeconfig(context: DeployContext, kubeconfig: str) -> Path:
    path = context.folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(kubeconfig)
    return path


def _cluster_by_invoke(context: DeployContext) -> Cluster:
    """Put a kubectl and a helm of our own before the real ones: what runs them need not know of the private network."""
    locate_cluster(context)
    folder = context.folder / "bin"
    folder.mkdir(exist_ok=True)
    invoke_command = [sys.executable, "-P", "-m", "deploy", "invoke", "--env", str(context.environment), "--"]
    for program in ("kubectl", "helm"):
        script = folder / program
        command_line = " ".join(
            shlex.quote(argument) for argument in ["env", f"PYTHONPATH={context.root}", *invoke_command, program]
        )
        script.write_text(f'#!/bin/sh\nexec {command_line} "$@"\n')
        script.chmod(0o700)
    return Cluster(context, [str(folder / "kubectl")], {"PATH": os.pathsep.join([str(folder), *os.get_exec_path()])})


def is_namespace_missing(cluster: Cluster) -> bool:
    """Whether the cluster has never been deployed to. A cluster without KServe has no kinds to compare with either."""
    return cluster.get("namespace", NAMESPACE) is None
