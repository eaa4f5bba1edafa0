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
from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.subscription import az

_LOCAL_COMMANDS = {("kubectl", "kustomize"), ("kubectl", "config"), ("helm", "version")}
"""What a program does without a cluster."""
_STDERR_ON_FAILURE = (
    'stderr_file=$(mktemp); {command} 2>"$stderr_file" || {{ status=$?; cat "$stderr_file"; exit $status; }}'
)
"""Warnings would stand amid the JSON that was asked for: standard error is told only where the command fails."""
_INTERACTIVE_COMMANDS = {"port-forward", "attach", "proxy", "edit"}


class InvokeResult(BaseModel):
    """What a command in the cluster has said."""

    exitCode: int
    logs: str | None = None


def invoke(context: DeployContext, command: Sequence[str]) -> int:
    """Run a command in the cluster, or here if it needs none; print what it says, and return its exit status.

    Raises:
        DeployError: If it is one that cannot be carried.
    """
    program, *arguments = command
    subcommand = next((argument for argument in arguments if not argument.startswith("-")), "")
    if (program, subcommand) in _LOCAL_COMMANDS or "--client" in arguments:
        local = run([_find_program(context, program), *arguments], stdin=None, ok_statuses=range(256))
        sys.stdout.write(local.stdout)
        sys.stderr.write(local.stderr)
        return local.returncode
    if subcommand in _INTERACTIVE_COMMANDS:
        raise DeployError(
            f"`{program} {subcommand}` cannot be carried into a private cluster: be in its network for it"
        )
    with tempfile.TemporaryDirectory(prefix="thale-invoke-") as temp_dir:
        packed, files = _pack_files(context, arguments, Path(temp_dir))
        result = run_in_cluster(context, [program, *packed], files)
    has_failed = result.exitCode != 0 and subcommand != "diff"  # whose status 1 tells of a difference
    (sys.stderr if has_failed else sys.stdout).write(result.logs or "")
    return result.exitCode


def run_in_cluster(context: DeployContext, command: Sequence[str], files: Sequence[Path] = ()) -> InvokeResult:
    """Run a command in a pod of the cluster, the files beside it, and return what it said.

    Raises:
        CommandError: If `az` cannot have it run.
    """
    aks = cluster.locate_cluster(context)
    file_options = [argument for path in files for argument in ("--file", str(path))]
    output = az(
        context.settings,
        *("aks", "command", "invoke", "--resource-group", aks.resource_group, "--name", aks.name),
        *("--command", _STDERR_ON_FAILURE.format(command=shlex.join(command)), *file_options),
    )
    return InvokeResult.model_validate(output)


def _pack_files(context: DeployContext, arguments: Sequence[str], temp_dir: Path) -> tuple[list[str], list[Path]]:
    """Return the arguments as the pod is to see them, and the files that they name."""
    packed: list[str] = []
    files: list[Path] = []
    for number, argument in enumerate(arguments):
        option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        previous = arguments[number - 1] if number else ""
        copy = temp_dir / f"{number}-{re.sub(r'[^A-Za-z0-9.-]', '_', Path(value).name)}"
        if value == "-" and previous in ("-f", "--filename", "--values"):
            copy = temp_dir / f"{number}-stdin.yaml"
            copy.write_text(sys.stdin.read())
        elif value and previous in ("-k", "--kustomize") and Path(value).is_dir():
            packed[-1] = "--filename"
            copy = temp_dir / f"{number}-built.yaml"
            copy.write_text(run([_find_program(context, "kubectl"), "kustomize", value]).stdout)
        elif value and Path(value).is_file():
            shutil.copyfile(value, copy)
        else:
            packed.append(argument)
            continue
        files.append(copy)
        packed.append(f"{option}{equals}{copy.name}")
    return packed, files


def _find_program(context: DeployContext, program: str) -> str:
    """Return the program itself, and not the stand-in of ours that leads here."""
    shim_dir = str(context.folder / "bin")
    found = shutil.which(program, path=os.pathsep.join(path for path in os.get_exec_path() if path != shim_dir))
    if found is None:
        raise DeployError(f"{program} is not there")
    return found
