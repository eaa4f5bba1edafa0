"""kubectl and helm, as the installer calls them."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.addons.table import AddonError

FIELD_MANAGER = "thale-platform"
_QUERY_TIMEOUT_S = 120
_CHANGE_TIMEOUT_S = 1200


@dataclass(frozen=True)
class CommandResult:
    """What a program answered."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class ClusterTools:
    """Both programs, pointed at one cluster."""

    context: str | None = None
    """Of the kubeconfig; None means its current one."""

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a command of kubectl."""
        return ["kubectl", *(("--context", self.context) if self.context else ()), *arguments]

    def helm(self, *arguments: str) -> list[str]:
        """Return a command of helm."""
        return ["helm", *arguments, *(("--kube-context", self.context) if self.context else ())]

    def query(self, command: Sequence[str], stdin: str = "") -> CommandResult:
        """Run what changes nothing, and return its answer, whatever that is."""
        return _run(command, stdin, _QUERY_TIMEOUT_S)

    def execute(self, command: Sequence[str], stdin: str = "") -> str:
        """Run what changes the cluster, and return what it printed.

        Raises:
            PlatformError: If it fails; with the end of what it said.
        """
        result = _run(command, stdin, _CHANGE_TIMEOUT_S)
        if result.status != 0:
            end = "\n  ".join((result.stderr or result.stdout).strip().splitlines()[-12:])
            raise AddonError(f"{shlex.join(command)} failed ({result.status}):\n  {end}")
        return result.stdout

    def get(self, *arguments: str) -> Mapping[str, Any] | None:
        """Return an object of the cluster, None where there is none.

        Raises:
            PlatformError: If the cluster does not answer.
        """
        result = self.query(self.kubectl("get", *arguments, "--ignore-not-found", "--output", "json"))
        if result.status != 0 and "doesn't have a resource type" not in result.stderr:
            raise AddonError(f"the cluster does not answer: {result.stderr.strip()}")
        found: Mapping[str, Any] | None = (
            json.loads(result.stdout) if result.stdout.strip() and result.status == 0 else None
        )
        return found


def _run(command: Sequence[str], stdin: str, timeout_s: float) -> CommandResult:
    try:
        completed = subprocess.run(  # noqa: S603 (the table's words, and ours)
            command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise AddonError(f"{command[0]} is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise AddonError(f"{shlex.join(command)} has not ended after {timeout_s:g} s") from error
    return CommandResult(completed.returncode, completed.stdout, completed.stderr)
