"""Leader election: one leader at a time, by a lease.

A separate thread renews the lease (`run_leader_election`), so that a slow step of a rollout does not delay the renewal.
The controller calls `is_leader` before each action. The call is cheap, and it returns False before another process can
become the leader. docs/adr/0025-leader-election-by-client-go-rules.md has the reasons.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from thale.host.files import open_locked

logger = logging.getLogger(__name__)


class Lease(Protocol):
    """Lease of the leader. One thread calls `acquire_or_renew` and `release`; any thread may call `is_leader`."""

    @property
    def retry_s(self) -> float:
        """Time until the next call of `acquire_or_renew`."""
        ...

    def acquire_or_renew(self) -> bool:
        """Acquire the lease if it is free, or renew it. Returns whether this process is the leader. Never raises."""
        ...

    def is_leader(self) -> bool:
        """Return whether this process is the leader now."""
        ...

    def release(self) -> None:
        """Release the lease, so that the next leader does not wait for its expiry. Never raises."""
        ...


@contextmanager
def run_leader_election(lease: Lease) -> Iterator[None]:
    """Acquire and renew the lease in a thread until the context ends, then release it."""
    stop = threading.Event()
    thread = threading.Thread(target=_renew_until_stopped, args=(lease, stop), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        lease.release()


def _renew_until_stopped(lease: Lease, stop: threading.Event) -> None:
    was_leader = False
    while not stop.is_set():
        if (is_leader := lease.acquire_or_renew()) != was_leader:
            logger.info("became leader" if is_leader else "lost leadership")
            was_leader = is_leader
        stop.wait(lease.retry_s)


class FileLease:
    """Lease as a lock on a local file. The kernel releases the lock when its holder exits, even after SIGKILL."""

    retry_s = 0.5

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._last_error = ""

    def acquire_or_renew(self) -> bool:
        """Lock the file unless another process holds the lock."""
        if self.is_leader():
            return True
        self.release()
        try:
            file = open_locked(self._path, blocking=False)
        except BlockingIOError:
            self._last_error = ""
            return False
        except OSError as error:
            if str(error) != self._last_error:
                logger.warning("lease acquisition failed", extra={"error": str(error)})
            self._last_error = str(error)
            return False
        self._last_error = ""
        self._file = file
        return self.is_leader()

    def is_leader(self) -> bool:
        """Return whether this process holds the lock, and the file was not replaced."""
        file = self._file
        if file is None:
            return False
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Unlock the file. It is not deleted, because a deletion could remove the lock of another process."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
