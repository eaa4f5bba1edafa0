"""Addresses of model servers.

An address is an HTTP URL, or `unix:` with the absolute path of a Unix domain socket, as in TorchServe's settings. In a
cluster, KServe's services have URLs. On one machine, TorchServe listens on sockets that only its owner can open
(ADR 0072).
"""

from typing import Annotated

from pydantic import AfterValidator, HttpUrl, TypeAdapter

UNIX_PREFIX = "unix:"
HTTP_HOST = "localhost"
"""Value of the Host header on a Unix domain socket, whose path is no host name."""
FACADE_METRICS_PATH = "/model-server/metrics"
"""Path of the model server's metrics on the facade's metrics port. Prometheus scrapes no Unix domain sockets."""

_HTTP_URL = TypeAdapter(HttpUrl)


def _validate_address(value: str) -> str:
    path = socket_path(value)
    if path is None:
        return str(_HTTP_URL.validate_python(value)).rstrip("/")
    if not path.startswith("/"):
        raise ValueError(f"{value} has no absolute path: write unix:/PATH")
    return value


ModelServerAddress = Annotated[str, AfterValidator(_validate_address)]
"""An http or https URL without a trailing slash, or `unix:` with an absolute path."""


def socket_path(address: str) -> str | None:
    """Return the path of a Unix domain socket, or None if the address is a URL."""
    return address.removeprefix(UNIX_PREFIX) if address.startswith(UNIX_PREFIX) else None
