"""Tests of exclusive locks on files."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from thale.files import exclusive_lock, open_locked

_HOLDER = """
import sys, time
from pathlib import Path
from thale.files import open_locked
open_locked(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_open_locked_raises_when_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive_lock(path), pytest.raises(BlockingIOError):
        open_locked(path, blocking=False)
    os.close(open_locked(path, blocking=False))
    assert path.exists()


def test_exclusive_lock_waits_for_release(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    acquired = threading.Event()

    def acquire() -> None:
        with exclusive_lock(path):
            acquired.set()

    with exclusive_lock(path):
        thread = threading.Thread(target=acquire)
        thread.start()
        assert not acquired.wait(0.2)
    assert acquired.wait(5)
    thread.join()


def test_exclusive_lock_is_released_after_exception(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(RuntimeError), exclusive_lock(path):
        raise RuntimeError
    os.close(open_locked(path, blocking=False))


def test_open_locked_succeeds_after_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(BlockingIOError):
        open_locked(path, blocking=False)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    os.close(open_locked(path, blocking=False))


def test_open_locked_raises_without_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "missing" / "lock")
