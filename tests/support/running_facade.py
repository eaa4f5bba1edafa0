"""A facade that listens on a port, in a thread of the tests, and a client that returns its raw responses."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from thale.facade.app import create_app
from thale.facade.http.server import uvicorn_config
from thale.facade.settings import FacadeSettings

START_TIMEOUT_S = 180


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """Code of the problem in the response."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        assert self.json["request_id"] == self.headers["x-request-id"]
        return str(self.json["type"]).rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Facade:
    app: FastAPI
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send a request. Underscores in the header names become hyphens."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            response_headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, response_headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: bytes, query: str = "", **headers: str) -> Reply:
        return self.request("POST", f"{path}?{quote(query, safe='=&@%')}" if query else path, body, **headers)

    def phenotype(self, image: bytes, query: str = "", **headers: str) -> Reply:
        return self.post("/v1/phenotype", image, query, **headers)


@contextmanager
def running_facade(settings: FacadeSettings) -> Iterator[Facade]:
    """Serve on a free port for the duration of the context."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn_config(app, "127.0.0.1", 0, settings.max_connections))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        ticks = threading.Event()
        for _ in range(START_TIMEOUT_S * 100):
            if server.started or not thread.is_alive():
                break
            ticks.wait(0.01)
        assert server.started, f"the facade did not start within {START_TIMEOUT_S} s"
        yield Facade(app, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
