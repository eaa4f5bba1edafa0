"""Atomic writes and exclusive locks of files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old or the new content, also after a kill or a power cut.

    The new content is written to `.NAME.part` in the same folder first. The next write replaces a leftover part.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Wait for the exclusive lock on a file and hold it within the context.

    Raises:
        OSError: If the file cannot be opened.
    """
    lock_fd = open_locked(path)
    try:
        yield
    finally:
        os.close(lock_fd)


def open_locked(path: Path, *, blocking: bool = True) -> int:
    """Return a descriptor of a file with its exclusive lock (flock). Closing the descriptor releases the lock.

    The kernel releases the lock when its process ends, also after SIGKILL. The file remains: removing it would let two
    processes hold locks on two files of one name.

    Raises:
        BlockingIOError: If another descriptor holds the lock, and the call is not blocking.
        OSError: If the file cannot be opened.
    """
    lock_fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
    except BaseException:
        os.close(lock_fd)
        raise
    return lock_fd
