"""Process guard: runs a command that ends when its caller ends.

Usage: `python -I -S process_guard.py COMMAND…`, with a pipe as standard input that the caller holds open.

The guard runs between `thale up` and a service. The service and its child processes have a separate process group and
temporary folder. When the caller closes the pipe or dies (also by SIGKILL, because the kernel closes its pipes), the
guard terminates the group, kills the rest after a grace period, and removes the folder. If the guard is killed, Linux
kills the service.

The guard is a separate program that uses only the standard library, so that it starts in a few milliseconds. Its exit
status is that of the command, or 128 + n if signal n ended the command.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

GRACE_PERIOD_S = 4.0
TMPDIR_PLACEHOLDER = "{TMPDIR}"
"""Placeholder for the temporary folder in a command, because Java does not read TMPDIR."""

_PR_SET_PDEATHSIG = 1


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input is closed, and return its exit status."""
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    os.set_blocking(wakeup_read, False)
    for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, frame: None)
    signal.set_wakeup_fd(wakeup_write)
    with tempfile.TemporaryDirectory(prefix="thale-", ignore_cleanup_errors=True) as temp_dir:
        child = subprocess.Popen(  # noqa: S603 (the command is ours)
            [argument.replace(TMPDIR_PLACEHOLDER, temp_dir) for argument in command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": temp_dir, "TEMP": temp_dir},
            process_group=0,
            preexec_fn=_kill_on_guard_death,
        )
        try:
            _wait(child, wakeup_read)
        finally:
            _terminate_group(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wait(child: "subprocess.Popen[bytes]", wakeup_read: int) -> None:
    """Wait until the command ends, standard input is closed, or the guard receives a signal."""
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin, wakeup_read], [], [])
        if sys.stdin in ready:
            return
        if set(os.read(wakeup_read, 64)) - {signal.SIGCHLD}:
            return


def _terminate_group(child: "subprocess.Popen[bytes]") -> None:
    """Terminate the process group, then kill its rest: workers can outlive the group leader."""
    _signal_group(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE_PERIOD_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS raises this for a group of zombies
        return


def _kill_on_guard_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
