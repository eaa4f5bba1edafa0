"""Value of a remote source, read by a thread: the last known value while the source is unavailable."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from thale.errors import AuthenticationUnavailableError, ThaleError
from thale.telemetry.metrics import CREDENTIALS_READ

logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")
_JITTER = 0.1
_JOIN_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class RefreshSchedule:
    """Intervals of a source, in seconds."""

    interval_s: float
    """Between two reads, with a jitter of 10 %, so that replicas do not read at the same time."""
    retry_s: float
    """After a failed read."""
    max_age_s: float
    """Maximum age of the last known value. Older values are not used."""
    min_request_interval_s: float = 300.0
    """Minimum time between two reads on request."""


class LastKnownValue(Generic[_Value]):
    """The last value that was read from a source. The event loop never waits for the source."""

    def __init__(self, source: str, read: Callable[[], _Value], schedule: RefreshSchedule) -> None:
        self._source = source
        self._read = read
        self._schedule = schedule
        self._value: tuple[_Value, float] | None = None
        self._last_error = ""
        self._stopping = False
        self._wake = threading.Condition()
        self._requested: Future[None] | None = None
        self._next_request_at = 0.0
        self._first_read: Future[None] = Future()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read the source periodically within the context, in a thread that does not delay the end of the process."""
        thread = threading.Thread(target=self._read_until_stopped, name=f"read-{self._source}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._wake:
                self._stopping = True
                self._wake.notify()
            thread.join(_JOIN_TIMEOUT_S)

    @property
    def first_read(self) -> "Future[None]":
        """Future that is done after the first read, successful or not."""
        return self._first_read

    def is_known(self) -> bool:
        """Return True if a value is known that is not too old."""
        value = self._value
        return value is not None and time.monotonic() - value[1] <= self._schedule.max_age_s

    def get(self) -> _Value:
        """Return the last known value.

        Raises:
            AuthenticationUnavailableError: If no value is known, or it is too old.
        """
        value = self._value
        if value is None or not self.is_known():
            raise AuthenticationUnavailableError(
                "credentials cannot be verified at present: try again, and search the server's log for "
                "'credentials unavailable'"
            )
        return value[0]

    def request_read(self) -> "Future[None] | None":
        """Request a read now, and return a future that is done after it.

        Return None if the last requested read was too recent. Do not cancel the future, because other tasks share it.
        """
        with self._wake:
            if self._requested is None:
                if time.monotonic() < self._next_request_at:
                    return None
                self._next_request_at = time.monotonic() + self._schedule.min_request_interval_s
                self._requested = Future()
                self._wake.notify()
            return self._requested

    def _read_until_stopped(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
            wait_s = self._read_once()
            with self._wake:
                requested, self._requested = self._requested, None
            for future in (requested, self._first_read):
                if future is not None and not future.done():
                    future.set_result(None)
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._requested is not None, wait_s)

    def _read_once(self) -> float:
        """Read the source, and return the seconds until the next read."""
        try:
            self._value = self._read(), time.monotonic()
        except ThaleError as error:
            if str(error) != self._last_error:
                logger.warning("credentials unavailable", extra={"error": str(error)})
            self._last_error = str(error)
            return self._schedule.retry_s
        # Isolation boundary of this thread: without it, an unexpected error would end the updates silently.
        except Exception as error:
            if repr(error) != self._last_error:
                logger.exception("credentials unavailable")
            self._last_error = repr(error)
            return self._schedule.retry_s
        if self._last_error:
            logger.warning("credentials available again")
        self._last_error = ""
        CREDENTIALS_READ.labels(self._source).set(time.time())
        return self._schedule.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (no secret)
