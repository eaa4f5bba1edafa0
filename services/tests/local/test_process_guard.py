"""The guard: nothing of a command outlives the one who asked for it."""

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
# Starts a child of its own, says who both are and where its temporary folder is, and waits.
SPAWNS_CHILD = f"""
import os, subprocess, sys, tempfile, time
child = subprocess.Popen([sys.executable, "-S", "-c", {SLEEP!r}])
print(os.getpid(), child.pid, tempfile.gettempdir(), flush=True)
time.sleep(600)
"""
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SPAWNS_CHILD
# Asks a guard for a family and then waits, as `thale up` does.
PARENT = f"""
import subprocess, sys, time
guarded = subprocess.Popen([sys.executable, "-I", "-S", {process_guard.__file__!r}, sys.executable, "-S", "-c", {SPAWNS_CHILD!r}],
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
    ids=["the pipe closes", "SIGTERM", "SIGINT"],
)
def test_the_whole_family_ends_with_its_folder(end: Callable[["subprocess.Popen[bytes]"], None]) -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, temp_dir = read_processes(process)
        assert temp_dir.is_dir()
        end(process)
        assert process.wait(20) == 128 + signal.SIGTERM
        assert wait_until_all_exited(members)
        assert not temp_dir.exists()


def test_who_does_not_want_to_stop_is_killed() -> None:
    with start_guarded(IGNORES_SIGTERM) as process:
        members, temp_dir = read_processes(process)
        close_pipe(process)
        assert process.wait(30) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)
        assert not temp_dir.exists()


def test_a_leader_that_is_killed_takes_its_children_along() -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, _ = read_processes(process)
        members[0].kill()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)


def test_an_asker_that_is_killed_leaves_nothing() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", PARENT], stdout=subprocess.PIPE) as asker:
        members, temp_dir = read_processes(asker)
        guards = psutil.Process(asker.pid).children()
        asker.kill()
        assert wait_until_all_exited([*guards, *members])
        assert not temp_dir.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_guard_that_is_killed_takes_the_leader_along() -> None:
    with start_guarded(SPAWNS_CHILD) as process:
        members, _ = read_processes(process)
        process.kill()
        assert wait_until_all_exited(members[:1])
        members[1].kill()


def test_the_exit_status_is_the_commands() -> None:
    with start_guarded("import sys; sys.exit(7)") as process:
        assert process.wait(20) == 7


def test_the_folder_stands_in_the_command_where_it_is_asked_for() -> None:
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
    done = subprocess.run(command, stdin=_open_pipe(), capture_output=True, check=True)
    assert done.stdout == b"True\n"


def _open_pipe() -> int:
    """Return the reading end of a pipe that stays open for as long as this process lives."""
    reading, _writing = os.pipe()
    return reading
