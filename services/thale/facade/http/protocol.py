"""HTTP/1.1 connections of the facade: uvicorn's protocol on httptools, with limits for slow and excessive clients.

uvicorn limits neither the time nor the size of a request's header, and it waits without limit for a client that does
not read (ADR 0085). httptools parses in C: 400,000 chunks of one byte take 0.2 s instead of 10 s with h11.
"""

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from thale.telemetry import metrics

HEADER_TIMEOUT_S = 10.0
"""Maximum time from the start of a connection or request to the end of its header."""
MAX_HEADER_BYTES = 32 * 2**10
MAX_HEADERS = 100
LINGER_S = 10.0
"""Maximum time in which the rest of a rejected body is read and dropped. A client that sends before it reads would
otherwise get a reset connection instead of the response."""
WRITE_TIMEOUT_S = 30.0
"""Maximum time without progress of a response that the client does not read."""
READ_BYTES = 64 * 2**10
"""Maximum bytes of one read, so that parsing of one connection delays the others by milliseconds only."""
_RETRY_AFTER_S = 5


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a client. `max_connections` is set by `http_server.uvicorn_config`."""

    max_connections = 512

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._header_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._is_reading_header = True
        self._header_bytes = 0
        self._field_bytes = 0
        self._rejection = HTTPStatus.BAD_REQUEST
        self._is_rejected = False
        self._idle_since_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection. At the limit, the connection that is idle for the longest time is closed for it."""
        super().connection_made(transport)  # type: ignore[arg-type]
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        self._idle_since_s = time.monotonic()
        self._start_header_timer()
        if len(self.connections) > self.max_connections and not self._close_longest_idle():
            self._reject(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        for timer in (self._header_timer, self._linger_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes of the connection, or drop them if the request is rejected."""
        if self._is_rejected:
            return
        if self._is_reading_header:
            self._header_bytes += len(data)
            if self._header_timer is None:
                self._start_header_timer()
        super().data_received(data)
        if self._is_reading_header and self._header_bytes > MAX_HEADER_BYTES + READ_BYTES:
            self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._is_reading_header = True
        self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Receive a part of the target."""
        super().on_url(url)
        if len(self.url) > MAX_HEADER_BYTES:
            self._fail(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header field. Trailer fields are dropped, because the request is already authenticated."""
        if not self._is_reading_header:
            return
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._field_bytes > MAX_HEADER_BYTES:
            self._fail(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Start the app for the request."""
        self._is_reading_header = False
        self._idle_since_s = None
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = _LingeringTransport(self)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        """Receive the end of a body. The connection of a rejected body is now ready for the next request."""
        super().on_message_complete()
        self._is_reading_header = True
        self._header_bytes = 0
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.more_body = False
            self._end_linger()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that the app has rejected."""
        super().on_response_complete()
        if self.cycle.response_complete:  # otherwise, the next request has arrived already
            self._idle_since_s = time.monotonic()
        if self.cycle.more_body and not self.transport.is_closing():
            self._linger()

    def send_400_response(self, msg: str) -> None:
        """Reject a request that is not HTTP, or that exceeds the limits of a header."""
        self._reject(self._rejection)

    def pause_writing(self) -> None:
        """Start the write timeout of a client that does not read its response."""
        super().pause_writing()
        self._watch_write(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """End the write timeout."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def close_when_read(self) -> None:
        """Close the connection, after the rest of the request's body."""
        if self.cycle is not None and self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._end_header_time)

    def _end_header_time(self) -> None:
        self._header_timer = None
        if self._is_serving():
            self._start_header_timer()
        elif self._header_bytes:
            self._reject(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _fail(self, status: HTTPStatus) -> None:
        """Stop the parser: httptools reports an exception of a callback as an error of the request."""
        self._rejection = status
        raise ValueError(status.phrase)

    def _reject(self, status: HTTPStatus) -> None:
        """Send a problem for a request that does not reach the app, and close the connection."""
        self._is_rejected = True
        metrics.REJECTED_CONNECTIONS.labels(str(status.value)).inc()
        if not self._is_serving() or not self.cycle.response_started:
            problem = {"type": "about:blank", "title": status.phrase, "status": status.value}
            body = json.dumps(problem).encode()
            retry_after = f"Retry-After: {_RETRY_AFTER_S}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
                f"Content-Length: {len(body)}\r\n{retry_after}Connection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self._linger()
        else:
            self.transport.close()
        if self._is_serving():  # the body is malformed: the app sees a disconnected client
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _linger(self) -> None:
        """Read and drop what the client sends, and close the connection when the time is over."""
        self._unset_keepalive_if_required()
        if self._linger_timer is None:
            self._linger_timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _end_linger(self) -> None:
        if self._linger_timer is None:
            return
        self._linger_timer.cancel()
        self._linger_timer = None
        if self.cycle.keep_alive:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()

    def _watch_write(self, unsent_bytes: int) -> None:
        def check_progress() -> None:
            remaining = self.transport.get_write_buffer_size()
            if remaining >= unsent_bytes:
                self.transport.abort()
            else:
                self._watch_write(remaining)

        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, check_progress)

    def _close_longest_idle(self) -> bool:
        """Close the connection that has been idle for the longest time. Return False if each one has a request."""
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, GuardedProtocol) and connection is not self and connection._idle_since_s
        ]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection._idle_since_s or 0.0)
        longest.transport.abort()
        return True


class _LingeringTransport:
    """The transport of a response. Its `close` waits for the rest of the request's body."""

    def __init__(self, protocol: GuardedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.close_when_read()
