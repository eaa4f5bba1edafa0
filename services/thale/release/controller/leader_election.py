"""Who may act: one leader at a time, and nobody who is not sure of it.

A lease is kept by asking for it again and again, in a thread of its own (`candidate`): renewing must not wait for a
rollout's step. Whoever acts asks `held` first, which costs next to nothing and never errs on the other side: it turns
false before anybody else can become the leader.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from thale.files import open_locked

logger = logging.getLogger(__name__)


class Lease(Protocol):
    """The right to act. `keep` and `let_go` belong to one thread, `held` may be asked by any."""

    retry_s: float
    """How long to wait between two calls of `keep`."""

    def acquire_or_renew(self) -> bool:
        """Take the lease if it is free, renew it if it is ours, and return whether it is held now. Never raises."""
        ...

    def is_leader(self) -> bool:
        """Whether this process may act at this moment."""
        ...

    def release(self) -> None:
        """Give the lease up, so that the next leader need not wait for it to run out. Never raises."""
        ...


@contextmanager
def run_leader_election(lease: Lease) -> Iterator[None]:
    """Stand for leader, and stay it as long as possible, until the context ends."""
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
    """A lock on a file of this machine. The kernel frees it the moment its holder dies, however it dies."""

    retry_s = 0.5

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._last_error = ""

    def acquire_or_renew(self) -> bool:
        """Lock the file unless it is locked already."""
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
        """Whether the file is locked by us and still the one that others would lock."""
        file = self._file
        if file is None:
            return False
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Unlock the file. It stays: who removed it could remove another's."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
