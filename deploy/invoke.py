"""kubectl and helm in a private cluster, from outside its network: `az aks command invoke` runs them in a pod.

    python -m deploy invoke --env dev -- kubectl get pods --namespace thale

Files in the arguments are uploaded with the command. `-k FOLDER` is built locally and uploaded as one file. The output
is one text of at most 512 kB.
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
"""Commands that need no cluster."""
_STDERR_ON_FAILURE = (
    'stderr_file=$(mktemp); {command} 2>"$stderr_file" || {{ status=$?; cat "$stderr_file"; exit $status; }}'
)
"""Standard error is returned only after a failure: warnings would break the JSON output."""
_INTERACTIVE_COMMANDS = {"port-forward", "attach", "proxy", "edit"}


class InvokeResult(BaseModel):
    """Exit status and output of a command in the cluster."""

    exitCode: int
    logs: str | None = None


def invoke(context: DeployContext, command: Sequence[str]) -> int:
    """Run a command in the cluster, or locally if it needs none; print its output and return its exit status.

    Raises:
        DeployError: If the command is interactive.
    """
    program, *arguments = command
    subcommand = next((argument for argument in arguments if not argument.startswith("-")), "")
    if (program, subcommand) in _LOCAL_COMMANDS or "--client" in arguments:
        local = run([_find_program(context, program), *arguments], stdin=None, ok_statuses=None)
        sys.stdout.write(local.stdout)
        sys.stderr.write(local.stderr)
        return local.returncode
    if subcommand in _INTERACTIVE_COMMANDS:
        raise DeployError(
            f"`{program} {subcommand}` is interactive and `az aks command invoke` cannot run it: run it "
            "inside the network"
        )
    with tempfile.TemporaryDirectory(prefix="thale-invoke-") as temp_dir:
        packed, files = _pack_files(context, arguments, Path(temp_dir))
        result = run_in_cluster(context, [program, *packed], files)
    has_failed = result.exitCode != 0 and subcommand != "diff"  # its status 1 means a difference
    (sys.stderr if has_failed else sys.stdout).write(result.logs or "")
    return result.exitCode


def run_in_cluster(context: DeployContext, command: Sequence[str], files: Sequence[Path] = ()) -> InvokeResult:
    """Run a command in a pod of the cluster, with the files in its working directory.

    Raises:
        CommandError: If `az` fails.
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
    """Return the arguments for the pod and the files that they refer to."""
    packed: list[str] = []
    files: list[Path] = []
    for number, argument in enumerate(arguments):
        is_option = argument.startswith("-") and argument != "-"
        option, equals, value = argument.partition("=") if is_option else ("", "", argument)
        previous = arguments[number - 1] if number else ""
        copy = temp_dir / f"{number}-{re.sub(r'[^A-Za-z0-9.-]', '_', Path(value).name)}"
        if value == "-" and previous in ("-f", "--filename", "--values"):
            copy = temp_dir / f"{number}-stdin.yaml"
            copy.write_text(sys.stdin.read())
        elif value and previous in ("-k", "--kustomize") and Path(value).is_dir():
            packed[-1] = "--filename"
            copy = temp_dir / f"{number}-built.yaml"
            copy.write_text(run([_find_program(context, "kubectl"), "kustomize", value]).stdout)
        elif value and _is_file(value):
            shutil.copyfile(value, copy)
        else:
            packed.append(argument)
            continue
        files.append(copy)
        packed.append(f"{option}{equals}{copy.name}")
    return packed, files


def _is_file(argument: str) -> bool:
    """Return whether an argument is the path of a file. Texts such as a patch are longer than a path may be."""
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):
        return False


def _find_program(context: DeployContext, program: str) -> str:
    """Return the real program, not the wrapper that calls this module."""
    wrappers = str(cluster.wrapper_folder(context))
    found = shutil.which(program, path=os.pathsep.join(path for path in os.get_exec_path() if path != wrappers))
    if found is None:
        raise DeployError(f"{program} is not on the PATH")
    return found
