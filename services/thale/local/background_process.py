"""A command that runs once, in the background, and cannot outlive this process."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from thale.local import process_guard


def with_guard(command: Sequence[str]) -> list[str]:
    """Return the command under a guard. Its standard input must be a pipe that stays open while it shall run."""
    return [sys.executable, "-I", "-S", process_guard.__file__, *command]


@dataclass(frozen=True)
class BackgroundProcess:
    """A running errand. Made by `errand`."""

    process: "subprocess.Popen[str]"

    def error_output(self) -> str | None:
        """Wait for its end; return what it complained about, None if it went well."""
        stderr = self.process.stderr.read().strip() if self.process.stderr is not None else ""
        status = self.process.wait()
        return None if status == 0 else stderr or f"it ended with status {status}"


@contextmanager
def run_in_background(*command: str) -> Iterator[BackgroundProcess]:
    """Run a command for as long as the context lasts, at most."""
    with subprocess.Popen(  # noqa: S603 (the command is ours)
        with_guard(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield BackgroundProcess(process)
