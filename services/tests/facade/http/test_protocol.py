"""Connections of a facade process, over real sockets: slow headers, large headers, tiny chunks, and keep-alive."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.slow_clients import LandmarkService, landmark_service, read_response, request_head
from thale.facade.http import protocol, server

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]

GET = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MAX_CONNECTIONS = 60


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LandmarkService]:
    with landmark_service(tmp_path_factory.mktemp("facade"), THALE_MAX_CONNECTIONS=str(MAX_CONNECTIONS)) as running:
        yield running


def connect(service: LandmarkService) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.facade.port), timeout=60)


def send_half_a_header(service: LandmarkService) -> int:
    with connect(service) as connection:
        connection.sendall(GET[:30])
        return read_response(connection)[0]


def trickle_header(service: LandmarkService) -> int:
    with connect(service) as connection:
        assert request(connection) == 200
        connection.settimeout(0.5)
        for byte in GET + b"x" * 1000:
            connection.sendall(bytes([byte]) if byte not in b"\r\n" else b"a")
            try:
                return read_response(connection)[0]
            except TimeoutError:
                continue
    return 0


def pause_between_requests(service: LandmarkService) -> int:
    with connect(service) as connection:
        assert request(connection) == 200
        time.sleep(protocol.HEADER_TIMEOUT_S + 2)
        return request(connection)


@pytest.fixture(scope="module")
def slow_clients(service: LandmarkService) -> dict[str, tuple[int, float]]:
    """Last status and seconds of each slow client. They run at the same time, because they cost no CPU time."""

    def measure(send: Callable[[LandmarkService], int]) -> tuple[int, float]:
        started = time.monotonic()
        return send(service), time.monotonic() - started

    clients = (send_half_a_header, trickle_header, pause_between_requests)
    with ThreadPoolExecutor(len(clients)) as pool:
        outcomes = pool.map(measure, clients)
        return {client.__name__: outcome for client, outcome in zip(clients, outcomes, strict=True)}


@pytest.mark.parametrize("client", [send_half_a_header, trickle_header], ids=["half", "trickling"])
def test_slow_header_is_dropped(
    slow_clients: dict[str, tuple[int, float]], client: Callable[[LandmarkService], int]
) -> None:
    status, seconds = slow_clients[client.__name__]
    assert status == 408
    assert seconds < 3 * protocol.HEADER_TIMEOUT_S


def request(connection: socket.socket, data: bytes = GET) -> int:
    connection.sendall(data)
    return read_response(connection)[0]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", 400),
    ],
    ids=["many fields", "long field", "long target", "two lengths", "TLS"],
)
def test_header_beyond_the_limits_is_rejected(service: LandmarkService, head: bytes, status: int) -> None:
    with connect(service) as connection:
        connection.sendall(head)
        received, headers, body = read_response(connection)
        assert (received, headers["connection"], json.loads(body)["status"]) == (status, "close", status)


def test_connection_is_kept_alive_longer_than_a_proxy(slow_clients: dict[str, tuple[int, float]]) -> None:
    assert server.KEEP_ALIVE_S == 75
    assert slow_clients[pause_between_requests.__name__][0] == 200


def test_expect_100_continue_is_served(service: LandmarkService) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(20, "/v1/landmarks", "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"this is not an image")
        assert read_response(connection)[0] == 415


def test_rejected_upload_gets_no_100_continue(service: LandmarkService) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(10**12, "/v1/landmarks", "Expect: 100-continue"))
        assert read_response(connection)[0] == 413


@pytest.mark.parametrize("protocol_name", ["websocket", "h2c"])
def test_body_arrives_after_an_offer_to_upgrade(service: LandmarkService, protocol_name: str) -> None:
    """Java's HttpClient offers HTTP/2 with the first request of a connection."""
    offer = (f"Upgrade: {protocol_name}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")
    with connect(service) as connection:
        connection.sendall(request_head(20, "/v1/landmarks", *offer) + b"this is")
        time.sleep(0.2)  # the body arrives in two parts
        connection.sendall(b" not an image" + GET)
        status, _, body = read_response(connection)
        assert status == 415, body
        assert read_response(connection)[0] == 200


def test_tunnel_is_rejected(service: LandmarkService) -> None:
    with connect(service) as connection:
        assert request(connection, b"CONNECT a.example:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + GET) == 400


def test_idle_connections_make_room_for_a_new_one(service: LandmarkService) -> None:
    idle = [connect(service) for _ in range(3 * MAX_CONNECTIONS)]
    try:
        with connect(service) as connection:
            assert request(connection) == 200
    finally:
        for each in idle:
            each.close()


def test_tiny_chunks_do_not_stall_other_clients(service: LandmarkService) -> None:
    head = request_head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    body = b"1\r\nx\r\n" * 400_000
    statuses: list[int] = []

    def send() -> None:
        with connect(service) as sender:
            sender.sendall(head + b"4\r\n\xff\xd8\xff\xe0\r\n" + body + b"0\r\n\r\n")
            statuses.append(read_response(sender)[0])

    thread = threading.Thread(target=send)
    slowest_s = 0.0
    with connect(service) as probe:
        assert request(probe) == 200
        thread.start()
        while thread.is_alive():
            started = time.monotonic()
            assert request(probe) == 200
            slowest_s = max(slowest_s, time.monotonic() - started)
    thread.join()
    assert statuses == [422]
    assert slowest_s < 2
