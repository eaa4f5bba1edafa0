"""Tests of atomic writes, exclusive locks, and errors of the file system."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from thale.errors import FileAccessError
from thale.host.files import access_errors, describe_access_error, exclusive_lock, open_locked, write_atomically

# A write to this device fails with ENOSPC, in any container.
_FULL_DISK = Path("/dev/full")
_HOLDER = """
import sys, time
from pathlib import Path
from thale.host.files import open_locked
open_locked(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_write_atomically_keeps_old_content_on_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    (tmp_path / ".file.part").symlink_to(_FULL_DISK)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


def test_write_atomically_names_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path / "file", b"new")
    assert caught.value.filename == str(tmp_path / "file")
    assert not (tmp_path / ".file.part").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/a"),
            "/a cannot be used: No space left: free space on that disk, or ",
        ),
        (OSError(errno.EROFS, "Read-only", "/a", None, "/b"), "/b cannot be used: Read-only: choose a folder on a "),
        (OSError(errno.EACCES, "Denied"), "a file cannot be used: Denied: change the permissions, or choose another "),
        (OSError(errno.EISDIR, "Is a directory", b"/a"), "/a cannot be used: Is a directory: remove the folder of "),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Refused"), "None"),
    ],
)
def test_access_error_states_path_cause_and_remedy(error: OSError, message: str) -> None:
    assert str(describe_access_error(error)).startswith(message)


def test_access_errors_adds_description_and_passes_others(tmp_path: Path) -> None:
    message = r"^results cannot be written to /x: No space left: free space"
    with pytest.raises(FileAccessError, match=message), access_errors("results cannot be written to"):
        raise OSError(errno.ENOSPC, "No space left", "/x")
    with pytest.raises(FileNotFoundError), access_errors("results cannot be written to"):
        (tmp_path / "missing").read_bytes()


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
