"""What hostile and broken clients send, and the refusals that they must get: which status, and how soon.

A refusal is right when it names the client's fault (4xx), or says that there is no room just now (503 with
Retry-After).
"""

import http.client
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from loadtests.image_set import Picture

AT_ONCE_S = 1.0
"""What the facade alone refuses."""
DECODED_S = 20.0
"""What a worker must look at first may wait behind others' images, as long as the largest class of them may."""
STALLED_S = 15.0 + 2.0
"""A stalled body: the facade's patience (THALE_UPLOAD_STALL_S) and some."""
_PATIENCE_S = 90.0
_IMAGE = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class Attack:
    """One kind of bad request, and what is expected of the answer."""

    name: str
    send: Callable[[http.client.HTTPConnection], http.client.HTTPResponse]
    statuses: frozenset[int]
    within_s: float
    asks_for_room: bool = True
    """Whether it may be told 503 because the facade is full: what needs no place may not."""
    may_hang_up: bool = False
    """Whether closing the connection without a word is an answer as well."""


@dataclass(frozen=True)
class Refusal:
    """What a bad request was answered."""

    status: int
    retry_after: str | None
    seconds: float
    length: int


def attacks(picture: Picture) -> Sequence[Attack]:
    """Return all kinds of bad requests; some are made of a good picture."""
    good = picture.file.read_bytes()
    return [
        _posted("truncated", good[: len(good) // 2], {422}, DECODED_S),
        _posted("text", b"dear server, " * 500, {415}),
        _posted("huge picture", _png_header(60_000, 60_000), {413}),
        _posted("empty", b"", {400}),
        _posted("wrong type", b"{}", {415}, headers={"Content-Type": "application/json"}),
        _posted("wrong answer", good, {406}, headers={**_IMAGE, "Accept": "video/mp4"}, asks_for_room=False),
        _posted("wrong scale", good, {422}, path="/v1/phenotype?mm_per_px=-1", asks_for_room=False),
        _posted("unknown model", good, {404}, path="/v1/phenotype?model=nobody@9.9.9"),
        _asked("random path", "GET", "/wp-login.php", {404}),
        _asked("climbing path", "GET", "/../../etc/passwd", {404}),
        _asked("wrong method", "DELETE", "/v1/phenotype", {405}),
        Attack("huge header", _huge_header, frozenset({400, 431}), AT_ONCE_S, asks_for_room=False, may_hang_up=True),
        Attack("announced 1 TB", _announced, frozenset({413}), AT_ONCE_S),
        Attack("slow body", _slow_body, frozenset({408}), STALLED_S),
    ]


def send(attack: Attack, host: str, port: int) -> Refusal:
    """Send a bad request on a connection of its own, and return what came back.

    Raises:
        OSError, http.client.HTTPException: If nothing did.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    began = time.monotonic()
    try:
        response = attack.send(connection)
        body = response.read()
        return Refusal(response.status, response.getheader("Retry-After"), time.monotonic() - began, len(body))
    finally:
        connection.close()


def fault(attack: Attack, refusal: Refusal) -> str | None:
    """Return what is wrong with a refusal, None where it is right and came soon enough."""
    told = f"{refusal.status} after {refusal.seconds:.2f} s"
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE and attack.asks_for_room:
        return None if refusal.retry_after else f"{told} without Retry-After"
    if refusal.status not in attack.statuses:
        return f"{told}, not {' or '.join(map(str, sorted(attack.statuses)))}"
    return f"{told}, not within {attack.within_s:g} s" if refusal.seconds > attack.within_s else None


def _posted(
    name: str,
    body: bytes,
    statuses: set[int],
    within_s: float = AT_ONCE_S,
    path: str = "/v1/phenotype",
    headers: dict[str, str] = _IMAGE,
    *,
    asks_for_room: bool = True,
) -> Attack:
    def post(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        connection.request("POST", path, body, headers)
        return connection.getresponse()

    return Attack(name, post, frozenset(statuses), within_s, asks_for_room)


def _asked(name: str, method: str, path: str, statuses: set[int]) -> Attack:
    def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        connection.request(method, path)
        return connection.getresponse()

    return Attack(name, ask, frozenset(statuses), AT_ONCE_S, asks_for_room=False)


def _begin(connection: http.client.HTTPConnection, length: int, headers: dict[str, str]) -> None:
    connection.putrequest("POST", "/v1/phenotype")
    for name, value in {**headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()


def _huge_header(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/", headers={"X-Endless": "a" * 200_000})
    return connection.getresponse()


def _announced(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    _begin(connection, 10**12, _IMAGE)
    return connection.getresponse()


def _slow_body(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Send the first bytes of an image, and nothing after them."""
    _begin(connection, 1_000_000, _IMAGE)
    connection.send(_png_header(1000, 1000)[:40])
    return connection.getresponse()


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
