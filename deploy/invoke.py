"""kubectl and helm in a private cluster, from outside its network: `az aks command invoke` runs them in a pod there.

    python -m deploy invoke --env dev -- kubectl get pods --namespace thale

Files that the command names travel with it; `-k FOLDER` is built here and travels as one file. What the pod says comes
back as one text of no more than 512 kB.
"""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from deploy import cluster
from deploy.commands import run
from deploy.context import Job
from deploy.errors import DeployError
from deploy.subscription import az

_LOCAL = {("kubectl", "kustomize"), ("kubectl", "config"), ("helm", "version")}
"""What a program does without a cluster."""
_QUIETLY = 'said=$(mktemp); {command} 2>"$said" || {{ status=$?; cat "$said"; exit $status; }}'
"""Warnings would stand amid the JSON that was asked for: standard error is told only where the command fails."""
_IMPOSSIBLE = {"port-forward", "attach", "proxy", "edit"}


class Carried(BaseModel):
    """What a command in the cluster has said."""

    exitCode: int
    logs: str | None = None


def invoke(job: Job, command: Sequence[str]) -> int:
    """Run a command in the cluster, or here if it needs none; print what it says, and return its exit status.

    Raises:
        DeployError: If it is one that cannot be carried.
    """
    program, *arguments = command
    what = next((word for word in arguments if not word.startswith("-")), "")
    if (program, what) in _LOCAL or "--client" in arguments:
        local = run([_real(job, program), *arguments], stdin=None, fine=range(256))
        sys.stdout.write(local.stdout)
        sys.stderr.write(local.stderr)
        return local.returncode
    if what in _IMPOSSIBLE:
        raise DeployError(f"`{program} {what}` cannot be carried into a private cluster: be in its network for it")
    with tempfile.TemporaryDirectory(prefix="thale-invoke-") as room:
        words, files = _packed(job, arguments, Path(room))
        carried = carry(job, [program, *words], files)
    failed = carried.exitCode != 0 and what != "diff"  # whose status 1 tells of a difference
    (sys.stderr if failed else sys.stdout).write(carried.logs or "")
    return carried.exitCode


def carry(job: Job, command: Sequence[str], files: Sequence[Path] = ()) -> Carried:
    """Run a command in a pod of the cluster, the files beside it, and return what it said.

    Raises:
        CommandError: If `az` cannot have it run.
    """
    where = cluster.place(job)
    attached = [argument for path in files for argument in ("--file", str(path))]
    told = az(
        job.settings,
        *("aks", "command", "invoke", "--resource-group", where.resource_group, "--name", where.cluster),
        *("--command", _QUIETLY.format(command=shlex.join(command)), *attached),
    )
    return Carried.model_validate(told)


def _packed(job: Job, arguments: Sequence[str], room: Path) -> tuple[list[str], list[Path]]:
    """Return the arguments as the pod is to see them, and the files that they name."""
    words: list[str] = []
    files: list[Path] = []
    for number, argument in enumerate(arguments):
        option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        before = arguments[number - 1] if number else ""
        copy = room / f"{number}-{re.sub(r'[^A-Za-z0-9.-]', '_', Path(value).name)}"
        if value == "-" and before in ("-f", "--filename", "--values"):
            copy = room / f"{number}-stdin.yaml"
            copy.write_text(sys.stdin.read())
        elif value and before in ("-k", "--kustomize") and Path(value).is_dir():
            words[-1] = "--filename"
            copy = room / f"{number}-built.yaml"
            copy.write_text(run([_real(job, "kubectl"), "kustomize", value]).stdout)
        elif value and Path(value).is_file():
            shutil.copyfile(value, copy)
        else:
            words.append(argument)
            continue
        files.append(copy)
        words.append(f"{option}{equals}{copy.name}")
    return words, files


def _real(job: Job, program: str) -> str:
    """Return the program itself, and not the stand-in of ours that leads here."""
    ours = str(job.folder / "bin")
    found = shutil.which(program, path=os.pathsep.join(path for path in os.get_exec_path() if path != ours))
    if found is None:
        raise DeployError(f"{program} is not there")
    return found
