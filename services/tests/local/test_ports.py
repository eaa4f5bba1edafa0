"""Tests of the port selection of the local platform."""

import socket
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from thale.errors import LocalPlatformError
from thale.local import ports
from thale.local.ports import HOST, choose_ports


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_choose_ports_returns_distinct_ports() -> None:
    chosen = astuple(choose_ports(0))
    assert len(set(chosen)) == len(chosen) == 2


def test_choose_ports_rejects_requested_port_in_use(used_port: int) -> None:
    with pytest.raises(LocalPlatformError, match=f"port {used_port} is in use"):
        choose_ports(used_port)


def test_choose_ports_selects_next_free_port_by_default(used_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "DEFAULT_PORT", used_port)
    assert used_port < choose_ports().facade < used_port + 20
