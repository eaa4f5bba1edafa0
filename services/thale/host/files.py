"""Atomic writes and exclusive locks of files, and errors of the file system as one sentence."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from thale.errors import FileAccessError

_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "free space on that disk, or choose another folder",
    errno.EDQUOT: "free space within the quota, or choose another folder",
    errno.EFBIG: "raise the limit of the file size (ulimit -f), or choose another folder",
    errno.EROFS: "choose a folder on a writable disk",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions or attributes, or choose another folder",
    errno.EISDIR: "remove the folder of that name, or choose another folder",
    errno.ENOTDIR: "remove the file of that name, or choose another folder",
    errno.EIO: "check the disk, or choose another folder",
}
"""Remedies by error of the file system. The cause of each is outside thale."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old or the new content, also after a kill or a power cut.

    The new content is written to `.NAME.part` in the same folder first. The next write replaces a leftover part.

    Raises:
        OSError: If the disk is full or the folder cannot be written, with `path` as file name. The part is removed.
    """
    with replace_atomically(path) as partial, partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield the path of a part, which replaces `path` when the context ends without an exception.

    Raises:
        OSError: If the part cannot be written, with `path` as file name. The part is removed.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(partial)):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def describe_access_error(error: OSError) -> FileAccessError | None:
    """Return an error of the file system with its path and remedy as one sentence, or None for any other error."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    return FileAccessError(f"{_file_name(error) or 'a file'} cannot be used: {error.strerror}: {remedy}")


@contextmanager
def access_errors(description: str) -> Iterator[None]:
    """Raise errors of the file system in the context as one sentence, such as "results cannot be written to PATH: …".

    Raises:
        FileAccessError: If a file cannot be written. `description` is the start of its message, followed by the path.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        raise FileAccessError(f"{description} {_file_name(error)}: {error.strerror}: {remedy}") from error


def _file_name(error: OSError) -> str:
    name = error.filename2 or error.filename
    return os.fsdecode(name) if isinstance(name, str | bytes) else ""


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
