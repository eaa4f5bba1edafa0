"""HTTP sessions of the facade with model servers: one for all URLs, and one for each Unix domain socket."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from thale.models.model_server_address import HTTP_HOST, socket_path

_KEEPALIVE_S = 60.0
"""Time for which an idle connection stays open."""


@dataclass(frozen=True)
class ModelServer:
    """A model server: the session of its connections, and the URL of its requests."""

    session: aiohttp.ClientSession
    url: str
    unix_socket: str | None
    """Path of its Unix domain socket, which connections use instead of the URL's host."""


class ModelServerSessions:
    """Opens a session at the first use of an address, and closes all sessions at the end of its context."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._by_socket: dict[str | None, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def find(self, address: str) -> ModelServer:
        """Return the model server at an address, which is a URL or a Unix domain socket."""
        path = socket_path(address)
        session = self._by_socket.get(path)
        if session is None:
            session = self._by_socket[path] = _open_session(path)
            self._stack.push_async_callback(session.close)
        return ModelServer(session, address if path is None else f"http://{HTTP_HOST}", path)


def _open_session(path: str | None) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector
    if path is None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
    else:
        connector = aiohttp.UnixConnector(path, limit=0, keepalive_timeout=_KEEPALIVE_S)
    # No proxy, cookies or redirects: a model server has a fixed address.
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
