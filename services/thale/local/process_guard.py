"""Run a command that cannot outlive the one who asked for it.

Usage: `python -I -S guard.py COMMAND…`, with a pipe as standard input that the asker holds open.

The guard stands between `thale up` and a service. The service and everything it starts live in a process group and a
temporary folder of their own. When the asker closes the pipe, or dies of whatever cause (kill -9 included: the kernel
closes a dead process's pipes), the group is asked to stop, killed if it does not, and the folder is removed. Should
the guard itself be killed, Linux kills the service with it.

It is a program by itself, of the standard library alone, so that starting it costs a few milliseconds. Its exit
status is the command's, 128 + n if signal n ended it.
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
"""Stands in a command for the temporary folder: Java does not read the environment for it."""

_PR_SET_PDEATHSIG = 1


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input does; return its exit status."""
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
    """Return when the command has ended, the asker is gone, or the guard is told to stop."""
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin, wakeup_read], [], [])
        if sys.stdin in ready:
            return
        if set(os.read(wakeup_read, 64)) - {signal.SIGCHLD}:
            return


def _terminate_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask the whole group to stop, then kill what is left of it: a dead leader can leave workers behind."""
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
    except PermissionError:  # macOS says so of a group of zombies
        return


def _kill_on_guard_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
