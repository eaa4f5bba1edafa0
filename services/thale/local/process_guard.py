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

GRACE_S = 4.0
ROOM = "{TMPDIR}"
"""Stands in a command for the temporary folder: Java does not read the environment for it."""

_PR_SET_PDEATHSIG = 1


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input does; return its exit status."""
    changes, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(changes, False)
    for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    with tempfile.TemporaryDirectory(prefix="thale-", ignore_cleanup_errors=True) as room:
        child = subprocess.Popen(  # noqa: S603 (the command is ours)
            [word.replace(ROOM, room) for word in command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": room, "TEMP": room},
            process_group=0,
            preexec_fn=_die_with_the_guard,
        )
        try:
            _wait(child, changes)
        finally:
            _end_group(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wait(child: "subprocess.Popen[bytes]", changes: int) -> None:
    """Return when the command has ended, the asker is gone, or the guard is told to stop."""
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin, changes], [], [])
        if sys.stdin in ready:
            return
        if set(os.read(changes, 64)) - {signal.SIGCHLD}:
            return


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask the whole group to stop, then kill what is left of it: a dead leader can leave workers behind."""
    _signal_group(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE_S)
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


def _die_with_the_guard() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
