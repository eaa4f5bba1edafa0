"""HTTP/1.1 connections of the facade: uvicorn's protocol on httptools, with limits for slow and excessive clients.

uvicorn limits neither the time nor the size of a request's header, and it waits without limit for a client that does
not read (ADR 0085). httptools parses in C: 400,000 chunks of one byte take 0.2 s instead of 10 s with h11.
"""

import asyncio
import json
import logging
import time
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from thale.telemetry import metrics

logger = logging.getLogger(__name__)

HEADER_TIMEOUT_S = 10.0
"""Maximum time from the start of a connection or request to the end of its header."""
MAX_HEADER_BYTES = 32 * 2**10
MAX_HEADERS = 100
LINGER_S = 10.0
"""Maximum time in which the rest of a rejected body is read and dropped. A client that sends before it reads would
otherwise get a reset connection instead of the response."""
WRITE_TIMEOUT_S = 30.0
"""Interval in which a client must read at least `MIN_READ_BYTES` of a response that waits for it."""
MIN_READ_BYTES = 30 * 4096
"""4 KiB per second, as for uploads."""
MAX_UNSENT_BYTES = 256 * 2**20
"""Maximum size of all responses that wait for their clients. A response of probability maps has up to 100 MB."""
_MIN_UNSENT_AGE_S = 1.0
"""Age from which a response that waits may be dropped for another one."""
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
        self._unsent_since_s = 0.0
        self._unsent_bytes = 0
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
        self._parse(data)
        if self._is_reading_header and self._header_bytes > MAX_HEADER_BYTES + READ_BYTES:
            self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the request again without its field `Upgrade`, which a server may ignore (RFC 9110, section 7.8).

        The parser takes everything after the header for another protocol. Java's HttpClient offers HTTP/2 with its
        first request, and its body would be lost.
        """
        fields = [(name, value) for name, value in self.headers if name != b"upgrade"]
        if len(fields) == len(self.headers):  # CONNECT
            self._reject(HTTPStatus.BAD_REQUEST)
            return
        lines = [b" ".join((self.parser.get_method(), self.url, b"HTTP/" + self.parser.get_http_version().encode()))]
        lines += [name + b": " + value for name, value in fields]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        self._parse(b"\r\n".join([*lines, b"", b""]))
        if not self._is_rejected and rest:
            self._parse(rest)

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
        if self.parser.should_upgrade():  # `_parse` continues
            return
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
        if self.parser.should_upgrade():  # `_parse` continues
            return
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
        """Start the write timeout of a client that does not read its response, and limit all such responses."""
        super().pause_writing()
        self._unsent_since_s = time.monotonic()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._watch_write(self._unsent_bytes)
        self._drop_slowest_readers()

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
            if remaining > unsent_bytes - MIN_READ_BYTES:
                self.transport.abort()
            else:
                self._watch_write(remaining)

        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, check_progress)

    def _drop_slowest_readers(self) -> None:
        """Abort other connections, those of the slowest clients first, until all unread responses fit the limit."""
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, GuardedProtocol) and connection._write_timer is not None
        ]
        unsent_bytes = sum(connection.transport.get_write_buffer_size() for connection in waiting)
        latest_s = time.monotonic() - _MIN_UNSENT_AGE_S
        droppable = [each for each in waiting if each is not self and each._unsent_since_s <= latest_s]
        for connection in sorted(droppable, key=GuardedProtocol._read_bytes_per_s):
            if unsent_bytes <= MAX_UNSENT_BYTES:
                return
            unsent_bytes -= connection.transport.get_write_buffer_size()
            logger.warning("unread response dropped", extra={"bytes": connection._unsent_bytes})
            connection.transport.abort()

    def _read_bytes_per_s(self) -> float:
        """Return the mean rate at which the client reads a response that waits for it."""
        read_bytes = self._unsent_bytes - self.transport.get_write_buffer_size()
        return read_bytes / max(time.monotonic() - self._unsent_since_s, 1e-6)

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
