"""Tests of the port selection of the local platform."""

import socket
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from thale.errors import LocalPlatformError
from thale.local import ports
from thale.local.ports import HOST, claim_ports


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_claim_ports_returns_distinct_ports() -> None:
    with claim_ports(0) as chosen:
        assert len({*astuple(chosen)}) == 2


def test_claim_ports_rejects_requested_port_in_use(used_port: int) -> None:
    with pytest.raises(LocalPlatformError, match=f"port {used_port} is in use"), claim_ports(used_port):
        pass


def test_claim_ports_selects_next_free_port_by_default(used_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "DEFAULT_PORT", used_port)
    with claim_ports() as chosen:
        assert used_port < chosen.facade < used_port + 20


def test_claim_ports_skips_ports_of_a_starting_platform() -> None:
    with (
        claim_ports(0) as first,  # its facade does not listen yet
        pytest.raises(LocalPlatformError, match=f"port {first.facade} is in use"),
        claim_ports(first.facade),
    ):
        pass
    with claim_ports(first.facade) as second:
        assert second.facade == first.facade
