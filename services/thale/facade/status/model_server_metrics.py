"""Metrics of the model server on the facade's metrics port: Prometheus scrapes no Unix domain sockets."""

import logging
from collections.abc import Callable
from http import HTTPStatus

import urllib3

from thale.models.model_server_pool import open_pool
from thale.telemetry.metrics_server import Page

logger = logging.getLogger(__name__)

_TIMEOUT_S = 3.0  # below Prometheus' timeout of the local platform, 4 s
_MAX_CONNECTIONS = 2


def create_metrics_page(address: str) -> Callable[[], Page]:
    """Return the function that reads the model server's metrics. It returns 502 if the server does not respond."""
    pool = open_pool(address, _MAX_CONNECTIONS)

    def read_page() -> Page:
        try:
            response = pool.request("GET", "/metrics", timeout=_TIMEOUT_S, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            logger.warning("model server metrics unavailable", extra={"error": str(error)})
            return Page.from_status(HTTPStatus.BAD_GATEWAY)
        if response.status != HTTPStatus.OK:
            return Page.from_status(HTTPStatus.BAD_GATEWAY)
        return Page(response.data, response.headers.get("content-type", "text/plain"))

    return read_page
