"""Files that only their owner can read, and Secrets that Kubernetes mounts."""

import os
import stat
from pathlib import Path

from thale.errors import SecretError

_MAX_BYTES = 2**20
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_AND_GROUP_WRITE = stat.S_IWGRP | stat.S_IRWXO
"""For files of root, such as a Secret that Kubernetes mounts with mode 0440 and the group of the pod."""
_ROOT = 0


def read_owner_only(path: Path) -> bytes:
    """Return the content of a file. Permissions are checked on the open file, not on its path.

    Raises:
        SecretError: If the file cannot be read, is larger than 1 MiB, or other users can access it.
    """
    try:
        handle = open(path, "rb", opener=_open_nonblocking)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from error
    with handle as file:
        file_stat = os.fstat(file.fileno())
        if not stat.S_ISREG(file_stat.st_mode):
            raise SecretError(f"{path} is not a regular file")
        if file_stat.st_uid not in (os.geteuid(), _ROOT):
            raise SecretError(f"{path} belongs to user {file_stat.st_uid}: run `chown {os.geteuid()} {path}`")
        is_mounted = file_stat.st_uid == _ROOT != os.geteuid()
        if file_stat.st_mode & (_OTHERS_AND_GROUP_WRITE if is_mounted else _GROUP_AND_OTHERS):
            mode = stat.S_IMODE(file_stat.st_mode)
            raise SecretError(f"other users can access {path} (mode {mode:04o}): chmod 600 {path}")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise SecretError(f"{path} exceeds the limit of {_MAX_BYTES} bytes")
    return data


def write_owner_only(path: Path, data: bytes) -> None:
    """Write a file with mode 0600, so that readers see the old or the new content.

    Raises:
        SecretError: If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.unlink(missing_ok=True)
        file_descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file_descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise SecretError(f"{path} cannot be written: {error.strerror}") from error


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without blocking, in case it is a pipe without a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
