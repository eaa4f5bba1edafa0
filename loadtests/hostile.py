"""Requests of hostile and broken clients, with the expected status and latency of their rejection.

A rejection is correct if its status is the expected 4xx, or 503 with Retry-After on overload.
"""

import http.client
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from loadtests.authorization import authorization_headers
from loadtests.image_set import PlateImage

IMMEDIATE_TIMEOUT_S = 1.0
"""For requests that the facade rejects itself."""
DECODE_TIMEOUT_S = 20.0
"""For requests that a worker must decode first. They may queue as long as an image of the largest class."""
STALLED_UPLOAD_TIMEOUT_S = 15.0 + 2.0
"""For a stalled upload: the facade's idle timeout (THALE_UPLOAD_IDLE_TIMEOUT_S) plus 2 s."""
_TIMEOUT_S = 90.0
_IMAGE = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class HostileRequest:
    """One kind of bad request, with the expected response."""

    name: str
    send: Callable[[http.client.HTTPConnection], http.client.HTTPResponse]
    statuses: frozenset[int]
    max_duration_s: float
    may_be_overloaded: bool = True
    """True if 503 is allowed on overload. A request that needs no processing slot must not get it."""
    may_close_connection: bool = False
    """True if a closed connection without a response is allowed."""


@dataclass(frozen=True)
class ResponseOutcome:
    """Response to a bad request."""

    status: int
    retry_after: str | None
    duration_s: float
    body_bytes: int


def hostile_requests(image: PlateImage) -> Sequence[HostileRequest]:
    """Return all kinds of bad requests. Some contain a valid image."""
    valid = image.file.read_bytes()
    return [
        _post_request("truncated", valid[: len(valid) // 2], {422}, DECODE_TIMEOUT_S),
        _post_request("text", b"dear server, " * 500, {415}),
        _post_request("huge image", _png_header(60_000, 60_000), {413}),
        _post_request("empty", b"", {400}),
        _post_request("wrong type", b"{}", {415}, headers={"Content-Type": "application/json"}),
        _post_request("wrong accept", valid, {406}, headers={**_IMAGE, "Accept": "video/mp4"}, may_be_overloaded=False),
        _post_request("wrong scale", valid, {422}, path="/v1/phenotype?mm_per_px=-1", may_be_overloaded=False),
        _post_request("unknown model", valid, {404}, path="/v1/phenotype?model=unknown@9.9.9"),
        _bodyless_request("random path", "GET", "/wp-login.php", {404}),
        _bodyless_request("climbing path", "GET", "/../../etc/passwd", {404}),
        _bodyless_request("wrong method", "DELETE", "/v1/phenotype", {405}),
        HostileRequest(
            "huge header",
            _send_huge_header,
            frozenset({400, 431}),
            IMMEDIATE_TIMEOUT_S,
            may_be_overloaded=False,
            may_close_connection=True,
        ),
        HostileRequest("announced 1 TB", _send_oversized_length, frozenset({413}), IMMEDIATE_TIMEOUT_S),
        HostileRequest("slow body", _stall_upload, frozenset({408}), STALLED_UPLOAD_TIMEOUT_S),
    ]


def send_request(request: HostileRequest, host: str, port: int) -> ResponseOutcome:
    """Send a bad request on a new connection, and return the response.

    Raises:
        OSError, http.client.HTTPException: If there is no response.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    started_s = time.monotonic()
    try:
        response = request.send(connection)
        body = response.read()
        return ResponseOutcome(
            response.status, response.getheader("Retry-After"), time.monotonic() - started_s, len(body)
        )
    finally:
        connection.close()


def unexpected_outcome(request: HostileRequest, outcome: ResponseOutcome) -> str | None:
    """Return the difference from the expected response, or None if the response is correct and in time."""
    description = f"{outcome.status} after {outcome.duration_s:.2f} s"
    if outcome.status == HTTPStatus.SERVICE_UNAVAILABLE and request.may_be_overloaded:
        return None if outcome.retry_after else f"{description} without Retry-After"
    if outcome.status not in request.statuses:
        return f"{description}, not {' or '.join(map(str, sorted(request.statuses)))}"
    return (
        f"{description}, not within {request.max_duration_s:g} s"
        if outcome.duration_s > request.max_duration_s
        else None
    )


def _post_request(
    name: str,
    body: bytes,
    statuses: set[int],
    max_duration_s: float = IMMEDIATE_TIMEOUT_S,
    path: str = "/v1/phenotype",
    headers: dict[str, str] = _IMAGE,
    *,
    may_be_overloaded: bool = True,
) -> HostileRequest:
    def post(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        connection.request("POST", path, body, {**authorization_headers(), **headers})
        return connection.getresponse()

    return HostileRequest(name, post, frozenset(statuses), max_duration_s, may_be_overloaded)


def _bodyless_request(name: str, method: str, path: str, statuses: set[int]) -> HostileRequest:
    def send_without_body(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        connection.request(method, path)
        return connection.getresponse()

    return HostileRequest(name, send_without_body, frozenset(statuses), IMMEDIATE_TIMEOUT_S, may_be_overloaded=False)


def _send_headers(connection: http.client.HTTPConnection, length: int, headers: dict[str, str]) -> None:
    connection.putrequest("POST", "/v1/phenotype")
    for name, value in {**authorization_headers(), **headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()


def _send_huge_header(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/", headers={"X-Endless": "a" * 200_000})
    return connection.getresponse()


def _send_oversized_length(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    _send_headers(connection, 10**12, _IMAGE)
    return connection.getresponse()


def _stall_upload(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Send the first bytes of an image, then stall."""
    _send_headers(connection, 1_000_000, _IMAGE)
    connection.send(_png_header(1000, 1000)[:40])
    return connection.getresponse()


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG with the given size in its header and almost no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
