"""Access to the environment's cluster with kubectl: directly, or through `az aks command invoke`.

Each environment has its own kubeconfig in `.deploy/ENV`, so the user's current context never selects the target. A
deploy also stops if the cluster's namespace is labelled with another environment.
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
from deploy.cluster_access import access_error
from deploy.commands import run
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import CommandError, UnexpectedOutputError, WrongClusterError
from deploy.settings import Access

FIELD_MANAGER = "thale-deploy"
_TIMEOUT = "--request-timeout=20s"
"""Timeout of the first request to a cluster. Without it, kubectl waits for minutes if packets are dropped."""
_DIFF_STATUS = 1
"""Exit status of `kubectl diff` if there are differences."""


@dataclass(frozen=True)
class AksCluster:
    """Resource group and name of an AKS cluster."""

    resource_group: str
    name: str


@dataclass(frozen=True)
class Cluster:
    """A reachable cluster."""

    context: DeployContext
    command: Sequence[str]
    """kubectl, with the options that select the cluster."""
    variables: Mapping[str, str]
    """Environment variables that select the cluster for other programs that run kubectl or helm."""

    def kubectl(self, *arguments: str, stdin: str | None = None, ok_statuses: Sequence[int] = (0,)) -> str:
        """Run kubectl and return its standard output.

        Raises:
            ClusterUnreachableError: If the cluster does not respond or rejects the credentials.
            CommandError: If kubectl fails otherwise.
        """
        command = [*self.command, *arguments]
        try:
            return run(command, stdin=stdin, variables=self.variables, ok_statuses=ok_statuses).stdout
        except CommandError as error:
            # The output of `exec` is that of a program in a pod, whose store may refuse a connection.
            if arguments[0] != "exec" and (denied := access_error(self.context.environment, error)) is not None:
                raise denied from error
            raise

    def get(self, *arguments: str) -> Any:
        """Return the parsed output of `kubectl get … -o json`, or None if the object does not exist.

        Raises:
            CommandError: If kubectl fails.
        """
        output = self.kubectl("get", *arguments, "--ignore-not-found", "--output", "json")
        if not output.strip():
            return None
        try:
            return json.loads(output)
        except ValueError as error:
            raise UnexpectedOutputError(
                f"kubectl get {' '.join(arguments)} did not print JSON: {output[:200]!r}"
            ) from error

    def diff(self, manifests: Path) -> str:
        """Return the differences that applying would make; an empty string if there are none.

        Raises:
            CommandError: If kubectl fails.
        """
        arguments = ["diff", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests)]
        return self.kubectl(*arguments, ok_statuses=(0, _DIFF_STATUS))

    def apply(self, manifests: Path) -> str:
        """Apply server-side, without taking over fields of other managers. Returns the output of kubectl.

        Raises:
            CommandError: If kubectl fails, or another manager owns one of the fields with another value.
        """
        return self.kubectl("apply", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests))

    def identity(self) -> str:
        """Return the UID of the namespace kube-system, which differs between clusters of one name.

        Raises:
            UnexpectedOutputError: If the cluster has no such namespace.
            CommandError: If the cluster does not respond.
        """
        namespace = self.get("namespace", "kube-system", _TIMEOUT)
        if namespace is None:
            raise UnexpectedOutputError("the cluster has no namespace kube-system: it is not a Kubernetes cluster")
        return str(namespace["metadata"]["uid"])

    def check_environment(self) -> None:
        """Check that the cluster is reachable and belongs to this environment.

        Raises:
            CommandError: If the cluster does not respond.
            WrongClusterError: If the cluster belongs to another environment.
        """
        namespace = self.get("namespace", NAMESPACE, _TIMEOUT) or {}
        label = namespace.get("metadata", {}).get("labels", {}).get("thale/environment", self.context.environment)
        if label != self.context.environment:
            raise WrongClusterError(f"this cluster belongs to the environment {label}, not {self.context.environment}")


def connect(context: DeployContext) -> Cluster:
    """Connect to the environment's cluster.

    Raises:
        CommandError: If the cluster is not reachable.
        StepOrderError: If Terraform has not created it.
    """
    if not context.environment.on_azure:
        return _cluster_from_kubeconfig(context, _write_local_kubeconfig(context))
    if context.settings.access is Access.DIRECT:
        return _cluster_from_kubeconfig(context, _fetch_aks_kubeconfig(context))
    return _cluster_by_invoke(context)


def locate_cluster(context: DeployContext) -> AksCluster:
    """Return resource group and name of the AKS cluster.

    Raises:
        StepOrderError: If Terraform has not created it.
    """
    region = terraform.region(context)
    return AksCluster(region["resource_group"], region["cluster"])


def _cluster_from_kubeconfig(context: DeployContext, kubeconfig: Path) -> Cluster:
    return Cluster(context, ["kubectl", f"--kubeconfig={kubeconfig}"], {"KUBECONFIG": str(kubeconfig)})


def _write_local_kubeconfig(context: DeployContext) -> Path:
    """Copy the selected context from the user's kubeconfig."""
    context_options = [f"--context={context.settings.context}"] if context.settings.context else []
    command = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", *context_options]
    try:
        return _write_kubeconfig(context, run(command).stdout)
    except CommandError as error:
        if (denied := access_error(context.environment, error)) is not None:
            raise denied from error
        raise


def _fetch_aks_kubeconfig(context: DeployContext) -> Path:
    """Fetch the cluster's kubeconfig once. It holds no secret: kubelogin requests a token from `az` for each call."""
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
    """Put wrappers of kubectl and helm first on PATH, so that callers work unchanged in a private network."""
    locate_cluster(context)
    folder = wrapper_folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    variables = [f"PYTHONPATH={context.root}", f"THALE_DEPLOY_REGION={context.settings.region}"]
    invoke_command = [sys.executable, "-P", "-m", "deploy", "invoke", "--env", str(context.environment), "--"]
    for program in ("kubectl", "helm"):
        script = folder / program
        command_line = " ".join(shlex.quote(argument) for argument in ["env", *variables, *invoke_command, program])
        script.write_text(f'#!/bin/sh\nexec {command_line} "$@"\n')
        script.chmod(0o700)
    return Cluster(context, [str(folder / "kubectl")], {"PATH": os.pathsep.join([str(folder), *os.get_exec_path()])})


def wrapper_folder(context: DeployContext) -> Path:
    """Return the folder of the wrappers for the cluster of the configured region."""
    return context.folder / "bin" / context.settings.region


def is_namespace_missing(cluster: Cluster) -> bool:
    """Return whether the cluster has no deploy yet. Such a cluster may lack KServe's kinds, so `diff` would fail."""
    return cluster.get("namespace", NAMESPACE) is None
