"""Ports: the usual one where it is free, another one where it is not, and a clear word where none is."""

import socket
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from thale.errors import LocalPlatformError
from thale.local import ports
from thale.local.ports import HOST, choose_ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_no_two_services_get_the_same_port() -> None:
    chosen = astuple(choose_ports(0))
    assert len(set(chosen)) == len(chosen) == 7


def test_a_wished_port_that_is_taken_is_refused(taken_port: int) -> None:
    with pytest.raises(LocalPlatformError, match=f"port {taken_port} is taken"):
        choose_ports(taken_port)


def test_without_a_wish_the_next_free_port_is_taken(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "DEFAULT_PORT", taken_port)
    assert taken_port < choose_ports().facade < taken_port + 20
