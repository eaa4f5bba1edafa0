"""Saves a copy of each change of a release, in a thread of its own: an unavailable store delays no rollback."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from thale.errors import StoreError
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.targets import compute_revision
from thale.schemas import Release
from thale.telemetry.controller_metrics import RELEASE_COPY_PENDING

logger = logging.getLogger(__name__)

_RETRY_S = 15.0
_STOP_TIMEOUT_S = 10.0


class ReleaseCopier:
    """Copies the releases of a controller. Only the leader submits them.

    Args:
        copies: Destination of the copies.
        retry_s: Interval between two attempts while the destination is unavailable.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, copies: ReleaseCopies, retry_s: float = _RETRY_S, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._copies, self._retry_s, self._clock = copies, retry_s, clock
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[Release, float]] = {}
        """Release without a copy and the time of its submission, by model."""
        self._saved: dict[str, str] = {}
        """Revision of the last copy, by model."""
        self._is_stopped = False
        self._has_failed = False

    def submit(self, releases: Mapping[str, Release]) -> None:
        """Copy these releases soon, if they have changed. Does not wait."""
        with self._changed:
            for model, release in releases.items():
                if self._saved.get(model) == compute_revision(release):
                    self._pending.pop(model, None)
                elif model not in self._pending or self._pending[model][0] != release:
                    since = self._pending[model][1] if model in self._pending else self._clock()
                    self._pending[model] = (release, since)
                    self._changed.notify_all()
            oldest = min((since for _, since in self._pending.values()), default=None)
            RELEASE_COPY_PENDING.set(0.0 if oldest is None else self._clock() - oldest)

    def clear(self) -> None:
        """Forget all releases, because another controller is the leader and copies them."""
        with self._changed:
            self._pending.clear()
            self._saved.clear()
            RELEASE_COPY_PENDING.set(0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Copy releases within the context. On exit, the pending ones are tried once more."""
        self._is_stopped = False
        thread = threading.Thread(target=self._run, name="release-copier", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._is_stopped = True
                self._changed.notify_all()
            thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_stopped, timeout=None)
                pending, is_stopped = dict(self._pending), self._is_stopped
            has_failed = not all([self._save(model, release) for model, (release, _) in pending.items()])
            if is_stopped:
                return
            if has_failed:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_stopped, timeout=self._retry_s)

    def _save(self, model: str, release: Release) -> bool:
        try:
            self._copies.save(release, datetime.now(UTC))
        except StoreError as error:
            if not self._has_failed:
                self._has_failed = True
                logger.warning("release copy failed", extra={"model": model, "error": str(error)})
            return False
        if self._has_failed:
            self._has_failed = False
            logger.info("release copies recovered", extra={"model": model})
        with self._changed:
            self._saved[model] = compute_revision(release)
            if model in self._pending and self._pending[model][0] == release:
                del self._pending[model]
        return True
