"""Which ports of 127.0.0.1 the platform listens on."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from thale.errors import LocalPlatformError

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_MAX_PORTS_TRIED = 20


class Addresses(BaseModel):
    """Where the platform listens, always on this machine. Releases are changed through the middle three."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    url: str
    """The facade's, the one for people."""
    metrics_url: str
    """The facade's metrics: ends in /metrics."""
    model_url: str
    """TorchServe's inference API."""
    management_url: str
    """TorchServe's management API."""
    model_metrics_url: str
    """TorchServe's own metrics: ends in /metrics."""


@dataclass(frozen=True)
class Ports:
    """One port for everything that listens. Only `facade` is for people; the others are whatever was free."""

    facade: int
    metrics: int
    inference: int
    management: int
    torchserve_metrics: int
    grpc_inference: int
    grpc_management: int

    def addresses(self) -> Addresses:
        """Return where others find what listens here."""
        return Addresses(
            url=f"http://{HOST}:{self.facade}",
            metrics_url=f"http://{HOST}:{self.metrics}/metrics",
            model_url=f"http://{HOST}:{self.inference}",
            management_url=f"http://{HOST}:{self.management}",
            model_metrics_url=f"http://{HOST}:{self.torchserve_metrics}/metrics",
        )


def choose_ports(requested: int | None = None) -> Ports:
    """Choose free ports: the facade gets the wish, or the first free one from 8080 on where nothing was wished.

    Raises:
        LocalPlatformError: If the wished port is taken, or none of the usual ones is free.
    """
    with ExitStack() as reserved:
        facade = _reserve_port(reserved, _facade_candidates(requested))
        others = [_reserve_port(reserved, iter([0])) for _ in range(6)]
    if facade is None:
        if requested is not None:
            raise LocalPlatformError(
                f"port {requested} is taken by another program: choose one with --port, or stop that program"
            )
        last = DEFAULT_PORT + _MAX_PORTS_TRIED - 1
        raise LocalPlatformError(f"the ports {DEFAULT_PORT} to {last} are all taken: choose a free one with --port")
    return Ports(facade, *(port for port in others if port is not None))


def _facade_candidates(requested: int | None) -> Iterator[int]:
    if requested is not None:
        return iter([requested])
    return iter(range(DEFAULT_PORT, DEFAULT_PORT + _MAX_PORTS_TRIED))


def _reserve_port(reserved: ExitStack, candidates: Iterator[int]) -> int | None:
    """Bind the first free candidate and hold it until `held` closes, so that no two choices are the same port."""
    for port in candidates:
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # As servers do: a port whose last connections are still winding down is free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
        except OSError:
            candidate.close()
            continue
        reserved.enter_context(candidate)
        return int(candidate.getsockname()[1])
    return None
