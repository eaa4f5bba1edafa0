"""Tests of connection pools over Unix domain sockets, against a real HTTP server on a socket."""

import socket
from pathlib import Path

import pytest
import urllib3

from tests.support.unix_http_server import run_unix_http_server
from thale.models.model_server_pool import open_pool


def test_open_pool_sends_requests_through_socket(tmp_path: Path) -> None:
    with run_unix_http_server(tmp_path / "server.sock") as server, open_pool(server.address) as pool:
        bodies = [pool.request("POST", "/models?url=a.mar", body=b"plate").data for _ in range(2)]
    assert bodies == [b"POST /models?url=a.mar localhost 5"] * 2
    assert server.connections == 1  # the second request reuses the connection


def test_open_pool_raises_when_socket_is_missing(tmp_path: Path) -> None:
    with open_pool(f"unix:{tmp_path / 'absent.sock'}") as pool, pytest.raises(urllib3.exceptions.NewConnectionError):
        pool.request("GET", "/")


def test_open_pool_times_out_when_server_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with open_pool(f"unix:{path}") as pool, pytest.raises(urllib3.exceptions.ReadTimeoutError):
            pool.request("GET", "/", timeout=0.2)
