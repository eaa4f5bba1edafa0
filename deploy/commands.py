"""Runs the programs that do the work: what they say is kept for the error, or goes to the terminal as it comes."""

import json
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.errors import CommandError, UnexpectedOutputError

logger = logging.getLogger(__name__)

_NOT_FOUND_STATUS = 127


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
    ok_statuses: Sequence[int] = (0,),
) -> "subprocess.CompletedProcess[str]":
    """Run a program and keep what it says.

    Args:
        command: The program and its arguments.
        stdin: What it reads.
        variables: Environment variables beside those that are inherited.
        folder: Where it runs.
        fine: Exit statuses that are no failure.

    Raises:
        CommandError: If it cannot be started, or ends with another status.
    """
    return _run(command, stdin, variables, folder, ok_statuses, capture_output=True)


def run_streaming(
    command: Sequence[str], *, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> None:
    """Run a program that takes its time and talks to people: what it says goes to the terminal.

    Raises:
        CommandError: If it cannot be started, or fails.
    """
    _run(command, None, variables, folder, (0,), capture_output=False)


def run_json(command: Sequence[str], *, variables: Mapping[str, str] | None = None) -> Any:
    """Run a program and return the JSON that it prints.

    Raises:
        CommandError: If it fails.
        UnexpectedOutputError: If it prints no JSON.
    """
    output = run(command, variables=variables).stdout
    try:
        return json.loads(output)
    except ValueError as error:
        raise UnexpectedOutputError(f"`{' '.join(command)}` printed no JSON ({error}): {output[:200]!r}") from error


def _run(
    command: Sequence[str],
    stdin: str | None,
    variables: Mapping[str, str] | None,
    folder: Path | None,
    ok_statuses: Sequence[int],
    *,
    capture_output: bool,
) -> "subprocess.CompletedProcess[str]":
    logger.debug("running", extra={"command": list(command)})
    try:
        result = subprocess.run(  # noqa: S603 (a list, never a shell)
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=capture_output,
            text=True,
            cwd=folder,
            env={**os.environ, **(variables or {})},
            check=False,
        )
    except OSError as error:
        raise CommandError(command, _NOT_FOUND_STATUS, str(error)) from error
    if result.returncode not in ok_statuses:
        raise CommandError(command, result.returncode, (result.stdout or "") + (result.stderr or "") or "see above")
    return result
