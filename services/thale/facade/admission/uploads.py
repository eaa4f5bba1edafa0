"""Limits for request bodies: how many arrive at the same time, how slowly, and how much memory all of them hold.

A body that arrives is no work yet. Its limits are separate from those of the processing slots, so that slow uploads do
not delay the images that have arrived (ADR 0083). A body holds its declared bytes until its request ends. If the limits
are reached, the slowest upload is ended for a new one, so that idle connections do not lock out other clients.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from thale.errors import OverloadedError, UploadTimeoutError
from thale.facade.settings import FacadeSettings
from thale.telemetry import metrics

MIN_BYTES_PER_S = 4096
"""Minimum mean rate of an upload: 1 MB in about four minutes, longer than `upload_timeout_s` allows."""
GRACE_S = 10.0
"""Time before the minimum rate applies. It covers the round trips of a slow start."""
FAST_BYTES_PER_S = 64 * 2**10
"""Mean rate from which an upload is never ended for another one: 0.5 Mbit/s."""
_MIN_AGE_S = 1.0
"""Age from which an upload may be ended for another one."""
_RETRY_AFTER_S = 5


class BodyReservation:
    """The part of the limits that one request body holds."""

    def __init__(self, uploads: "UploadLimiter", declared_bytes: int) -> None:
        self._uploads = uploads
        self._started_s = time.monotonic()
        self._deadline_s = self._started_s + uploads.timeout_s
        self._timeout: asyncio.Timeout | None = None
        self._is_ended = False
        self.reserved_bytes = declared_bytes
        self.received_bytes = 0

    async def read(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """Return the next chunk, or None after the last one.

        Raises:
            UploadTimeoutError: If the body stalls, is slower than the minimum rate, exceeds the upload timeout, or is
                the slowest one while the limits are reached.
            OverloadedError: If the body is longer than declared and there is no memory for it.
        """
        try:
            async with asyncio.timeout_at(self._next_chunk_deadline_s()) as self._timeout:
                chunk = await anext(chunks)
        except TimeoutError:
            raise self._timeout_error() from None
        except StopAsyncIteration:
            self._uploads.complete(self)
            return None
        finally:
            self._timeout = None
        if self._is_ended:
            raise self._timeout_error()
        self.received_bytes += len(chunk)
        metrics.BODY_BYTES.inc(len(chunk))
        self._uploads.grow(self)
        return chunk

    def bytes_per_s(self) -> float:
        """Return the mean rate since the start."""
        return self.received_bytes / max(time.monotonic() - self._started_s, 1e-6)

    def may_be_ended(self) -> bool:
        """Return True if the upload is slow enough to be ended for another one."""
        age_s = time.monotonic() - self._started_s
        return age_s >= _MIN_AGE_S and self.received_bytes < age_s * FAST_BYTES_PER_S

    def end(self) -> None:
        """End the upload: its reader gets an error."""
        self._is_ended = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0)

    def _next_chunk_deadline_s(self) -> float:
        """Return the time on the monotonic clock, which is the event loop's, at which the next chunk is late."""
        return min(
            self._deadline_s,
            time.monotonic() + self._uploads.idle_timeout_s,
            self._started_s + GRACE_S + self.received_bytes / MIN_BYTES_PER_S,
        )

    def _timeout_error(self) -> UploadTimeoutError:
        seconds = time.monotonic() - self._started_s
        reason = "the server ended the slowest of too many uploads" if self._is_ended else "the body arrived too slowly"
        return UploadTimeoutError(
            f"{reason} ({self.received_bytes} bytes in {seconds:.1f} s): retry on a faster connection"
        )


class UploadLimiter:
    """Limits the number of arriving bodies, and the bytes of all bodies in memory."""

    def __init__(self, settings: FacadeSettings) -> None:
        self.timeout_s = settings.upload_timeout_s
        self.idle_timeout_s = settings.upload_idle_timeout_s
        self._max_uploads = settings.max_uploads
        self._max_bytes = settings.max_buffered_bytes
        self._arriving: set[BodyReservation] = set()
        self._reserved_bytes = 0
        metrics.UPLOAD_LIMITS.labels("uploads").set(settings.max_uploads)
        metrics.UPLOAD_LIMITS.labels("bytes").set(settings.max_buffered_bytes)

    @contextmanager
    def receive(self, declared_bytes: int) -> Iterator[BodyReservation]:
        """Reserve a place and the declared bytes of a body. The bytes are held until the context ends.

        Args:
            declared_bytes: The Content-Length; 0 if the length is unknown, and the reservation then grows.

        Raises:
            OverloadedError: If too many bodies arrive or are in memory, and none of them is slow.
        """
        self._make_room(declared_bytes, uploads=1)
        body = BodyReservation(self, declared_bytes)
        self._arriving.add(body)
        self._reserve(declared_bytes)
        try:
            yield body
        finally:
            self.complete(body)
            self._reserve(-body.reserved_bytes)
            body.reserved_bytes = 0

    def complete(self, body: BodyReservation) -> None:
        """Count a body as arrived."""
        self._arriving.discard(body)
        metrics.UPLOADS.set(len(self._arriving))

    def grow(self, body: BodyReservation) -> None:
        """Extend the reservation to the received bytes of a body without a declared length.

        Raises:
            OverloadedError: If there is no memory for them.
        """
        excess = body.received_bytes - body.reserved_bytes
        if excess > 0:
            self._make_room(excess, uploads=0, growing=body)
            body.reserved_bytes += excess
            self._reserve(excess)

    def _reserve(self, count: int) -> None:
        self._reserved_bytes += count
        metrics.UPLOADS.set(len(self._arriving))
        metrics.BUFFERED_BYTES.set(self._reserved_bytes)

    def _make_room(self, count: int, uploads: int, growing: BodyReservation | None = None) -> None:
        """End the slowest uploads, as many as necessary for a new one. A body without others in memory always fits."""
        excess_uploads = len(self._arriving) + uploads - self._max_uploads
        excess_bytes = self._reserved_bytes + count - self._max_bytes
        other_bytes = self._reserved_bytes - (growing.reserved_bytes if growing else 0)
        slow = sorted(
            (body for body in self._arriving if body is not growing and body.may_be_ended()),
            key=BodyReservation.bytes_per_s,
        )
        ended: list[BodyReservation] = []
        while excess_uploads > 0 or (excess_bytes > 0 and other_bytes > 0):
            if not slow:
                raise OverloadedError.for_uploads(len(self._arriving), _RETRY_AFTER_S)
            ended.append(slow.pop(0))
            excess_uploads -= 1
            excess_bytes -= ended[-1].reserved_bytes
            other_bytes -= ended[-1].reserved_bytes
        for body in ended:
            self._end(body)

    def _end(self, body: BodyReservation) -> None:
        body.end()
        metrics.UPLOADS_ENDED.inc()
        self.complete(body)
        self._reserve(-body.reserved_bytes)
        body.reserved_bytes = 0
