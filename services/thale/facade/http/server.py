"""HTTP server of the facade: uvicorn's settings, for the process and for tests in a thread, and its shutdown."""

import asyncio
import logging
import signal
import socket
from contextlib import suppress
from typing import Any

import uvicorn

from thale.facade.http.protocol import GuardedProtocol

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 75
"""Idle time after which the facade closes a connection. It is longer than that of every proxy (Envoy: 60 s), so
that a proxy never sends a request on a connection that the facade is closing."""
_REJECTION_S = 5.0
"""Time in which requests that exceed the drain timeout receive their 503."""
_STARTUP_FAILURE = 3


class DrainingServer(uvicorn.Server):
    """A server that completes its requests after SIGTERM, and cancels those that exceed the drain timeout.

    `RequestContextMiddleware` responds to a cancelled request with 503 and Retry-After. uvicorn alone would send a
    plain-text 500 (ADR 0111).
    """

    def __init__(self, config: uvicorn.Config, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._drain_timeout_s = drain_timeout_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, and wait for the requests in flight."""
        timer = asyncio.get_running_loop().call_later(self._drain_timeout_s, self._cancel_requests)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _cancel_requests(self) -> None:
        tasks = self.server_state.tasks
        logger.warning("drain timeout passed", extra={"requests": len(tasks), "seconds": self._drain_timeout_s})
        for task in tasks:
            task.cancel()


def serve(app: Any, host: str, port: int, max_connections: int, drain_timeout_s: float) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    config = uvicorn_config(app, host, port, max_connections, drain_timeout_s)
    server = DrainingServer(config, drain_timeout_s)
    # uvicorn raises the signal again after its shutdown. With the default handler, a complete stop would fail with 143.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else _STARTUP_FAILURE


def uvicorn_config(
    app: Any, host: str, port: int, max_connections: int, drain_timeout_s: float = 10.0
) -> uvicorn.Config:
    """Return the settings of the server.

    Args:
        app: The ASGI app.
        host: Address to listen at.
        port: Port; 0 selects a free one.
        max_connections: Maximum number of open connections.
        drain_timeout_s: Time for requests in flight after SIGTERM, in seconds.
    """
    protocol = type("FacadeProtocol", (GuardedProtocol,), {"max_connections": max_connections})
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(drain_timeout_s + _REJECTION_S),
    )
