"""Runs external commands, with captured output or with output to the terminal."""

import json
import logging
import os
import subprocess
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.errors import CommandError, UnexpectedOutputError

logger = logging.getLogger(__name__)

_TIMEOUT_STATUS = 124
"""Exit status of timeout(1) after a timeout."""
_NOT_FOUND_STATUS = 127
"""Exit status of a shell for a missing command."""


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
    ok_statuses: Container[int] | None = (0,),
    timeout_s: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command and capture its output.

    Args:
        command: The program and its arguments.
        stdin: Text for standard input.
        variables: Environment variables in addition to the inherited ones.
        folder: Working directory.
        ok_statuses: Exit statuses that are not errors; None accepts all.
        timeout_s: Time limit in seconds.

    Raises:
        CommandError: If it cannot be started, exceeds the time limit, or ends with another status.
    """
    return _run(command, stdin, variables, folder, ok_statuses, timeout_s, capture_output=True)


def run_streaming(
    command: Sequence[str], *, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> None:
    """Run a long or interactive command with its output on the terminal.

    Raises:
        CommandError: If it cannot be started, or fails.
    """
    _run(command, None, variables, folder, (0,), None, capture_output=False)


def run_json(command: Sequence[str], *, variables: Mapping[str, str] | None = None) -> Any:
    """Run a command and parse its output as JSON.

    Raises:
        CommandError: If it fails.
        UnexpectedOutputError: If the output is not JSON.
    """
    output = run(command, variables=variables).stdout
    try:
        return json.loads(output)
    except ValueError as error:
        raise UnexpectedOutputError(f"`{' '.join(command)}` did not print JSON ({error}): {output[:200]!r}") from error


def _run(
    command: Sequence[str],
    stdin: str | None,
    variables: Mapping[str, str] | None,
    folder: Path | None,
    ok_statuses: Container[int] | None,
    timeout_s: float | None,
    *,
    capture_output: bool,
) -> "subprocess.CompletedProcess[str]":
    logger.debug("running command", extra={"command": list(command)})
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
            timeout=timeout_s,
        )
    except OSError as error:
        raise CommandError(command, _NOT_FOUND_STATUS, str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, _TIMEOUT_STATUS, f"it did not end within {timeout_s:g} s") from error
    if ok_statuses is not None and result.returncode not in ok_statuses:
        raise CommandError(command, result.returncode, (result.stdout or "") + (result.stderr or "") or "see above")
    return result
