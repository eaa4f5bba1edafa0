"""Tests of the process guard: no process and no temporary folder remains after the caller ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import wait_until_all_exited
from thale.local import process_guard

SLEEP = "import time; time.sleep(600)"
# Starts a child, prints both process ids and the temporary folder, and waits.
SPAWNS_CHILD = f"""
import os, subprocess, sys, tempfile, time
child = subprocess.Popen([sys.executable, "-S", "-c", {SLEEP!r}])
print(os.getpid(), child.pid, tempfile.gettempdir(), flush=True)
time.sleep(600)
"""
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SPAWNS_CHILD
# Starts a guarded process with a child and waits, as `thale up` does.
CALLER = f"""
import subprocess, sys, time
guard = [sys.executable, "-I", "-S", {process_guard.__file__!r}]
guarded = subprocess.Popen([*guard, sys.executable, "-S", "-c", {SPAWNS_CHILD!r}],
                           stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def start_guarded(program: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-S", process_guard.__file__, sys.executable, "-S", "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def read_processes(process: "subprocess.Popen[bytes]") -> tuple[list[psutil.Process], Path]:
    assert process.stdout is not None
    parent, child, temp_dir = process.stdout.readline().decode().split(maxsplit=2)
    return [psutil.Process(int(parent)), psutil.Process(int(child))], Path(temp_dir.strip())


def close_pipe(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize(
    "end",
    [close_pipe, lambda process: process.terminate(), lambda process: process.send_signal(signal.SIGINT)],
    ids=["closed-pipe", "SIGTERM", "SIGINT"],
)
def test_guard_ends_group_and_removes_folder(end: Callable[["subprocess.Popen[bytes]"], None]) -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, temp_dir = read_processes(process)
        assert temp_dir.is_dir()
        end(process)
        assert process.wait(20) == 128 + signal.SIGTERM
        assert wait_until_all_exited(members)
        assert not temp_dir.exists()


def test_guard_kills_process_that_ignores_sigterm() -> None:
    with start_guarded(IGNORES_SIGTERM) as process:
        members, temp_dir = read_processes(process)
        close_pipe(process)
        assert process.wait(30) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)
        assert not temp_dir.exists()


def test_guard_ends_children_when_leader_is_killed() -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, _ = read_processes(process)
        members[0].kill()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)


def test_guard_ends_group_when_caller_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", CALLER], stdout=subprocess.PIPE) as caller:
        members, temp_dir = read_processes(caller)
        guards = psutil.Process(caller.pid).children()
        caller.kill()
        assert wait_until_all_exited([*guards, *members])
        assert not temp_dir.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can signal a child when its parent dies")
def test_leader_ends_when_guard_is_killed() -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, _ = read_processes(process)
        process.kill()
        assert wait_until_all_exited(members[:1])
        members[1].kill()


def test_guard_returns_exit_status_of_command() -> None:
    with start_guarded("import sys; sys.exit(7)") as process:
        assert process.wait(20) == 7


def test_guard_replaces_tmpdir_placeholder() -> None:
    program = "import os, sys; print(sys.argv[1] == 'x=' + os.environ['TMPDIR'])"
    command = [
        sys.executable,
        "-I",
        "-S",
        process_guard.__file__,
        sys.executable,
        "-S",
        "-c",
        program,
        f"x={process_guard.TMPDIR_PLACEHOLDER}",
    ]
    completed = subprocess.run(command, stdin=_open_pipe(), capture_output=True, check=True)
    assert completed.stdout == b"True\n"


def _open_pipe() -> int:
    """Return the read end of a pipe that stays open until this process ends."""
    read_end, _write_end = os.pipe()
    return read_end
