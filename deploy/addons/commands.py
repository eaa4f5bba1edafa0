"""kubectl and helm commands of the add-on installer."""

import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from typing import Any

from deploy.addons.table import AddonError
from deploy.commands import run
from deploy.errors import CommandError

FIELD_MANAGER = "thale-platform"
_QUERY_TIMEOUT_S = 120
_CHANGE_TIMEOUT_S = 1200
_TAIL_LINES = 12


@dataclass(frozen=True)
class ClusterTools:
    """kubectl and helm for one cluster."""

    context: str | None = None
    """Context of the kubeconfig; None selects the current one."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that select the cluster, such as KUBECONFIG."""

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a kubectl command."""
        return ["kubectl", *(("--context", self.context) if self.context else ()), *arguments]

    def helm(self, *arguments: str) -> list[str]:
        """Return a helm command."""
        return ["helm", *arguments, *(("--kube-context", self.context) if self.context else ())]

    def has_helm_4(self) -> bool:
        """Return whether helm is version 4 or newer, which applies server-side by default; false without helm."""
        if shutil.which("helm") is None:
            return False
        match = re.match(r"v?(\d+)", self.query(["helm", "version", "--template", "{{.Version}}"]).stdout)
        return match is not None and int(match[1]) >= 4

    def query(self, command: Sequence[str]) -> CompletedProcess[str]:
        """Run a read-only command and return its result, with any exit status.

        Raises:
            AddonError: If it cannot be started, or exceeds the time limit.
        """
        return _run(command, None, _QUERY_TIMEOUT_S, self.variables)

    def execute(self, command: Sequence[str], stdin: str = "") -> str:
        """Run a command that changes the cluster, and return its output.

        Raises:
            AddonError: If it fails, with the end of its output.
        """
        result = _run(command, stdin, _CHANGE_TIMEOUT_S, self.variables)
        if result.returncode != 0:
            tail = "\n  ".join((result.stderr or result.stdout).strip().splitlines()[-_TAIL_LINES:])
            raise AddonError(f"{shlex.join(command)} failed with status {result.returncode}:\n  {tail}")
        return result.stdout

    def get(self, *arguments: str) -> Mapping[str, Any] | None:
        """Return an object of the cluster, or None if it does not exist.

        Raises:
            AddonError: If the cluster does not respond.
        """
        result = self.query(self.kubectl("get", *arguments, "--ignore-not-found", "--output", "json"))
        if result.returncode != 0 and "doesn't have a resource type" not in result.stderr:
            raise AddonError(f"the cluster does not respond: {result.stderr.strip()}")
        found: Mapping[str, Any] | None = (
            json.loads(result.stdout) if result.stdout.strip() and result.returncode == 0 else None
        )
        return found


def _run(
    command: Sequence[str], stdin: str | None, timeout_s: float, variables: Mapping[str, str]
) -> CompletedProcess[str]:
    try:
        return run(command, stdin=stdin, variables=variables, ok_statuses=None, timeout_s=timeout_s)
    except CommandError as error:
        raise AddonError(str(error)) from error
