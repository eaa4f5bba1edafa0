"""Background process: a command that runs once in parallel, and ends with the current process."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thale.host.interpreter import child_environment
from thale.local import process_guard


def with_guard(
    command: Sequence[str], *, grace_s: float = process_guard.GRACE_PERIOD_S, log: Path | None = None
) -> list[str]:
    """Return the command with a process guard, which ends the command when the pipe at its standard input closes.

    Args:
        command: The command.
        grace_s: Time in seconds between SIGTERM and SIGKILL.
        log: File of the command's output, which the guard rotates. None inherits the output.
    """
    log_argument = process_guard.NO_LOG if log is None else str(log)
    return [sys.executable, "-I", "-S", process_guard.__file__, str(grace_s), log_argument, *command]


@dataclass(frozen=True)
class BackgroundProcess:
    """A running background process, created by `run_in_background`."""

    process: "subprocess.Popen[str]"

    def error_output(self) -> str | None:
        """Wait until the process ends, and return its error output, or None on success."""
        stderr = self.process.stderr.read().strip() if self.process.stderr is not None else ""
        status = self.process.wait()
        return None if status == 0 else stderr or f"exit status {status}"


@contextmanager
def run_in_background(*command: str) -> Iterator[BackgroundProcess]:
    """Run a command in the background, and end it when the context ends."""
    with subprocess.Popen(  # noqa: S603 (the command is ours)
        with_guard(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
        start_new_session=True,
    ) as process:
        yield BackgroundProcess(process)
