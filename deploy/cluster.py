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
from deploy.context import NAMESPACE, Job
from deploy.errors import UnexpectedOutputError, WrongPlaceError
from deploy.settings import Access

FIELD_MANAGER = "thale-deploy"
_DIFFERENT = 1
"""Exit status of `kubectl diff` where something would change."""


@dataclass(frozen=True)
class Place:
    """Where the cluster is on Azure."""

    resource_group: str
    cluster: str


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be talked to."""

    job: Job
    command: Sequence[str]
    """kubectl, and how it finds the cluster."""
    variables: Mapping[str, str]
    """By which other programs that run kubectl or helm find it too."""

    def kubectl(self, *arguments: str, stdin: str | None = None, fine: Sequence[int] = (0,)) -> str:
        """Run kubectl and return what it prints.

        Raises:
            CommandError: If it fails.
        """
        return run([*self.command, *arguments], stdin=stdin, variables=self.variables, fine=fine).stdout

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get … -o json` prints, None where there is no such object.

        Raises:
            CommandError: If it fails.
        """
        said = self.kubectl("get", *arguments, "--ignore-not-found", "--output", "json")
        if not said.strip():
            return None
        try:
            return json.loads(said)
        except ValueError as error:
            raise UnexpectedOutputError(f"kubectl get {' '.join(arguments)} printed no JSON: {said[:200]!r}") from error

    def diff(self, manifests: Path) -> str:
        """Return what applying would change; empty for nothing.

        Raises:
            CommandError: If it fails.
        """
        arguments = ["diff", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests)]
        return self.kubectl(*arguments, fine=(0, _DIFFERENT))

    def apply(self, manifests: Path) -> str:
        """Apply by fields, and never take one from somebody else. Returns what was done.

        Raises:
            CommandError: If it fails, or another manager holds one of the fields with another value.
        """
        return self.kubectl("apply", "--server-side", "--field-manager", FIELD_MANAGER, "--filename", str(manifests))

    def check(self) -> None:
        """See whether it answers, and is nobody else's.

        Raises:
            CommandError: If it does not answer.
            WrongPlaceError: If it is another environment's.
        """
        namespace = self.get("namespace", NAMESPACE) or {}
        label = namespace.get("metadata", {}).get("labels", {}).get("thale/environment", self.job.environment)
        if label != self.job.environment:
            raise WrongPlaceError(f"this cluster is the environment {label}, and {self.job.environment} was asked for")


def connect(job: Job) -> Cluster:
    """Return the environment's cluster.

    Raises:
        CommandError: If it cannot be reached.
        NotYetError: If Terraform has not made it.
    """
    if not job.environment.on_azure:
        return _by_kubeconfig(job, _laptops_kubeconfig(job))
    if job.settings.access is Access.DIRECT:
        return _by_kubeconfig(job, _azures_kubeconfig(job))
    return _by_invoke(job)


def place(job: Job) -> Place:
    """Return where the cluster is on Azure.

    Raises:
        NotYetError: If Terraform has not made it.
    """
    region = terraform.region(job)
    return Place(region["resource_group"], region["cluster"])


def _by_kubeconfig(job: Job, kubeconfig: Path) -> Cluster:
    return Cluster(job, ["kubectl", f"--kubeconfig={kubeconfig}"], {"KUBECONFIG": str(kubeconfig)})


def _laptops_kubeconfig(job: Job) -> Path:
    """Take the chosen context out of the user's kubeconfig."""
    chosen = [f"--context={job.settings.context}"] if job.settings.context else []
    told = run(["kubectl", "config", "view", "--raw", "--minify", "--flatten", *chosen]).stdout
    return _written(job, told)


def _azures_kubeconfig(job: Job) -> Path:
    """Fetch the cluster's kubeconfig, once; who comes is asked of `az` each time, so there is no secret in it."""
    where = place(job)
    path = job.folder / f"{where.cluster}.kubeconfig"
    if path.exists():
        return path
    partial = path.with_suffix(".part")
    fetch = ["az", "aks", "get-credentials", "--resource-group", where.resource_group, "--name", where.cluster]
    run([*fetch, "--subscription", str(job.settings.subscription_id), "--file", str(partial), "--overwrite-existing"])
    run(["kubelogin", "convert-kubeconfig", "--login", "azurecli", "--kubeconfig", str(partial)])
    return partial.rename(path)


def _written(job: Job, kubeconfig: str) -> Path:
    path = job.folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(kubeconfig)
    return path


def _by_invoke(job: Job) -> Cluster:
    """Put a kubectl and a helm of our own before the real ones: what runs them need not know of the private network."""
    place(job)
    folder = job.folder / "bin"
    folder.mkdir(exist_ok=True)
    carried = [sys.executable, "-P", "-m", "deploy", "invoke", "--env", str(job.environment), "--"]
    for program in ("kubectl", "helm"):
        script = folder / program
        words = " ".join(shlex.quote(word) for word in ["env", f"PYTHONPATH={job.root}", *carried, program])
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        script.chmod(0o700)
    return Cluster(job, [str(folder / "kubectl")], {"PATH": os.pathsep.join([str(folder), *os.get_exec_path()])})


def missing_namespace(cluster: Cluster) -> bool:
    """Whether the cluster has never been deployed to. A cluster without KServe has no kinds to compare with either."""
    return cluster.get("namespace", NAMESPACE) is None
