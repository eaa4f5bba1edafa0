"""Process guard: runs a command that ends when its caller ends, and bounds the size of its log.

Usage: `python -I -S process_guard.py GRACE_S LOG COMMAND…`, with a pipe as standard input that the caller holds open.
Without a log (`-`), the command inherits the output of the guard.

The guard runs between `thale up` and a service. The service and its child processes have a separate process group and
temporary folder. When the caller closes the pipe or ends, the guard sends SIGTERM to the command, kills the group after
the grace period, and removes the folder. It also does so after SIGKILL of the caller, because the kernel closes the
pipe. A second signal, or SIGQUIT, ends the grace period at once. If the guard is killed, Linux kills the service.

Only the command itself receives SIGTERM: its workers must live until it has completed the requests in flight.

The guard is a separate program that uses only the standard library, so that it starts in a few milliseconds. Its exit
status is that of the command, or 128 + n if signal n ended the command.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

GRACE_PERIOD_S = 4.0
"""Default grace period."""
TMPDIR_PLACEHOLDER = "{TMPDIR}"
"""Placeholder for the temporary folder in a command, because Java does not read TMPDIR."""
NO_LOG = "-"
MAX_LOG_BYTES = 10_000_000
"""Size at which a log is rotated. It may be exceeded by one line, of up to 64 KiB."""
LOG_BACKUPS = 2
"""Number of rotated files per log, with the suffixes .1 and .2."""

_MAX_TEMP_DIR_BYTES = 70
"""Maximum path of the temporary folder: Python's multiprocessing adds 32 bytes for a socket. The maximum path of a
socket is 107 bytes on Linux, and 103 on macOS."""
_SHORT_TEMP_DIR = "/tmp"  # noqa: S108 (the folder in it is private)
_FOLDER_NAME_BYTES = len("/thale-12345678")
_PR_SET_PDEATHSIG = 1
_STDIN = 0
_CHUNK_BYTES = 65536
_DRAIN_S = 1.0
_CANNOT_START = 127


class RotatingLog:
    """Log file that is rotated at line ends: LOG is the current file, LOG.1 and LOG.2 are older ones.

    A full disk loses output but never stops the command. The next successful write states the number of lost bytes.
    """

    def __init__(self, path: str, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._fd: int | None = None
        self._size = 0
        self._lost_bytes = 0

    def write(self, data: bytes) -> None:
        """Append output. Never raises OSError."""
        while data:
            room = max(1, self._max_bytes - self._size)
            cut = data.find(b"\n", room - 1) + 1 or len(data)
            try:
                self._append(data[:cut])
            except OSError:
                self._lost_bytes += cut
            data = data[cut:]

    def _append(self, data: bytes) -> None:
        fd = self._open() if self._fd is None else self._fd
        if self._lost_bytes:
            self._write_all(
                fd, f"thale: {self._lost_bytes} bytes of output could not be written to this log\n".encode()
            )
            self._lost_bytes = 0
        self._write_all(fd, data)
        is_full = self._size >= self._max_bytes
        if (is_full and data.endswith(b"\n")) or self._size >= self._max_bytes + _CHUNK_BYTES:
            self._rotate()

    def _open(self) -> int:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size >= self._max_bytes:
            self._rotate()
            return self._open()
        return self._fd

    def _write_all(self, fd: int, data: bytes) -> None:
        while data:
            written = os.write(fd, data)
            self._size += written
            data = data[written:]

    def _rotate(self) -> None:
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, LOG_BACKUPS + 1))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if os.path.exists(newer):  # noqa: PTH110 (pathlib would double the start time of the guard)
                os.replace(newer, older)  # noqa: PTH105
        self.close()

    def close(self) -> None:
        """Close the current file. The next write opens a new one."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None


class _Output:
    """Output of the command: a pipe whose content is appended to a log. Without a log there is no pipe."""

    def __init__(self, log_path: str) -> None:
        self._log = RotatingLog(log_path) if log_path != NO_LOG else None
        self._read_fd: int | None = None
        self.write_fd: int | None = None
        if self._log is not None:
            self._read_fd, self.write_fd = os.pipe()

    @property
    def readable(self) -> list[int]:
        return [] if self._read_fd is None else [self._read_fd]

    def close_write_end(self) -> None:
        if self.write_fd is not None:
            os.close(self.write_fd)
        self.write_fd = None

    def copy_chunk(self) -> None:
        if self._read_fd is None or self._log is None:
            return
        data = os.read(self._read_fd, _CHUNK_BYTES)
        if data:
            self._log.write(data)
        else:
            os.close(self._read_fd)
            self._read_fd = None

    def drain(self) -> None:
        """Copy the rest. A process outside the group may hold the pipe open, so the wait is bounded."""
        deadline_s = time.monotonic() + _DRAIN_S
        while self.readable and select.select(self.readable, [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            self.copy_chunk()

    def report(self, message: str) -> None:
        """Write a message of the guard itself to the log, or to standard error."""
        if self._log is not None:
            self._log.write(f"{message}\n".encode())
        else:
            sys.stderr.write(f"{message}\n")


def main(grace_s: float, log_path: str, command: Sequence[str]) -> int:
    """Run the command until it ends or standard input is closed, and return its exit status."""
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    os.set_blocking(wakeup_read, False)
    for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(name, lambda number, frame: None)
    signal.set_wakeup_fd(wakeup_write)
    output = _Output(log_path)
    try:
        parent = temporary_parent(tempfile.gettempdir())
        with tempfile.TemporaryDirectory(prefix="thale-", dir=parent, ignore_cleanup_errors=True) as temp_dir:
            child = subprocess.Popen(  # noqa: S603 (the command is ours)
                [argument.replace(TMPDIR_PLACEHOLDER, temp_dir) for argument in command],
                stdin=subprocess.DEVNULL,
                stdout=output.write_fd,
                stderr=None if output.write_fd is None else subprocess.STDOUT,
                env={**os.environ, "TMPDIR": temp_dir, "TEMP": temp_dir},
                process_group=0,
                preexec_fn=_kill_on_guard_death,
            )
            output.close_write_end()
            try:
                _run_until_stopped(child, wakeup_read, output)
                _stop(child, wakeup_read, output, grace_s)
            finally:
                _signal_group(child.pid, signal.SIGKILL)  # workers can outlive the command
                child.wait()
                output.drain()
    except OSError as error:
        output.report(f"{command[0]} cannot be started: {error}")
        return _CANNOT_START
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def temporary_parent(parent: str) -> str:
    """Return the parent of the temporary folder: the given one, or /tmp if sockets in it would have too long a path."""
    is_too_long = len(os.fsencode(parent)) + _FOLDER_NAME_BYTES > _MAX_TEMP_DIR_BYTES
    return _SHORT_TEMP_DIR if is_too_long and os.access(_SHORT_TEMP_DIR, os.W_OK | os.X_OK) else parent


def _run_until_stopped(child: "subprocess.Popen[bytes]", wakeup_read: int, output: _Output) -> None:
    """Wait until the command ends, standard input is closed, or the guard receives a signal."""
    while child.poll() is None:
        ready, _, _ = select.select([_STDIN, wakeup_read, *output.readable], [], [])
        if output.readable and output.readable[0] in ready:
            output.copy_chunk()
        if _STDIN in ready:
            return
        if wakeup_read in ready and (signals := set(os.read(wakeup_read, 64)) - {signal.SIGCHLD}):
            if signal.SIGQUIT in signals:
                child.kill()
            return


def _stop(child: "subprocess.Popen[bytes]", wakeup_read: int, output: _Output, grace_s: float) -> None:
    """Send SIGTERM to the command, and wait for its end, a further signal, or the end of the grace period."""
    child.terminate()
    deadline_s = time.monotonic() + grace_s
    while child.poll() is None and (remaining_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([wakeup_read, *output.readable], [], [], remaining_s)
        if output.readable and output.readable[0] in ready:
            output.copy_chunk()
        if wakeup_read in ready and set(os.read(wakeup_read, 64)) - {signal.SIGCHLD}:
            return


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS raises this for a group of zombies
        return


def _kill_on_guard_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
