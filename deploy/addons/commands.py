"""kubectl and helm, as the installer calls them."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.addons.table import PlatformError

FIELD_MANAGER = "thale-platform"
_QUESTION_TIMEOUT_S = 120
_CHANGE_TIMEOUT_S = 1200


@dataclass(frozen=True)
class Said:
    """What a program answered."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Programs:
    """Both programs, pointed at one cluster."""

    context: str | None = None
    """Of the kubeconfig; None means its current one."""

    def kubectl(self, *words: str) -> list[str]:
        """Return a command of kubectl."""
        return ["kubectl", *(("--context", self.context) if self.context else ()), *words]

    def helm(self, *words: str) -> list[str]:
        """Return a command of helm."""
        return ["helm", *words, *(("--kube-context", self.context) if self.context else ())]

    def ask(self, command: Sequence[str], stdin: str = "") -> Said:
        """Run what changes nothing, and return its answer, whatever that is."""
        return _run(command, stdin, _QUESTION_TIMEOUT_S)

    def change(self, command: Sequence[str], stdin: str = "") -> str:
        """Run what changes the cluster, and return what it printed.

        Raises:
            PlatformError: If it fails; with the end of what it said.
        """
        said = _run(command, stdin, _CHANGE_TIMEOUT_S)
        if said.status != 0:
            end = "\n  ".join((said.err or said.out).strip().splitlines()[-12:])
            raise PlatformError(f"{shlex.join(command)} failed ({said.status}):\n  {end}")
        return said.out

    def get(self, *words: str) -> Mapping[str, Any] | None:
        """Return an object of the cluster, None where there is none.

        Raises:
            PlatformError: If the cluster does not answer.
        """
        said = self.ask(self.kubectl("get", *words, "--ignore-not-found", "--output", "json"))
        if said.status != 0 and "doesn't have a resource type" not in said.err:
            raise PlatformError(f"the cluster does not answer: {said.err.strip()}")
        found: Mapping[str, Any] | None = json.loads(said.out) if said.out.strip() and said.status == 0 else None
        return found


def _run(command: Sequence[str], stdin: str, timeout_s: float) -> Said:
    try:
        done = subprocess.run(  # noqa: S603 (the table's words, and ours)
            command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise PlatformError(f"{command[0]} is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"{shlex.join(command)} has not ended after {timeout_s:g} s") from error
    return Said(done.returncode, done.stdout, done.stderr)
