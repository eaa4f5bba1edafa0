"""Tests of the process guard: nothing remains after the caller ends, requests are completed, the log is bounded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.local_platform import wait_for, wait_until_all_exited
from thale.local import process_guard
from thale.local.background_process import with_guard
from thale.local.process_guard import RotatingLog

SLEEP = "import time; time.sleep(600)"
# Starts a child, prints both process ids and the temporary folder, and waits.
SPAWNS_CHILD = f"""
import os, subprocess, sys, tempfile, time
child = subprocess.Popen([sys.executable, "-S", "-c", {SLEEP!r}])
print(os.getpid(), child.pid, tempfile.gettempdir(), flush=True)
time.sleep(600)
"""
# Starts a worker, and ends on SIGTERM with the worker's result, as the facade does.
COMPLETES_WORK = """
import signal, subprocess, sys
worker = subprocess.Popen([sys.executable, "-S", "-c", "input(); print('result', flush=True)"], stdin=subprocess.PIPE)
def complete(number, frame):
    worker.communicate(b"\\n")
    print("worker status", worker.returncode, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, complete)
print("started", flush=True)
while True:
    signal.pause()
"""
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SPAWNS_CHILD
# Starts a guarded process with a child and waits, as `thale up` does.
CALLER = f"""
import subprocess, sys, time
guard = [sys.executable, "-I", "-S", {process_guard.__file__!r}, "4", "-"]
guarded = subprocess.Popen([*guard, sys.executable, "-S", "-c", {SPAWNS_CHILD!r}],
                           stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def start_guarded(program: str, grace_s: float = 4.0, log: Path | None = None) -> "subprocess.Popen[bytes]":
    command = with_guard([sys.executable, "-S", "-c", program], grace_s=grace_s, log=log)
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


@pytest.mark.slow
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
    command = with_guard([sys.executable, "-S", "-c", program, f"x={process_guard.TMPDIR_PLACEHOLDER}"])
    completed = subprocess.run(command, stdin=_open_pipe(), capture_output=True, check=True)
    assert completed.stdout == b"True\n"


def test_guard_makes_short_folder_when_tmpdir_is_long(tmp_path: Path) -> None:
    """A socket in the folder would otherwise exceed the maximum path of sockets, and the facade could not start."""
    long_folder = tmp_path / ("long" * 20)
    long_folder.mkdir()
    program = (
        "import multiprocessing.connection as c, tempfile; c.Listener(family='AF_UNIX'); print(tempfile.gettempdir())"
    )
    variables = {**os.environ, "TMPDIR": str(long_folder)}
    command = with_guard([sys.executable, "-S", "-c", program])
    completed = subprocess.run(command, stdin=_open_pipe(), env=variables, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert not completed.stdout.startswith(str(long_folder))
    assert process_guard.temporary_parent("/scratch/user/job-12345") == "/scratch/user/job-12345"


def _open_pipe() -> int:
    """Return the read end of a pipe that stays open until this process ends."""
    read_end, _write_end = os.pipe()
    return read_end


def test_guard_does_not_signal_workers_before_command_ends() -> None:
    with start_guarded(COMPLETES_WORK, grace_s=60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        close_pipe(process)
        assert process.stdout.read() == b"result\nworker status 0\n"
        assert process.wait(20) == 0


@pytest.mark.parametrize("is_stopping", [False, True])
def test_guard_kills_at_once_on_sigquit(is_stopping: bool) -> None:
    with start_guarded(IGNORES_SIGTERM, grace_s=600) as process:
        members, temp_dir = read_processes(process)
        if is_stopping:
            close_pipe(process)
        process.send_signal(signal.SIGQUIT)
        assert process.wait(60) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)
        assert not temp_dir.exists()


def test_guard_kills_stopped_process() -> None:
    with start_guarded(SPAWNS_CHILD, grace_s=600) as process:
        members, _ = read_processes(process)
        members[0].suspend()
        process.send_signal(signal.SIGQUIT)
        assert process.wait(60) == 128 + signal.SIGKILL
        assert wait_until_all_exited(members)


def test_guard_log_keeps_output_after_death_of_caller(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = f"import time; print('first', flush=True); {SLEEP}"
    slow_end = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('last'))\n" + program
    caller = (
        f"import subprocess, time; subprocess.Popen({with_guard([sys.executable, '-S', '-c', slow_end], log=log)!r}, \
        stdin=subprocess.PIPE, start_new_session=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", caller]) as process:
        wait_for("the first line", lambda: log.exists() and log.read_text() == "first\n")
        process.kill()
    wait_for("the last line", lambda: log.read_text() == "first\nlast\n")


def test_guard_log_reports_command_that_cannot_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    completed = subprocess.run(with_guard(["/missing/program"], log=log), stdin=_open_pipe(), check=False)
    assert completed.returncode == 127
    assert log.read_text() == "/missing/program cannot be started: [Errno 2] No such file or directory: " + (
        "'/missing/program'\n"
    )


@pytest.mark.slow
def test_guard_rotates_log_of_running_command_without_loss(tmp_path: Path) -> None:
    program = "for block in range(2600): print('\\n'.join(f'{1000 * block + line:09d}' for line in range(1000)))"
    log = tmp_path / "log"
    completed = subprocess.run(with_guard([sys.executable, "-c", program], log=log), stdin=_open_pipe(), check=False)
    assert completed.returncode == 0
    files = [tmp_path / "log.2", tmp_path / "log.1", log]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert b"".join(file.read_bytes() for file in files) == b"".join(b"%09d\n" % number for number in range(2_600_000))
    assert all(file.stat().st_size <= process_guard.MAX_LOG_BYTES for file in files)


def test_rotating_log_keeps_newest_files(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path / "log"), max_bytes=10)
    for letter in b"abcdefgh":
        log.write(bytes([letter] * 4) + b"\n")
    log.close()
    contents = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert contents == {"log.2": "eeee\nffff\n", "log.1": "gggg\nhhhh\n"}


def test_rotating_log_bounds_output_without_line_ends(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path / "log"), max_bytes=1000)
    for _ in range(100):
        log.write(bytes(50_000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * (1000 + 2 * 65536)


def test_rotating_log_rotates_large_log_of_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(bytes(30))
    RotatingLog(str(tmp_path / "log"), max_bytes=20).write(b"new\n")
    assert (tmp_path / "log.1").read_bytes() == bytes(30)
    assert (tmp_path / "log").read_text() == "new\n"


def test_rotating_log_states_lost_bytes_after_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    log = RotatingLog(str(folder / "log"))
    log.write(b"lost\n")
    folder.mkdir()
    log.write(b"kept\n")
    assert (folder / "log").read_text() == "thale: 5 bytes of output could not be written to this log\nkept\n"
