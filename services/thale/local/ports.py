"""Ports of the facade on 127.0.0.1, and addresses of the local platform."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from thale.errors import LocalPlatformError
from thale.local.sockets import TorchServeSockets
from thale.models.model_server_address import FACADE_METRICS_PATH

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_MAX_PORTS_TRIED = 20


class Addresses(BaseModel):
    """Addresses of the local platform. Release changes use `metrics_url`, `model_url` and `management_url`."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    url: str
    """Address of the facade, for clients."""
    metrics_url: str
    """Metrics of the facade, with the path /metrics."""
    model_url: str
    """Inference API of TorchServe: `unix:` with the path of a socket."""
    management_url: str
    """Management API of TorchServe: `unix:` with the path of a socket."""
    model_metrics_url: str
    """Metrics of TorchServe on the metrics port of the facade, with their path."""


@dataclass(frozen=True)
class PlatformPorts:
    """Ports of the facade. `facade` is for clients; `metrics` is any free port. TorchServe listens on sockets."""

    facade: int
    metrics: int

    def addresses(self, sockets: TorchServeSockets) -> Addresses:
        """Return the addresses of the listeners."""
        return Addresses(
            url=f"http://{HOST}:{self.facade}",
            metrics_url=f"http://{HOST}:{self.metrics}/metrics",
            model_url=sockets.inference,
            management_url=sockets.management,
            model_metrics_url=f"http://{HOST}:{self.metrics}{FACADE_METRICS_PATH}",
        )


@contextmanager
def claim_ports(requested: int | None = None) -> Iterator[PlatformPorts]:
    """Choose free ports, and keep other local platforms from choosing them for the duration of the context.

    The facade gets the requested port, or the first free port from 8080.

    Raises:
        LocalPlatformError: If the requested port is in use, or all default ports are.
    """
    with ExitStack() as claims:
        with ExitStack() as reserved:
            facade = _claim_port(claims, reserved, _facade_candidates(requested))
            metrics = _claim_port(claims, reserved, iter([0]))
        if facade is None:
            raise _no_port_error(requested)
        if metrics is None:
            raise LocalPlatformError(f"{HOST} has no free port: stop other servers on this machine")
        yield PlatformPorts(facade, metrics)


def _no_port_error(requested: int | None) -> LocalPlatformError:
    if requested is not None:
        return LocalPlatformError(
            f"port {requested} is in use by another process: choose another with --port, or stop that process"
        )
    last = DEFAULT_PORT + _MAX_PORTS_TRIED - 1
    return LocalPlatformError(f"the ports {DEFAULT_PORT} to {last} are all in use: choose a free port with --port")


def _facade_candidates(requested: int | None) -> Iterator[int]:
    if requested is not None:
        return iter([requested])
    return iter(range(DEFAULT_PORT, DEFAULT_PORT + _MAX_PORTS_TRIED))


def _claim_port(claims: ExitStack, reserved: ExitStack, candidates: Iterator[int]) -> int | None:
    """Claim the first free candidate until `claims` closes, and bind it until `reserved` closes."""
    for candidate in candidates:
        with ExitStack() as attempt:
            listener = attempt.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # As servers do: a port with connections in TIME_WAIT is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # An abstract Unix socket, which the kernel removes when its process ends. The bound port is no claim: the
            # facade must bind it again, and so could the facade of a platform that starts at the same time.
            claim = attempt.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                listener.bind((HOST, candidate))
                port = int(listener.getsockname()[1])
                claim.bind(f"\0thale-port-{port}")
            except OSError:
                continue
            attempt.pop_all()
            reserved.enter_context(listener)
            claims.enter_context(claim)
            return port
    return None
