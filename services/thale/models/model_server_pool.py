"""Connection pools of urllib3 for model servers, over TCP or a Unix domain socket."""

import socket

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from thale.models.model_server_address import HTTP_HOST, socket_path


def open_pool(address: str, max_connections: int = 1) -> urllib3.HTTPConnectionPool:
    """Return a connection pool for an address. Its requests take paths, are not retried, and use no proxy."""
    path = socket_path(address)
    if path is None:
        return urllib3.connection_from_url(address, maxsize=max_connections, retries=False)
    return _UnixConnectionPool(HTTP_HOST, maxsize=max_connections, retries=False, unix_path=path)


class _UnixConnection(HTTPConnection):
    """Connection through a Unix domain socket: urllib3 has none of its own."""

    def __init__(self, host: str, *, unix_path: str, **options: object) -> None:
        super().__init__(host, **options)  # type: ignore[arg-type]  # the options that the pool passes
        self._unix_path = unix_path

    def _new_conn(self) -> socket.socket:
        """Return a new connection, with the errors of the base class."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(urllib3.Timeout.resolve_default_timeout(self.timeout))
            connection.connect(self._unix_path)
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise ConnectTimeoutError(self, f"no connection to {self._unix_path} in time") from error
            raise NewConnectionError(self, f"cannot connect to {self._unix_path}: {error}") from error
        return connection


class _UnixConnectionPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _UnixConnection
