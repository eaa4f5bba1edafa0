"""HTTP server of the facade: uvicorn's settings, for the process and for tests in a thread."""

from contextlib import suppress
from typing import Any

import uvicorn

from thale.facade.http_protocol import GuardedProtocol

KEEP_ALIVE_S = 75
"""Idle time after which the facade closes a connection. It is longer than that of every proxy (Envoy: 60 s), so
that a proxy never sends a request on a connection that the facade is closing."""
_GRACE_S = 10
_STARTUP_FAILURE = 3


def serve(app: Any, host: str, port: int, max_connections: int) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    server = uvicorn.Server(uvicorn_config(app, host, port, max_connections))
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else _STARTUP_FAILURE


def uvicorn_config(app: Any, host: str, port: int, max_connections: int) -> uvicorn.Config:
    """Return the settings of the server.

    Args:
        app: The ASGI app.
        host: Address to listen at.
        port: Port; 0 selects a free one.
        max_connections: Maximum number of open connections.
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
        timeout_graceful_shutdown=_GRACE_S,
    )
