"""Background process: a command that runs once in parallel, and ends with the current process."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from thale.local import process_guard


def with_guard(command: Sequence[str]) -> list[str]:
    """Return the command with a process guard. The guard runs it as long as its standard input, a pipe, is open."""
    return [sys.executable, "-I", "-S", process_guard.__file__, *command]


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
    """Run a command in the background. The end of the context ends the command."""
    with subprocess.Popen(  # noqa: S603 (the command is ours)
        with_guard(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield BackgroundProcess(process)
