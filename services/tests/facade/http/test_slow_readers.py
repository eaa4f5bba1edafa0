"""Clients that do not read their responses, or read them slowly: the memory of all unread responses is bounded."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from thale.facade.http import protocol
from thale.facade.http.server import uvicorn_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BODY = bytes(16 * 2**20)
MAX_UNSENT_BYTES = 3 * len(BODY)
TIMEOUT_S = 60.0
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def send_large_body(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Server]:
    monkeypatch.setattr(protocol, "MAX_UNSENT_BYTES", MAX_UNSENT_BYTES)
    monkeypatch.setattr(protocol, "_MIN_UNSENT_AGE_S", 0.0)
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT_S", 600.0)
    config = uvicorn_config(send_large_body, "127.0.0.1", 0, 60)
    config.lifespan = "off"
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_for(lambda: running.started)
    yield running
    running.force_exit = running.should_exit = True
    thread.join(30)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def request(server: uvicorn.Server, receive_buffer_bytes: int = 4096) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.settimeout(TIMEOUT_S)
    connection.connect(server.servers[0].sockets[0].getsockname())
    connection.sendall(GET)
    return connection


def read(connection: socket.socket, bytes_per_read: int = 2**20, pause_s: float = 0.0) -> int:
    """Return the number of bytes that the client receives until the end of the response, or until it is dropped."""
    count = 0
    try:
        while count < len(BODY) and (received := connection.recv(bytes_per_read)):
            count += len(received)
            time.sleep(pause_s)
    except ConnectionResetError:
        pass
    return count


def unsent_bytes(server: uvicorn.Server) -> int:
    return sum(connection.transport.get_write_buffer_size() for connection in list(server.server_state.connections))


def test_unread_responses_are_limited_in_total(server: uvicorn.Server) -> None:
    idle = []
    for count in range(8):
        idle.append(request(server))
        wait_for(lambda expected=count: server.server_state.total_requests > expected)
        wait_for(lambda: unsent_bytes(server) <= MAX_UNSENT_BYTES)
    assert unsent_bytes(server) > len(BODY), "no response waits"
    with request(server) as reader:
        assert read(reader) >= len(BODY)
    for connection in idle:
        connection.close()


def test_slow_reader_is_dropped(server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(protocol, "MIN_READ_BYTES", len(BODY))
    with request(server) as reader:
        assert read(reader, 2**16, 0.02) < len(BODY)


def test_steady_reader_receives_the_whole_response(server: uvicorn.Server) -> None:
    with request(server, 2**16) as reader:
        assert read(reader, 2**18, 0.02) >= len(BODY)
