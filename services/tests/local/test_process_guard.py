"""The guard: nothing of a command outlives the one who asked for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import all_gone
from thale.local import process_guard

LONG = "import time; time.sleep(600)"
# Starts a child of its own, says who both are and where its temporary folder is, and waits.
FAMILY = f"""
import os, subprocess, sys, tempfile, time
child = subprocess.Popen([sys.executable, "-S", "-c", {LONG!r}])
print(os.getpid(), child.pid, tempfile.gettempdir(), flush=True)
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY
# Asks a guard for a family and then waits, as `thale up` does.
ASKER = f"""
import subprocess, sys, time
guarded = subprocess.Popen([sys.executable, "-I", "-S", {process_guard.__file__!r}, sys.executable, "-S", "-c", {FAMILY!r}],
                           stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def guarded(program: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-S", process_guard.__file__, sys.executable, "-S", "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def family(process: "subprocess.Popen[bytes]") -> tuple[list[psutil.Process], Path]:
    assert process.stdout is not None
    parent, child, room = process.stdout.readline().decode().split(maxsplit=2)
    return [psutil.Process(int(parent)), psutil.Process(int(child))], Path(room.strip())


def close_the_pipe(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize(
    "end",
    [close_the_pipe, lambda process: process.terminate(), lambda process: process.send_signal(signal.SIGINT)],
    ids=["the pipe closes", "SIGTERM", "SIGINT"],
)
def test_the_whole_family_ends_with_its_folder(end: Callable[["subprocess.Popen[bytes]"], None]) -> None:
    with guarded(FAMILY) as process:
        members, room = family(process)
        assert room.is_dir()
        end(process)
        assert process.wait(20) == 128 + signal.SIGTERM
        assert all_gone(members)
        assert not room.exists()


def test_who_does_not_want_to_stop_is_killed() -> None:
    with guarded(STUBBORN) as process:
        members, room = family(process)
        close_the_pipe(process)
        assert process.wait(30) == 128 + signal.SIGKILL
        assert all_gone(members)
        assert not room.exists()


def test_a_leader_that_is_killed_takes_its_children_along() -> None:
    with guarded(FAMILY) as process:
        members, _ = family(process)
        members[0].kill()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert all_gone(members)


def test_an_asker_that_is_killed_leaves_nothing() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ASKER], stdout=subprocess.PIPE) as asker:
        members, room = family(asker)
        guards = psutil.Process(asker.pid).children()
        asker.kill()
        assert all_gone([*guards, *members])
        assert not room.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_guard_that_is_killed_takes_the_leader_along() -> None:
    with guarded(FAMILY) as process:
        members, _ = family(process)
        process.kill()
        assert all_gone(members[:1])
        members[1].kill()


def test_the_exit_status_is_the_commands() -> None:
    with guarded("import sys; sys.exit(7)") as process:
        assert process.wait(20) == 7


def test_the_folder_stands_in_the_command_where_it_is_asked_for() -> None:
    program = "import os, sys; print(sys.argv[1] == 'x=' + os.environ['TMPDIR'])"
    command = [sys.executable, "-I", "-S", process_guard.__file__, sys.executable, "-S", "-c", program, f"x={process_guard.ROOM}"]
    done = subprocess.run(command, stdin=_open_pipe(), capture_output=True, check=True)
    assert done.stdout == b"True\n"


def _open_pipe() -> int:
    """Return the reading end of a pipe that stays open for as long as this process lives."""
    reading, _writing = os.pipe()
    return reading
